"""Losses and metrics over epochs, grouped so that the metrics of a panel share a unit."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tvae.domains.domain import Curves
from tvae.reporting.figures import palette
from tvae.reporting.figures.panels import Line, Mark, Panel
from tvae.reporting.findings import Finding
from tvae.runs.run import Run

_BEFORE = (
    Curves("Objective", r"(train|val)/loss", logarithmic=True),
    Curves("Training terms", r"train/(?!grad_norm|weight_norm)", logarithmic=True),
    Curves("Validation terms", r"val/", logarithmic=True),
)
_AFTER = (
    Curves("Further measures", r"eval/"),
    Curves("Gradient norms", r"train/grad_norm", logarithmic=True),
    Curves("Weight norms", r"train/weight_norm", logarithmic=True),
)
_FEW = 30  # values of a line that are marked one by one
_WORTH = 20.0  # least ratio of the ends of a logarithmic axis
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
) -> list[Panel]:
    """One panel for each group of metrics that the run has.

    Args:
      run: the run.
      groups: those of its domain.
      findings: those that fired are marked on the panels of their metrics.
      ceiling_of: metric -> its ceiling, if it has one.
    """
    made = []
    for group, keys in group_metrics(run.scalars(), groups).items():
        lines = _lines(run, keys, by_level=group.by_level)
        levels = _ceilings(keys, ceiling_of)
        low, high = _range(lines, levels)
        made.append(
            Panel(
                group.title,
                lines,
                log=group.logarithmic and _fits_logarithmic(lines),
                events=_events(run, keys, findings),
                levels=levels,
                low=low,
                high=high,
                epochs=len(run.rows),
            )
        )
    return made


def overlay_runs(
    runs: Mapping[str, Run], keys: Sequence[str], groups: Sequence[Curves]
) -> list[Panel]:
    """A panel for each metric, in the order of ``keys``, with a line for each run that has it."""
    epochs = max(len(run.rows) for run in runs.values())
    made = []
    for key in keys:
        lines = [
            _line(run, key, label, palette.line(position))
            for position, (label, run) in enumerate(runs.items())
            if key in run.scalars()
        ]
        logarithmic = any(group.logarithmic for group in group_metrics([key], groups))
        log = logarithmic and _fits_logarithmic(lines)
        made.append(Panel(key, lines, log=log, epochs=epochs))
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


def _events(run: Run, keys: Sequence[str], findings: Sequence[Finding]) -> list[Mark]:
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
        Mark(epoch, ", ".join(labels), palette.BAD if epoch in fired else palette.MARK)
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
