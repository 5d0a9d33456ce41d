"""Runs and shipped models as rows: read from disk at each call, nothing is cached."""

import json
import pathlib
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from tvae.errors import UserError
from tvae.runs import files
from tvae.runs.run import Run

MAX_DEPTH = 4
"""Levels of folders, below the one given, in which runs are looked for."""
_MARKS = {files.CONFIG_FILE, files.PROVENANCE_FILE, files.METRICS_FILE, files.FINAL_FILE}
"""Files of which one or more are in the folder of a run."""

Row = dict[str, Any]
"""Column -> number or text: ``stage``, ``name``, ``path``, ``task``, ``seed``, ``state``, ...,
metrics by their keys, and the configuration's fields as ``config.<path>``."""


class Found(NamedTuple):
    """A row for each readable folder, and a line for each ``damaged`` one."""

    rows: list[Row]
    damaged: list[str]


def _scalar(value: Any) -> float | str | None:
    """A value as a column holds it: numbers as floats, lists as their JSON text."""
    if value is None or isinstance(value, str):
        return value
    fits = isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 63)
    return float(value) if fits else json.dumps(value)


def _make_row(
    config: Mapping[str, Any], metrics: Mapping[str, Any], run: Mapping[str, Any], **about: Any
) -> Row:
    """Scalar metrics by key, the configuration's fields, and where the run was made."""
    # A name that is empty or steers a terminal is no column.
    named = {key: v for key, v in metrics.items() if key and key.isprintable()}
    row: Row = {key: float(v) for key, v in named.items() if isinstance(_scalar(v), float)}
    for path, value in flatten_dict(dict(config), sep=".").items():
        row[f"config.{path}"] = _scalar(value)
    about |= {"seed": config.get("seed"), "task": str(config.get("task"))}
    about |= {"git_commit": run.get("git_commit"), "device": run.get("device")}
    return row | {key: _scalar(value) for key, value in about.items()}


def read_run(folder: pathlib.Path) -> Row:
    """The row of a working directory, with the metrics of the end, or else of the last epoch.

    Raises:
      UserError: if a file cannot be read, or is a link.
    """
    run = Run.open(folder, follow_links=False)
    if run.finished:
        state, metrics, epochs = "finished", run.final, run.final.get("train/epochs")
    else:
        metrics = dict(run.last_row)
        state, epochs = "unfinished", metrics.pop("epoch", -1) + 1
    return _make_row(run.config.to_dict(), metrics, run.provenance, state=state, epochs=epochs)


def read_shipped(folder: pathlib.Path) -> Row:
    """The row of a folder of parameters, from its card ``metadata.json``.

    Raises:
      UserError: if the card cannot be read, or is a link.
    """
    card = files.read_json(folder / files.METADATA_FILE)
    parts = [card.get(part) for part in ("config", "metrics", "run")]
    config, metrics, run = (part if isinstance(part, dict) else {} for part in parts)
    return _make_row(config, metrics, run, state="finished", epochs=metrics.get("train/epochs"))


def collect(folders: Iterable[tuple[pathlib.Path, Mapping[str, Any]]]) -> Found:
    """Read folders of runs and shipped models, each with columns that add to or replace its own."""
    found = Found([], [])
    for folder, about in folders:
        marks = [(folder / name).exists() for name in (files.CONFIG_FILE, files.METADATA_FILE)]
        try:
            row = read_shipped(folder) if marks == [False, True] else read_run(folder)
        except (UserError, OSError) as error:
            found.damaged.append(str(error))
            continue
        found.rows.append(row | dict(about) | {"path": str(folder)})
    return found


def find_runs(root: pathlib.Path) -> Found:
    """All runs below a folder; none where there is no such folder."""
    if not root.is_dir():
        return Found([], [])
    named = ((f, str(f.relative_to(root)) if f != root else f.name) for f in _run_folders(root))
    return collect((folder, {"stage": "run", "name": name}) for folder, name in named)


def _run_folders(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Folders below one that a run has written to; links are not followed."""
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        entries = sorted(folder.iterdir(), reverse=True)
        if any(entry.name in _MARKS for entry in entries):
            yield folder
        elif depth < MAX_DEPTH:
            pending += [(e, depth + 1) for e in entries if stat.S_ISDIR(e.lstat().st_mode)]
