"""Schedules, dynamics, thresholds and gates over epochs."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tvae.reporting.figures import palette
from tvae.reporting.figures.panels import Line, Panel
from tvae.runs.run import Run

_PREFIXES = ("schedule/", "dynamics/", "homeostasis/")


@dataclasses.dataclass(frozen=True)
class Gates:
    """Which groups are trained, over epochs ``(n,)``: ``is_open`` is 1 there, ``(groups, n)``."""

    names: list[str]
    epochs: np.ndarray
    is_open: np.ndarray
    title: str = "Gates"

    @property
    def always_open(self) -> bool:
        """Whether every group is trained in every epoch."""
        return bool(self.is_open.all())

    def to_json(self) -> dict[str, Any]:
        """The bands as ``charts.js`` takes them: ``[first epoch, last epoch, open]`` each."""
        spans = []
        for row in self.is_open.astype(int):
            starts = np.flatnonzero(np.diff(row, prepend=-1))
            ends = np.append(starts[1:], row.size) - 1
            spans.append(
                [
                    [float(self.epochs[a]) - 1, float(self.epochs[b]), int(row[a])]
                    for a, b in zip(starts, ends, strict=True)
                ]
            )
        return {"kind": "gates", "names": self.names, "spans": spans, "last": self.epochs[-1]}


def read_gates(run: Run) -> Gates | None:
    """The gates of a run; None where its task has none."""
    keys = [key for key in run.scalars() if key.startswith("gate/")]
    if not keys:
        return None
    series = [run.series(key) for key in keys]
    names = [key.split("/")[1] for key in keys]
    return Gates(names, series[0].epoch, np.stack([each.value for each in series]))


def make_panels(run: Run) -> list[Panel]:
    """A panel for each quantity that changes during the run."""
    return [
        Panel(
            stem.split("/")[1].replace("_", " ").capitalize(),
            [
                Line(key, *run.series(key), palette.line(position), steps=True)
                for position, key in enumerate(keys)
            ],
            epochs=len(run.rows),
        )
        for stem, keys in _by_stem(run).items()
        if _changes(run, keys)
    ]


def constants(run: Run) -> dict[str, float]:
    """The quantities that do not change, with their values."""
    return {
        key: float(run.series(key).value[0])
        for keys in _by_stem(run).values()
        for key in keys
        if not _changes(run, keys)
    }


def _by_stem(run: Run) -> dict[str, list[str]]:
    """Quantities that share a panel: those of A and B, or numbered ones."""
    stems: dict[str, list[str]] = {}
    for key in run.scalars():
        if key.startswith(_PREFIXES):
            stems.setdefault(re.sub(r"(_[ab]|\d+)$", "", key), []).append(key)
    return stems


def _changes(run: Run, keys: Sequence[str]) -> bool:
    return any(np.ptp(run.series(key).value) > 0 for key in keys)
