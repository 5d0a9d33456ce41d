"""What a run's folder says, as the report reads it."""

import dataclasses
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tvae.errors import UserError
from tvae.runs import log as writers
from tvae.runs import workdir


class Series(NamedTuple):
    """A metric over time.

    Attributes:
      epoch: epochs completed, ``(n,)``, increasing.
      value: ``(n,)``.
    """

    epoch: np.ndarray
    value: np.ndarray


@dataclasses.dataclass(frozen=True)
class Record:
    """A run.

    Attributes:
      folder: its working directory.
      config: its configuration, as stored: lists where tuples were.
      rows: its metrics, one row per epoch.
      final: its final metrics; those of the last rows while it has not finished.
      finished: whether it has.
      run: what it depends on besides the configuration.
    """

    folder: pathlib.Path
    config: ConfigDict
    rows: list[dict[str, Any]]
    final: dict[str, Any]
    finished: bool
    run: dict[str, Any]

    @property
    def recipe(self) -> str:
        """Name of the configuration file, as the command gave it."""
        for argument in self.run.get("command", []):
            if argument.startswith("--config="):
                return pathlib.Path(argument.removeprefix("--config=")).stem
        return str(self.config.task)

    @property
    def n_digits(self) -> int:
        """Digits of an operation."""
        return self.config.data.get("n_digits", 9)

    def scalars(self) -> list[str]:
        """Scalar metrics of the rows, sorted."""
        found = {key for row in self.rows for key, value in row.items() if np.isscalar(value)}
        return sorted(found - {"epoch"})

    def series(self, key: str) -> Series:
        """A metric over time; empty where the run has none of that name."""
        pairs = [(row["epoch"] + 1, row[key]) for row in self.rows if key in row]
        table = np.asarray(pairs, float).reshape(-1, 2)
        return Series(table[:, 0], table[:, 1])


def _rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """Rows of a metrics file; a half-written last line is left out."""
    rows = []
    try:
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    except OSError as error:
        raise UserError(f"workdir {path.parent}: {path.name} cannot be read") from error
    if not rows:
        raise UserError(f"workdir {path.parent}: {path.name} holds no metrics yet")
    return rows


def read(folder: pathlib.Path) -> Record:
    """Read a run.

    Args:
      folder: working directory of a run, finished or not.

    Raises:
      UserError: if it is none, or its metrics are missing or damaged.
    """
    config = workdir.read_config(folder)
    rows = _rows(folder / writers.METRICS_FILE)
    final_file = folder / writers.FINAL_FILE
    final = {key: value for row in rows for key, value in row.items() if "/" in key}
    finished = final_file.exists()
    if finished:
        try:
            final = json.loads(final_file.read_text())
        except ValueError as error:
            raise UserError(f"{final_file}: not readable as JSON ({error})") from error
    return Record(folder, config, rows, final, finished, workdir.read_provenance(folder))
