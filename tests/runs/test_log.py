"""What metrics are written to: rows, TensorBoard's events, and a disk that refuses."""

import errno
import json
import os
import resource
import struct

import pytest
from tensorboardX.proto import event_pb2

from tvae.errors import UserError
from tvae.runs import files, log


def events(folder):
    """All events of all files, in the order of the files' names."""
    found = []
    for path in sorted(folder.iterdir()):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (size,) = struct.unpack_from("<Q", content, place)
            found.append(event_pb2.Event.FromString(content[place + 12 : place + 12 + size]))
            place += size + 16  # with the check sums of length and content
    return found


def test_each_epoch_is_a_row_and_an_event(tmp_path):
    with log.open_log(tmp_path, first_epoch=0) as out:
        for epoch in range(3):
            out.write(epoch, {"train/loss": 0.5 / (epoch + 1), "eval/kl": [1.0, 2.0]})
    rows = [json.loads(line) for line in (tmp_path / files.METRICS_FILE).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[1]["eval/kl"] == [1.0, 2.0]
    scalars = [
        (event.step, value.tag, value.simple_value)
        for event in events(tmp_path / "tensorboard")
        for value in event.summary.value
    ]
    assert scalars == [(e, "train/loss", pytest.approx(0.5 / (e + 1))) for e in range(3)]


def test_two_starts_within_a_second_keep_two_event_files(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1e9)
    for first in (0, 2):
        with log.open_log(tmp_path, first_epoch=first) as out:
            out.write(first, {"x": 1.0})
    found = events(tmp_path / "tensorboard")
    assert [event.step for event in found if event.summary.value] == [0, 2]
    # TensorBoard drops what older files hold from here on.
    starts = [e.step for e in found if e.session_log.status == event_pb2.SessionLog.START]
    assert starts == [0, 2]


def test_events_reach_the_disk_while_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(log.TensorBoard, "FLUSH_SECONDS", -1.0)
    with log.open_log(tmp_path, first_epoch=0) as out:
        out.write(0, {"x": 1.0})
        assert [e.step for e in events(tmp_path / "tensorboard") if e.summary.value] == [0]


def test_a_full_disk_ends_the_event_file_and_not_the_process(tmp_path, monkeypatch):
    """``tensorboardX.SummaryWriter`` waits forever here: its queue fills, its thread has died."""
    monkeypatch.setattr(log.TensorBoard, "FLUSH_SECONDS", -1.0)
    board = log.TensorBoard(tmp_path, first_epoch=0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))

    def write_all():
        for epoch in range(100):
            board.write(epoch, {"x": 1.0})

    try:
        with pytest.raises(OSError, match="File too large"):
            write_all()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        board.close()


def test_rows_that_are_not_text_are_dropped(tmp_path):
    path = tmp_path / files.METRICS_FILE
    path.write_bytes(b'{"epoch": 0}\n\xff\xfe{"epoch": 1}\n')
    log.keep_rows_before(path, 5)
    assert path.read_text() == '{"epoch": 0}\n'


NO_ROWS = [
    *(b"3", b"[]", b"null", b'"epoch"', b"{}", b"[" * 100_000, b'{"epoch": 1'),
    *(b'{"epoch": "1"}', b'{"epoch": 1.0}', b'{"epoch": -1}', b'{"epoch": true}'),
    *(b'{"epoch": 1, "x": "text"}', b'{"epoch": 1, "x": [[1]]}', b'{"epoch": 1, "x": null}'),
    b'{"epoch": 1, "x": %d}' % 10**400,
    b'{"epoch": 1, "x": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
]


def test_what_is_no_row_is_refused_and_dropped(tmp_path, capsys):
    path = tmp_path / files.METRICS_FILE
    for content in NO_ROWS:
        with pytest.raises(UserError, match=r"metrics\.jsonl"):
            log.parse_row(content, path)
    good = [b'{"epoch": %d, "x": 1.5, "y": [1, NaN]}' % epoch for epoch in range(3)]
    path.write_bytes(b"\n".join([good[0], *NO_ROWS, *good[1:], b""]))
    log.keep_rows_before(path, 3)
    assert path.read_bytes() == b"\n".join([*good, b""])
    assert capsys.readouterr().err == ""


def test_repeated_rows_are_dropped_and_missing_ones_named(tmp_path, capsys):
    path = tmp_path / files.METRICS_FILE
    path.write_text("".join(f'{{"epoch": {e}}}\n' for e in (2, 3, 3, 6, 2, 7, 8)))
    log.keep_rows_before(path, 8)
    assert path.read_text() == "".join(f'{{"epoch": {e}}}\n' for e in (2, 3, 6, 7))
    assert capsys.readouterr().err == f"warning: {path}: no row of epoch 4, 5\n"


def test_a_disk_that_refuses_is_a_users_error(tmp_path, monkeypatch):
    refusal = r"cannot be written \(No space left on device\)"
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(UserError, match=refusal),
        log.open_log(tmp_path, first_epoch=0),
    ):
        raise error

    def refuse(*_):
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=refusal):
        log.write_final(tmp_path, {"eval/x": 1.0})
    assert not (tmp_path / files.FINAL_FILE).exists()
