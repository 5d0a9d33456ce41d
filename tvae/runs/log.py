"""The log of a run: a row of metrics for each epoch, as JSON lines and for TensorBoard."""

import contextlib
import importlib.util
import json
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tvae.errors import UserError
from tvae.runs import files

MAX_EPOCHS = 10**9


def parse_row(content: bytes, where: object) -> dict[str, Any]:
    """A row of the log: ``epoch``, and metrics that are numbers or lists of numbers.

    Raises:
      UserError: naming ``where``, if it is anything else.
    """
    row = files.parse_json(content, where)
    epoch = row.get("epoch")
    if type(epoch) is not int or not 0 <= epoch < MAX_EPOCHS:
        raise UserError(f"{where}: expected the number of an epoch, got {epoch!r:.60}")
    files.check_metrics(row, where)
    return row


def keep_rows_before(path: pathlib.Path, epoch: int) -> None:
    """Keep one row of each epoch before a resumed one; epochs without a row are named.

    Rows of epochs that are done again, repeated ones and what is no row are dropped.
    """
    if not path.exists():
        return
    rows: dict[int, str] = {}
    for line in path.read_bytes().split(b"\n"):
        with contextlib.suppress(UserError):
            row = parse_row(line, path)
            rows[row["epoch"]] = line.decode() + "\n"
    kept = {row: rows[row] for row in sorted(rows) if row < epoch}
    # A run that goes on from another's end does not begin with epoch 0.
    if missing := [str(row) for row in range(min(rows, default=0), epoch) if row not in kept]:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        sys.stderr.write(f"warning: {path}: no row of epoch {', '.join(missing[:10])}{more}\n")
    files.write_text(path, "".join(kept.values()))


class TensorBoard:
    """An event file of scalars.

    It writes in the caller's thread: the thread of ``tensorboardX.SummaryWriter`` dies of a full
    disk, and the run then waits for it forever (a test shows a full disk).
    """

    FLUSH_SECONDS = 30.0  # how often events must reach the disk, for those who watch

    def __init__(self, folder: pathlib.Path, *, first_epoch: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2

        self._event, self._summary = event_pb2, summary_pb2.Summary
        folder.mkdir(exist_ok=True)
        # The suffix: two starts within a second must not share a file.
        self._file = EventsWriter(str(folder / "events"), f".{first_epoch}")
        self._flushed = time.monotonic()
        # TensorBoard then drops what older files hold of these epochs.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._file.write_event(event_pb2.Event(step=first_epoch, session_log=start))

    def write(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of an epoch as one event."""
        values = [self._summary.Value(tag=k, simple_value=v) for k, v in scalars.items()]
        event = self._event.Event(step=epoch, wall_time=time.time())
        event.summary.value.extend(values)
        self._file.write_event(event)
        if time.monotonic() - self._flushed > self.FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


class Log:
    """Writes one row per epoch: ``metrics.jsonl`` and, with tensorboardX, ``tensorboard/``."""

    def __init__(self, workdir: pathlib.Path, *, first_epoch: int) -> None:
        keep_rows_before(workdir / files.METRICS_FILE, first_epoch)
        self._file = (workdir / files.METRICS_FILE).open("a")
        self._tensorboard = None
        if importlib.util.find_spec("tensorboardX"):
            self._tensorboard = TensorBoard(workdir / "tensorboard", first_epoch=first_epoch)

    def write(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Write the metrics of an epoch (0-based)."""
        row = files.to_plain(metrics)
        self._file.write(json.dumps({"epoch": epoch} | row) + "\n")
        self._file.flush()
        if self._tensorboard is not None:
            scalars = {name: value for name, value in row.items() if not isinstance(value, list)}
            self._tensorboard.write(epoch, scalars)

    def close(self) -> None:
        """Flush and close all."""
        self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()


@contextlib.contextmanager
def open_log(workdir: pathlib.Path, *, first_epoch: int) -> Iterator[Log]:
    """A log that is closed at the end of the block.

    Raises:
      UserError: if it cannot be written, as on a full disk.
    """
    with (
        files.writing_to(f"workdir {workdir}"),
        contextlib.closing(Log(workdir, first_epoch=first_epoch)) as log,
    ):
        yield log


def write_final(workdir: pathlib.Path, metrics: Mapping[str, Any]) -> None:
    """Write the final metrics, plain values, atomically.

    Raises:
      UserError: if the folder cannot be written.
    """
    with files.writing_to(f"workdir {workdir}"):
        files.write_json(workdir / files.FINAL_FILE, metrics)
