"""Losses and metrics over epochs, grouped so that the metrics of a panel share a unit."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tvae.domains.domain import Curves
from tvae.reporting.figures import palette
from tvae.reporting.figures.panels import Line, Mark, Panel
from tvae.reporting.findings import Finding
from tvae.runs.run import Run

_BEFORE = (
    Curves("Objective", r"(train|val)/loss", logarithmic=True),
    Curves(
        "Training terms", r"train/(?!grad_norm|weight_norm|balance/|weighted/)", logarithmic=True
    ),
    Curves("Training terms, weighted", r"train/weighted/", logarithmic=True),
    Curves("Validation terms", r"val/", logarithmic=True),
)
_AFTER = (
    Curves("Further measures", r"eval/"),
    Curves("Coefficients of balanced terms", r"train/balance/", logarithmic=True),
    Curves("Gradient norms", r"train/grad_norm", logarithmic=True),
    Curves("Weight norms", r"train/weight_norm", logarithmic=True),
)
_FEW = 30  # values of a line that are marked one by one
_WORTH = 20.0  # least ratio of the ends of a logarithmic axis
_LEAST_CHANGE = 1e-4  # of a metric that has a line, relative to its values
_LEAST_SPAN = 0.02  # of an axis, relative to its values


def group_metrics(keys: Iterable[str], groups: Sequence[Curves]) -> dict[Curves, list[str]]:
    """Metrics by panel, in the order of the panels; schedules and gates belong to none.

    >>> groups = group_metrics(["eval/q_quick", "train/loss", "schedule/x", "val/loss"], ())
    >>> {group.title: keys for group, keys in groups.items()}
    {'Objective': ['train/loss', 'val/loss'], 'Further measures': ['eval/q_quick']}
    """
    every = (*_BEFORE, *groups, *_AFTER)
    found: dict[Curves, list[str]] = {group: [] for group in every}
    for key in keys:
        if group := next((each for each in every if re.match(each.pattern, key)), None):
            found[group].append(key)
    return {group: members for group, members in found.items() if members}


def make_panels(
    run: Run,
    groups: Sequence[Curves],
    findings: Sequence[Finding],
    ceiling_of: Callable[[str], float | None],
    *,
    alarm: bool = True,
) -> list[Panel]:
    """One panel for each group, with a line for each of its metrics that changes during the run.

    Args:
      run: the run.
      groups: those of its domain.
      findings: those that fired are marked on the panels of their metrics.
      ceiling_of: metric -> its ceiling, if it has one.
      alarm: whether what fired is marked in the colour of what failed.
    """
    made = []
    for group, keys in group_metrics(run.scalars(), groups).items():
        keys = [key for key in keys if _changes(run, key)]
        if not keys:
            continue
        lines = _lines(run, keys, by_level=group.by_level)
        levels = _ceilings(keys, ceiling_of)
        low, high = _range(lines, levels)
        made.append(
            Panel(
                group.title,
                lines,
                log=group.logarithmic and _fits_logarithmic(lines),
                events=_events(run, keys, findings, alarm=alarm),
                levels=levels,
                low=low,
                high=high,
                epochs=len(run.rows),
            )
        )
    return made


def constants(run: Run, groups: Sequence[Curves]) -> dict[str, float]:
    """Metrics that no panel has: measured once, or constant; with their values."""
    return {
        key: float(run.series(key).value[-1])
        for keys in group_metrics(run.scalars(), groups).values()
        for key in keys
        if not _changes(run, key)
    }


def _changes(run: Run, key: str) -> bool:
    """Whether a line of the metric would show anything but a level."""
    value = run.series(key).value
    return bool(np.ptp(value) > _LEAST_CHANGE * np.abs(value).max())


class Curve(NamedTuple):
    """A metric of a run, as a line beside those of other runs."""

    run: Run
    key: str
    name: str


def overlay_runs(
    quantities: Mapping[str, Sequence[Curve]], groups: Sequence[Curves], epochs: int
) -> list[Panel]:
    """A panel for each quantity with a line for each curve; none where nothing changes."""
    made = []
    for title, given in quantities.items():
        if not any(_changes(each.run, each.key) for each in given):
            continue
        lines = [
            _line(each.run, each.key, each.name, palette.line(position))
            for position, each in enumerate(given)
        ]
        logarithmic = any(group.logarithmic for group in group_metrics([given[0].key], groups))
        log = logarithmic and _fits_logarithmic(lines)
        made.append(Panel(title, lines, log=log, epochs=epochs))
    return made


def _line(run: Run, key: str, name: str, colour: str) -> Line:
    series = run.series(key)
    return Line(name, *series, colour, markers=series.epoch.size <= _FEW)


def _lines(run: Run, keys: Sequence[str], *, by_level: bool) -> list[Line]:
    """A line for each metric; the norm of an only group, which repeats the total, is left out."""
    colours = palette.levels(len(keys)) if by_level else [palette.line(k) for k in range(len(keys))]
    lines: list[Line] = []
    for key, colour in zip(keys, colours, strict=True):
        line = _line(run, key, key, colour)
        if not any(np.array_equal(line.y, other.y) for other in lines if "_norm" in key):
            lines.append(line)
    return lines


def _fits_logarithmic(lines: Sequence[Line]) -> bool:
    """Whether a logarithmic axis suits the values; zeros, as of closed gates, are left out then."""
    values = np.concatenate([line.y for line in lines])
    if values.min() < 0 or values.max() == 0:
        return False
    return bool(values.max() > _WORTH * values[values > 0].min())


def _events(
    run: Run, keys: Sequence[str], findings: Sequence[Finding], *, alarm: bool
) -> list[Mark]:
    """The best epoch and what fired; one mark an epoch, so that labels do not overlap."""
    words: dict[float, list[str]] = {}
    for finding in findings:
        if finding.epoch is not None and finding.metric in keys:
            words.setdefault(finding.epoch, []).append(finding.rule)
    fired = set(words)
    best = run.final.get("train/best_epoch")
    if best and keys[0].startswith("eval/"):
        words.setdefault(best, []).insert(0, "best")
    return [
        Mark(epoch, ", ".join(labels), palette.BAD if alarm and epoch in fired else palette.MARK)
        for epoch, labels in words.items()
    ]


def _ceilings(keys: Sequence[str], ceiling_of: Callable[[str], float | None]) -> list[Mark]:
    """The ceiling that all metrics of a panel share."""
    ceilings = {ceiling_of(key) for key in keys}
    ceiling = ceilings.pop() if len(ceilings) == 1 else None
    return [] if ceiling is None else [Mark(ceiling, f"ceiling {ceiling:.5g}")]


def _range(lines: Sequence[Line], levels: Sequence[Mark]) -> tuple[float | None, float | None]:
    """Ends of the axis where values hardly differ: an axis of their own would show noise."""
    values = np.concatenate([line.y for line in lines] + [np.asarray([m.at for m in levels])])
    low, high = values.min(), values.max()
    least = _LEAST_SPAN * max(abs(low), abs(high))
    if high - low >= least:
        return None, None
    return (low + high - least) / 2, (low + high + least) / 2
