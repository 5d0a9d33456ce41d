"""The page of a search: frontier, parallel coordinates, importance of the fields."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from tvae.reporting.page import make_environment
from tvae.runs import files, text
from tvae.searching import Search, Trial

PAGE = "search.html"
WIDTH, HEIGHT, MARGIN = 760, 340, 60
"""Of a drawing, in units of its view box."""


class Scale(NamedTuple):
    """Positions of values on an axis from 0 to 1.

    Attributes:
      name: of the quantity.
      ticks: position and label of what is written beside the axis.
      at: position of each trial.
    """

    name: str
    ticks: list[tuple[float, str]]
    at: list[float]


class Mark(NamedTuple):
    """A trial in a drawing: its number, whether it is of the frontier, and its points."""

    number: int
    best: bool
    points: list[tuple[float, float]]


def make_scale(name: str, values: Sequence[Any]) -> Scale:
    """Numbers between the least and the largest, logarithmic over two decades; else categories.

    >>> make_scale("rate", [1e-4, 1e-2, 1e-3]).at
    [0.0, 1.0, 0.5]
    >>> make_scale("kind", ["b", "a", "b"]).at
    [1.0, 0.0, 1.0]
    """
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers or len(set(values)) < 2:
        kinds = sorted(set(map(str, values)))
        last = max(len(kinds) - 1, 1)
        ticks = [(i / last, kind) for i, kind in enumerate(kinds)]
        return Scale(name, ticks, [kinds.index(str(v)) / last for v in values])
    log = min(values) > 0 and max(values) >= 100 * min(values)
    place = [math.log(v) if log else float(v) for v in values]
    low, high = min(place), max(place)
    ticks = [(0.0, f"{min(values):.4g}"), (1.0, f"{max(values):.4g}")]
    return Scale(name, ticks, [round((p - low) / (high - low), 9) for p in place])


def write_page(found: Search) -> pathlib.Path:
    """Write ``search.html`` into the folder of a search; its path.

    Raises:
      UserError: if it cannot be written.
    """
    finished = [trial for trial in found.trials if trial.values]
    page = make_environment().get_template(PAGE)
    written = page.render(
        folder=found.folder.name,
        trials=found.trials,
        frontier=set(found.frontier),
        importance=found.importance,
        plane=_plane(finished, found) if finished else None,
        parallel=_parallel(finished, found) if finished else None,
        width=WIDTH,
        height=HEIGHT,
        margin=MARGIN,
        short=text.short,
    )
    with files.writing_to(f"workdir {found.folder}"):
        files.write_text(found.folder / PAGE, written)
    return found.folder / PAGE


def _drawn(scales: Sequence[Scale], trials: Sequence[Trial], found: Search) -> dict[str, Any]:
    """Vertical axes side by side, and a line through them for each trial, the best ones last."""
    step = (WIDTH - 2 * MARGIN) / max(len(scales) - 1, 1)
    marks = [
        Mark(
            trial.number,
            trial.number in found.frontier,
            [(MARGIN + i * step, _down(scale.at[n])) for i, scale in enumerate(scales)],
        )
        for n, trial in enumerate(trials)
    ]
    axes = [(MARGIN + i * step, scale) for i, scale in enumerate(scales)]
    return {"axes": axes, "marks": sorted(marks, key=lambda mark: mark.best)}


def _parallel(trials: Sequence[Trial], found: Search) -> dict[str, Any]:
    """Fields and objectives as parallel coordinates."""
    fields = [make_scale(path, [t.changes[path] for t in trials]) for path in trials[0].changes]
    goals = [make_scale(key, [t.values[key] for t in trials]) for key in trials[0].values]
    return _drawn([*fields, *goals], trials, found)


def _plane(trials: Sequence[Trial], found: Search) -> dict[str, Any]:
    """The first two objectives against each other; of one, its values by trial."""
    keys = list(trials[0].values)
    x = make_scale(keys[0], [t.values[keys[0]] for t in trials])
    y = make_scale(keys[1], [t.values[keys[1]] for t in trials]) if keys[1:] else x
    if not keys[1:]:
        x = make_scale("trial", [t.number for t in trials])
    marks = [
        Mark(trial.number, trial.number in found.frontier, [(_along(x.at[n]), _down(y.at[n]))])
        for n, trial in enumerate(trials)
    ]
    return {"x": x, "y": y, "marks": sorted(marks, key=lambda mark: mark.best)}


def _along(share: float) -> float:
    return MARGIN + share * (WIDTH - 2 * MARGIN)


def _down(share: float) -> float:
    """Vertical position: larger values are higher."""
    return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
