"""Losses and metrics over the epochs, grouped so that what shares a panel shares a unit."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tvae.reporting.figures import palette
from tvae.reporting.figures.panels import Line, Mark, Panel
from tvae.reporting.findings import Finding
from tvae.runs.run import Run

# Title, which metrics (the first match counts), whether the axis is logarithmic where it can be.
_GROUPS = (
    ("Objective", r"(train|val)/loss", True),
    ("Training terms", r"train/(?!grad_norm|weight_norm)", True),
    ("Validation terms", r"val/", True),
    ("Exact reconstruction", r"eval/(coverage|worst_coverage|score)", False),
    ("Prior coverage", r"eval/prior_coverage", False),
    ("Hierarchy: valuation and radius", r"eval/hierarchy", False),
    ("Tree: distance and 3-adic distance", r"eval/tree_fidelity", False),
    ("Distance correlations", r"eval/dist_corr", False),
    ("Q", r"eval/q_", False),
    ("Richness: spread inside a level", r"eval/richness", True),
    ("Neighbours, triplets, triangles", r"eval/(triplet|ultrametric|neighbour|hamming)", False),
    ("Mean radius by valuation", r"eval/radius_v\d+$", False),
    ("Mean radius by valuation, A", r"eval/radius_v\d+_a", False),
    ("Mean radius by valuation, B", r"eval/radius_v\d+_b", False),
    ("Further measures", r"eval/", False),
    ("Gradient norms", r"train/grad_norm", True),
    ("Weight norms", r"train/weight_norm", True),
)
_FEW = 30  # values of a line that are marked one by one
_WORTH = 20.0  # least ratio of the ends of a logarithmic axis
_LEAST_SPAN = 0.02  # of an axis, relative to its values


def group(keys: Sequence[str]) -> dict[str, list[str]]:
    """Metrics by panel, in the order of the panels; schedules and gates are left out.

    >>> group(["eval/q_quick", "train/loss", "schedule/learning_rate", "val/loss"])
    {'Objective': ['train/loss', 'val/loss'], 'Q': ['eval/q_quick']}
    """
    found: dict[str, list[str]] = {}
    for key in keys:
        title = next((title for title, pattern, _ in _GROUPS if re.match(pattern, key)), None)
        if title is not None:
            found.setdefault(title, []).append(key)
    return {title: found[title] for title, _, _ in _GROUPS if title in found}


def panels(
    record: Run, findings: Sequence[Finding], ceiling_of: Callable[[str], float | None]
) -> list[Panel]:
    """One panel for each group of metrics that the run has.

    Args:
      record: the run.
      findings: those that fired are marked on the panels of their metrics.
      ceiling_of: metric -> its ceiling, if it has one.
    """
    made = []
    for title, keys in group(record.scalars()).items():
        lines = _lines(record, keys, by_level=title.startswith("Mean radius"))
        levels = _ceilings(keys, ceiling_of)
        low, high = _range(lines, levels)
        made.append(
            Panel(
                title,
                lines,
                log=_is_logarithmic(keys[0], lines),
                events=_events(record, keys, findings),
                levels=levels,
                low=low,
                high=high,
                epochs=len(record.rows),
            )
        )
    return made


def overlaid(records: Mapping[str, Run], keys: Sequence[str]) -> list[Panel]:
    """A panel for each metric with a line for each run that has it.

    Args:
      records: run by label.
      keys: metrics, in the order of the panels.
    """
    epochs = max(len(record.rows) for record in records.values())
    made = []
    for key in keys:
        lines = []
        for position, (label, record) in enumerate(records.items()):
            if key in record.scalars():
                lines.append(_line(record, key, label, palette.line(position)))
        made.append(Panel(key, lines, log=_is_logarithmic(key, lines), epochs=epochs))
    return made


def _line(record: Run, key: str, name: str, colour: str) -> Line:
    series = record.series(key)
    return Line(name, *series, colour, markers=series.epoch.size <= _FEW)


def _lines(record: Run, keys: Sequence[str], *, by_level: bool) -> list[Line]:
    """A line for each metric; one that repeats another, such as an only group's, is left out."""
    colours = palette.levels(len(keys)) if by_level else [palette.line(k) for k in range(len(keys))]
    lines: list[Line] = []
    for key, colour in zip(keys, colours, strict=True):
        line = _line(record, key, key, colour)
        if not any(np.array_equal(line.y, other.y) for other in lines if "_norm" in key):
            lines.append(line)
    return lines


def _is_logarithmic(key: str, lines: Sequence[Line]) -> bool:
    """Whether a metric's axis is logarithmic; zeros, such as of closed gates, are left out then."""
    wanted = next((log for _, pattern, log in _GROUPS if re.match(pattern, key)), False)
    values = np.concatenate([line.y for line in lines])
    if not wanted or values.min() < 0 or values.max() == 0:
        return False
    return bool(values.max() > _WORTH * values[values > 0].min())


def _events(record: Run, keys: Sequence[str], findings: Sequence[Finding]) -> list[Mark]:
    """The best epoch and what fired; one mark an epoch, so that words do not overlap."""
    words: dict[float, list[str]] = {}
    for finding in findings:
        if finding.epoch is not None and finding.metric in keys:
            words.setdefault(finding.epoch, []).append(finding.rule)
    fired = set(words)
    best = record.final.get("train/best_epoch")
    if best and keys[0].startswith("eval/"):
        words.setdefault(best, []).insert(0, "best")
    return [
        Mark(epoch, ", ".join(said), palette.BAD if epoch in fired else palette.MARK)
        for epoch, said in words.items()
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
