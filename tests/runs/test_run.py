"""A run read from its folder: each file once, whole rows alone, links where they are allowed."""

import json

import numpy as np
import pytest

from tvae.errors import UserError
from tvae.runs import files, find
from tvae.runs.run import Run

ROWS = [{"epoch": e, "train/loss": 3.0 - e, "eval/kl": [1.0, 2.0]} for e in range(3)]


@pytest.fixture
def folder(tmp_path):
    """A run in its third epoch."""
    config = {"task": "toy", "seed": 1}
    (tmp_path / files.CONFIG_FILE).write_text(json.dumps(config))
    command = ["main.py", "--config=configs/fast.py"]
    (tmp_path / files.PROVENANCE_FILE).write_text(json.dumps({"command": command}))
    log = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / files.METRICS_FILE).write_text(log + '{"epoch": 3, "train/l')
    for name in ("5", "15", "10.damaged"):
        (tmp_path / files.CHECKPOINTS / name).mkdir(parents=True)
    return tmp_path


def test_an_unfinished_run(folder):
    run = Run.open(folder)
    assert (run.config.task, run.config_name, run.finished) == ("toy", "fast", False)
    assert run.rows == ROWS
    assert run.last_row == ROWS[-1]
    assert run.final == {"train/loss": 1.0, "eval/kl": [1.0, 2.0]}
    assert run.checkpoint_steps == [5, 15]
    assert run.scalars() == ["train/loss"]
    np.testing.assert_array_equal(run.series("train/loss"), [[1, 2, 3], [3.0, 2.0, 1.0]])
    assert run.series("absent").epoch.size == 0


def test_each_file_is_read_once(folder):
    (folder / files.FINAL_FILE).write_text('{"eval/x": 1.0}')
    run = Run.open(folder)
    before = (run.final, run.rows, run.provenance, run.last_row)
    for name in (files.CONFIG_FILE, files.FINAL_FILE, files.METRICS_FILE, files.PROVENANCE_FILE):
        (folder / name).unlink()
    assert (run.final, run.rows, run.provenance, run.last_row) == before
    assert run.config.seed == 1


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (b"", "holds no metrics yet"),
        (b'{"epoch": 0}\n{"epo\n{"epoch": 2}\n', r"metrics.jsonl:2: not readable as JSON"),
        (b'{"epoch": 0}\n\xff\n', r"metrics.jsonl:2: not readable as JSON"),
    ],
)
def test_a_damaged_log_is_named_by_its_line(folder, log, reason):
    (folder / files.METRICS_FILE).write_bytes(log)
    with pytest.raises(UserError, match=reason):
        _ = Run.open(folder).rows


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"config.json: no such file"):
        Run.open(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        Run.open(tmp_path / "absent")


def test_links_are_refused_where_strangers_write(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "final"
    elsewhere.write_text('{"eval/x": 1.0}')
    (folder / files.FINAL_FILE).symlink_to(elsewhere)
    assert Run.open(folder).final == {"eval/x": 1.0}
    with pytest.raises(UserError, match="cannot be read"):
        _ = Run.open(folder, follow_links=False).final


STRANGE = {
    files.CONFIG_FILE: [
        "[1]",
        '{"a.b": 1}',
        '{"data": {"x.y": 1}}',
        '{"__class__": 1}',
        "3",
        "null",
        '{"a":' * 500 + "1" + "}" * 500,
    ],
    files.PROVENANCE_FILE: ["[1]", '{"command": [1]}', '{"command": 3}', "null"],
    files.FINAL_FILE: [
        "[1]",
        '{"eval/x": "text"}',
        '{"eval/x": [[1]]}',
        '{"eval/x": 1%s}' % ("0" * 400),
    ],
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_files_are_refused_by_name_in_one_line(folder, name):
    for content in STRANGE[name]:
        (folder / name).write_text(content)
        with pytest.raises(UserError, match=name) as caught:
            _ = [(run.provenance, run.final) for run in [Run.open(folder)]]
        assert "\n" not in str(caught.value)
        assert len(find.find_runs(folder).damaged) == 1


def test_values_that_no_column_holds_are_shown_as_text(folder):
    huge = 10**400
    config = {"task": "toy", "seed": huge, "text": "a\nb\x1b[2J", "targets": {"": 1}}
    (folder / files.CONFIG_FILE).write_text(json.dumps(config))
    (folder / files.FINAL_FILE).write_text(json.dumps({"eval/x": 1.0, "": 2.0, "a\0": 3.0}))
    found = find.find_runs(folder)
    assert found.damaged == []
    assert found.rows[0]["seed"] == str(huge)
    metrics = [key for key, value in found.rows[0].items() if value in (1.0, 2.0, 3.0)]
    assert metrics == ["eval/x", "config.targets."]
