"""A run on disk: ``Run`` reads each file of a working directory once, when it is asked for."""

import dataclasses
import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tvae.errors import UserError
from tvae.runs import files
from tvae.runs.log import parse_row

_TAIL_BYTES = 256 * 2**10
"""Of a log's end, where its last row is looked for."""


class Series(NamedTuple):
    """A metric over time: epochs completed, increasing, and values, each ``(n,)``."""

    epoch: np.ndarray
    value: np.ndarray


def checkpoint_steps(folder: pathlib.Path) -> list[int]:
    """Steps of the checkpoints in a folder, increasing; damaged ones set aside are left out."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


@dataclasses.dataclass(frozen=True)
class Run:
    """The working directory of a run, finished or not."""

    folder: pathlib.Path
    follow_links: bool = True

    @classmethod
    def open(cls, folder: pathlib.Path, *, follow_links: bool = True) -> "Run":
        """Open a working directory and read its configuration.

        Raises:
          UserError: if it does not hold a run.
        """
        if not folder.is_dir():
            raise UserError(f"workdir {folder}: no such folder")
        run = cls(folder, follow_links)
        _ = run.config
        return run

    def _read_json(self, name: str) -> dict[str, Any]:
        return files.read_json(self.folder / name, follow_links=self.follow_links)

    @functools.cached_property
    def config(self) -> ConfigDict:
        """The configuration as stored: lists where tuples were."""
        stored = self._read_json(files.CONFIG_FILE)
        try:
            return ConfigDict(stored)
        # A name with a dot, or that of a method.
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            where = self.folder / files.CONFIG_FILE
            raise UserError(
                f"{where}: not a configuration ({str(error).splitlines()[0]})"
            ) from error

    @functools.cached_property
    def provenance(self) -> dict[str, Any]:
        """The result of :func:`tvae.runs.workdir.provenance` when the run began."""
        found = self._read_json(files.PROVENANCE_FILE)
        command = found.get("command", [])
        if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
            where = self.folder / files.PROVENANCE_FILE
            raise UserError(f"{where}: expected a list of words as the command")
        return found | {"command": command}

    @functools.cached_property
    def finished(self) -> bool:
        """Whether the final metrics have been written."""
        return (self.folder / files.FINAL_FILE).exists()

    def require_finished(self) -> None:
        """Refuse a run that goes on, or was stopped.

        Raises:
          UserError: if its final metrics are missing.
        """
        if not self.finished:
            name = files.FINAL_FILE
            raise UserError(f"workdir {self.folder}: {name} is missing; the run has not finished")

    @functools.cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The metrics by epoch; a half-written last row is left out.

        Raises:
          UserError: if the log is missing, damaged or empty.
        """
        path = self.folder / files.METRICS_FILE
        content = files.read_bytes(path, limit=files.MAX_FILE_BYTES, follow_links=self.follow_links)
        # What follows the last line break is half-written, or empty.
        lines = content.split(b"\n")[:-1]
        if not lines:
            raise UserError(f"workdir {self.folder}: {path.name} holds no metrics yet")
        return [parse_row(line, f"{path}:{i}") for i, line in enumerate(lines, start=1)]

    @functools.cached_property
    def last_row(self) -> dict[str, Any]:
        """The last complete row, without reading those before; {} without one."""
        path = self.folder / files.METRICS_FILE
        try:
            with files.open_regular(path, follow_links=self.follow_links) as file:
                file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
                complete = [line for line in file.read(_TAIL_BYTES).split(b"\n")[:-1] if line]
        except FileNotFoundError:
            return {}
        return parse_row(complete[-1], f"{path}: last row") if complete else {}

    @functools.cached_property
    def final(self) -> dict[str, Any]:
        """The final metrics; the latest of each metric while the run has not finished."""
        if self.finished:
            metrics = self._read_json(files.FINAL_FILE)
            files.check_metrics(metrics, self.folder / files.FINAL_FILE)
            return metrics
        return {key: value for row in self.rows for key, value in row.items() if "/" in key}

    @functools.cached_property
    def checkpoint_steps(self) -> list[int]:
        """Steps of its checkpoints, increasing."""
        return checkpoint_steps(self.folder / files.CHECKPOINTS)

    @property
    def config_name(self) -> str:
        """Name of the configuration file as the command gave it, or else of the task."""
        for argument in self.provenance.get("command", []):
            if argument.startswith("--config="):
                return pathlib.Path(argument.removeprefix("--config=")).stem
        return str(self.config.get("task"))

    def scalars(self) -> list[str]:
        """Scalar metrics of the rows, sorted."""
        found = {key for row in self.rows for key, value in row.items() if np.isscalar(value)}
        return sorted(found - {"epoch"})

    def series(self, key: str) -> Series:
        """A metric over time; empty where the run has none of that name."""
        pairs = [(row["epoch"] + 1, row[key]) for row in self.rows if key in row]
        table = np.asarray(pairs, float).reshape(-1, 2)
        return Series(table[:, 0], table[:, 1])
