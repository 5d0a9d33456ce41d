"""Where metrics go: JSON lines always, TensorBoard where installed, a table."""

import contextlib
import importlib.util
import json
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tvae.errors import UserError
from tvae.runs import files

METRICS_FILE = "metrics.jsonl"
FINAL_FILE = "metrics.json"


def to_plain(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """NumPy or JAX values as Python numbers and lists, for JSON."""
    return {name: np.asarray(value).tolist() for name, value in metrics.items()}


def keep_rows_before(path: pathlib.Path, epoch: int) -> None:
    """Drop rows of epochs that a resumed run will do again, and a half-written last row."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(errors="replace").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            if json.loads(line)["epoch"] < epoch:
                kept.append(line + "\n")
    files.write_text(path, "".join(kept))


class TensorBoard:
    """An event file of scalars.

    It writes in the caller's thread: tensorboardX's own thread dies of a full disk, and the run
    then waits for it forever.

    Attributes:
      FLUSH_SECONDS: how often events must reach the disk, for those who watch.
    """

    FLUSH_SECONDS = 30.0

    def __init__(self, folder: pathlib.Path, *, first_epoch: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2

        self._event, self._summary = event_pb2, summary_pb2.Summary
        folder.mkdir(exist_ok=True)
        # The suffix: two starts within a second must not share a file.
        self._file = EventsWriter(str(folder / "events"), f".{first_epoch}")
        self._flushed = time.monotonic()
        # Says that what older files hold of these epochs is void.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._file.write_event(event_pb2.Event(step=first_epoch, session_log=start))

    def write(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of an epoch as one event."""
        values = [self._summary.Value(tag=k, simple_value=v) for k, v in scalars.items()]
        summary = self._summary(value=values)
        self._file.write_event(
            self._event.Event(step=epoch, wall_time=time.time(), summary=summary)
        )
        if time.monotonic() - self._flushed > self.FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


class Writers:
    """Writes one row of metrics per epoch.

    Attributes:
      workdir: gets ``metrics.jsonl`` and, with tensorboardX installed, ``tensorboard/``.
    """

    def __init__(self, workdir: pathlib.Path, *, first_epoch: int) -> None:
        keep_rows_before(workdir / METRICS_FILE, first_epoch)
        self._file = (workdir / METRICS_FILE).open("a")
        self._tensorboard = None
        if importlib.util.find_spec("tensorboardX"):
            self._tensorboard = TensorBoard(workdir / "tensorboard", first_epoch=first_epoch)

    def write(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Write the metrics of an epoch (0-based)."""
        row = to_plain(metrics)
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
def _refusals(workdir: pathlib.Path) -> Iterator[None]:
    """Say in one line that a folder cannot be written, as on a full disk."""
    try:
        yield
    except OSError as error:
        raise UserError(f"workdir {workdir}: cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def open_writers(workdir: pathlib.Path, *, first_epoch: int) -> Iterator[Writers]:
    """Writers that are closed at the end of the block.

    Raises:
      UserError: if they cannot write, as on a full disk.
    """
    with (
        _refusals(workdir),
        contextlib.closing(Writers(workdir, first_epoch=first_epoch)) as writers,
    ):
        yield writers


def write_final(workdir: pathlib.Path, metrics: Mapping[str, Any]) -> None:
    """Write the final metrics, plain values, in one instant.

    Raises:
      UserError: if the folder cannot be written.
    """
    with _refusals(workdir):
        files.write_json(workdir / FINAL_FILE, metrics)


def describe(metrics: Mapping[str, Any]) -> str:
    """The progress bar's summary: training loss and the latest coverages."""
    parts = []
    for name in ("train/loss", "eval/coverage_mu_a", "eval/coverage_mu_b", "eval/coverage_ball"):
        if name in metrics:
            label = name.split("/")[1].replace("coverage", "cov").replace("_mu", "")
            parts.append(f"{label} {float(metrics[name]):.4f}")
    return ", ".join(parts)


def table(metrics: Mapping[str, Any]) -> str:
    """A two-column text table of scalar metrics; vectors are shown as their length."""
    width = max(map(len, metrics), default=0)
    rows = []
    for name, value in metrics.items():
        shown = f"[{len(value)} values]" if isinstance(value, list) else f"{value:.6g}"
        rows.append(f"{name:<{width}}  {shown}")
    return "\n".join(rows)
