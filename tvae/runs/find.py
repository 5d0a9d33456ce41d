"""Runs and artifacts as rows, read from disk: the disk is the truth, nothing is remembered."""

import json
import pathlib
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from tvae.artifacts import names
from tvae.artifacts.repository import ADDED_BY, Repository, current_versions
from tvae.errors import UserError
from tvae.runs import files, workdir
from tvae.runs import log as writers
from tvae.runs import params as parameters

MAX_DEPTH = 4
"""Levels of folders, below the one given, in which runs are looked for."""
_TAIL_BYTES = 256 * 2**10
"""Of a log's end, where its last row is looked for."""

Row = dict[str, Any]
"""Column -> number or text: ``stage``, ``name``, ``path``, ``task``, ``seed``, ``state``, ...,
metrics by their keys, and the configuration's fields as ``config.<path>``."""


class Found(NamedTuple):
    """What lies on disk.

    Attributes:
      rows: one for each readable run or artifact.
      damaged: one line for each that is not.
    """

    rows: list[Row]
    damaged: list[str]


def _scalar(value: Any) -> float | str | None:
    """A value as a column holds it: numbers as floats, lists as their JSON text."""
    if value is None or isinstance(value, str):
        return value
    return float(value) if isinstance(value, int | float) else json.dumps(value)


def _columns(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> Row:
    """Scalar metrics by key, and the configuration's fields."""
    row: Row = {key: float(v) for key, v in metrics.items() if isinstance(v, int | float)}
    for path, value in flatten_dict(dict(config), sep=".").items():
        row[f"config.{path}"] = _scalar(value)
    task, seed = config.get("task"), config.get("seed")
    return row | {"task": str(task), "seed": _scalar(seed)}


def _last_row(log: pathlib.Path) -> dict[str, Any]:
    """The last complete row of a run's log; {} without one."""
    try:
        with files.open_regular(log) as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).split(b"\n")
    except FileNotFoundError:
        return {}
    # What follows the last line break is half-written, and empty in a log at rest.
    complete = [line for line in lines[:-1] if line]
    return files.parse_json(complete[-1], f"{log}: last row") if complete else {}


def read_run(folder: pathlib.Path) -> Row:
    """The row of a working directory, finished or not.

    Args:
      folder: with ``config.json``; metrics are those of the end, or else of the last epoch.

    Raises:
      UserError: if something that is there cannot be read.
    """
    config = files.read_json(folder / workdir.CONFIG_FILE)
    finished = (folder / writers.FINAL_FILE).exists()
    if finished:
        metrics = files.read_json(folder / writers.FINAL_FILE)
        epochs = metrics.get("train/epochs")
    else:
        metrics = _last_row(folder / writers.METRICS_FILE)
        epochs = metrics.pop("epoch", -1) + 1
    run = files.read_json(folder / workdir.RUN_FILE)
    about = {"state": "finished" if finished else "unfinished", "epochs": _scalar(epochs)}
    about |= {"git_commit": _scalar(run.get("git_commit")), "device": _scalar(run.get("device"))}
    return _columns(config, metrics) | about


def _read_shipped(folder: pathlib.Path) -> Row:
    """The row of a validated or production artifact."""
    card = files.read_json(folder / parameters.METADATA_FILE)
    parts = [card.get(part) for part in ("config", "metrics", "run")]
    config, metrics, run = (part if isinstance(part, dict) else {} for part in parts)
    about = {"state": "finished", "epochs": _scalar(metrics.get("train/epochs"))}
    about |= {"git_commit": _scalar(run.get("git_commit")), "device": _scalar(run.get("device"))}
    return _columns(config, metrics) | about


def _run_folders(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Folders below one that a run has written to; links are not followed."""
    marks = {workdir.CONFIG_FILE, workdir.RUN_FILE, writers.METRICS_FILE, writers.FINAL_FILE}
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        entries = sorted(folder.iterdir(), reverse=True)
        if any(entry.name in marks for entry in entries):
            yield folder
        elif depth < MAX_DEPTH:
            pending += [(e, depth + 1) for e in entries if stat.S_ISDIR(e.lstat().st_mode)]


def find_runs(root: pathlib.Path) -> Found:
    """All runs below a folder; none where there is no such folder.

    Args:
      root: such as ``runs/``.
    """
    found = Found([], [])
    if not root.is_dir():
        return found
    for folder in _run_folders(root):
        name = str(folder.relative_to(root)) if folder != root else folder.name
        about = {"stage": "run", "name": name}
        _collect(found, folder, read_run, about)
    return found


def find_artifacts(repository: Repository) -> Found:
    """All artifacts that the ledger knows.

    Args:
      repository: where they lie; may be empty.

    Raises:
      UserError: if the ledger is damaged.
    """
    found = Found([], [])
    events = repository.events()
    current = current_versions(events)
    for event in events:
        stage, name = event.stage, names.parse_name(event.name)
        if ADDED_BY.get(event.action) != stage:
            continue
        in_use = stage == "production" and current[name.model] == name.version
        about = {"stage": stage, "name": event.name, "created": event.time}
        about |= {"state": "current" if in_use else stage, "note": event.note}
        read = read_run if stage == "raw" else _read_shipped
        _collect(found, repository.root / stage / name.model / name.version, read, about)
    return found


def _collect(
    found: Found, folder: pathlib.Path, read: Callable[[pathlib.Path], Row], about: Row
) -> None:
    """Add the row of a folder, or the line that says why there is none."""
    try:
        row = read(folder)
    except (UserError, OSError) as error:
        found.damaged.append(str(error))
        return
    found.rows.append(row | about | {"path": str(folder)})
