"""Metrics beside their definitions, as text: a table, JSON or CSV."""

import csv
import io
import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvae.domains.aspects import Verdict
from tvae.metrics.definitions import Definition
from tvae.runs import text

Define = Callable[[str], Definition | None]
"""Metric key -> its definition, or None where it has none."""

COLUMNS = ("metric", "value", "ceiling", "published", "better", "definition", "measured_on", "note")
_NOTE_WIDTH = 100  # characters of a line of notes below the table
_UNDEFINED = Definition("no definition", "", "neither")


def _rows(metrics: Mapping[str, Any], define: Define) -> list[tuple[str, Any, Definition]]:
    return [(key, value, define(key) or _UNDEFINED) for key, value in metrics.items()]


def once(metrics: Mapping[str, Any], define: Define) -> dict[str, Any]:
    """The metrics without those that another key among them repeats.

    >>> repeats = Definition("", "", "neither", same_as="latent/kl")
    >>> once({"eval/kl": 1.0, "latent/kl": 1.0}, {"eval/kl": repeats}.get)
    {'latent/kl': 1.0}
    """
    known = {key: define(key) for key in metrics}
    return {
        key: value
        for key, value in metrics.items()
        if (found := known[key]) is None or found.same_as not in metrics
    }


def summary(
    metrics: Mapping[str, Any],
    define: Define,
    *,
    verdicts: Sequence[Verdict],
    headline: Sequence[str] = (),
    verbose: bool = False,
) -> str:
    """The final metrics of a training as a terminal shows them, each quantity once.

    Args:
      metrics: of the final evaluation.
      define: their definitions.
      verdicts: the metrics that have a target, against it.
      headline: metrics that are shown besides.
      verbose: whether all others are shown too, as they are where nothing has a target.

    >>> verdict = Verdict("eval/share", 0.1, 0.5, at_least=True)
    >>> share = Definition("share of draws", "1,000 draws", "higher", ceiling=1.0)
    >>> metrics = {"eval/share": 0.1, "eval/x": 2.0}
    >>> print(summary(metrics, {"eval/share": share}.get, verdicts=[verdict]), end="")
    metric      value  target  ceiling
    eval/share    0.1   ≥ 0.5        1  missed
    0 of 1 targets reached; --verbose shows 1 more metric
    """
    found = once(metrics, define)
    judged = {verdict.metric: verdict for verdict in verdicts}
    first = [key for key in dict.fromkeys([*judged, *headline]) if key in metrics or key in judged]
    others = [key for key in found if key not in first]
    cells = []
    for key in [*first, *others] if verbose or not first else first:
        known, verdict = define(key) or _UNDEFINED, judged.get(key)
        value = text.metric(metrics[key]) if key in metrics else "-"
        result = "" if verdict is None else "reached" if verdict.reached else "missed"
        target = "-" if verdict is None else verdict.target
        cells.append((key, value, target, text.number(known.ceiling), result))
    lines = [text.table(cells, ("metric", "value", "target", "ceiling", ""), right=3)]
    reached = sum(verdict.reached for verdict in verdicts)
    closing = [f"{reached} of {len(verdicts)} targets reached"] if verdicts else []
    if first and others and not verbose:
        closing.append(f"--verbose shows {len(others)} more metric{'s' * (len(others) > 1)}")
    lines += ["; ".join(closing)] if closing else []
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def as_table(metrics: Mapping[str, Any], define: Define) -> str:
    """Aligned columns: metric, value, ceiling, published value, definition; notes follow below.

    Vectors are shown as their length, and a quantity that two keys have once. A note stands once
    for all metrics that share it.

    >>> share = Definition("share of draws", "1,000 draws", "higher", ceiling=1.0)
    >>> print(as_table({"eval/share": 0.1}, {"eval/share": share}.get))
    metric      value  ceiling  published  definition
    eval/share    0.1        1          -  share of draws
    """
    header = ("metric", "value", "ceiling", "published", "definition")
    cells = []
    notes: dict[str, list[str]] = {}
    for key, value, known in _rows(once(metrics, define), define):
        numbers = map(text.number, (known.ceiling, known.published))
        cells.append((key, text.metric(value), *numbers, known.text))
        if known.note:
            notes.setdefault(known.note, []).append(key)
    lines = [text.table(cells, header, right=3)]
    for note, keys in notes.items():
        named = ", ".join(key.removeprefix("eval/") for key in keys)
        lines += textwrap.wrap(f"{named}: {note}", _NOTE_WIDTH, subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def as_json(metrics: Mapping[str, Any], define: Define) -> str:
    """One flat JSON object: metric key -> number, list for a vector, null for what is not finite.

    >>> print(as_json({"eval/rho": 0.5, "eval/richness": math.nan}, {}.get), end="")
    {"eval/rho": 0.5, "eval/richness": null}
    """
    del define
    finite = {key: _finite(value) for key, value in metrics.items()}
    return json.dumps(finite, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """A number, or None where it is not finite; lists by entry."""
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return value if math.isfinite(value) else None


def as_csv(metrics: Mapping[str, Any], define: Define) -> str:
    """One row a metric with the columns :data:`COLUMNS`; a vector has one row for each entry.

    >>> share = Definition("share of draws", "1,000 draws", "higher", ceiling=1.0)
    >>> as_csv({"eval/share": 0.1}, {"eval/share": share}.get).splitlines()[1]
    'eval/share,0.1,1.0,,higher,share of draws,"1,000 draws",'
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for key, value, known in _rows(metrics, define):
        entries = [(key, value)]
        if isinstance(value, list):
            entries = [(f"{key}[{i}]", entry) for i, entry in enumerate(value)]
        about = (known.ceiling, known.published, known.better, known.text, known.measured_on)
        for name, number in entries:
            writer.writerow((name, number, *about, known.note))
    return out.getvalue()


FORMATS: dict[str, Callable[..., str]] = {"table": as_table, "json": as_json, "csv": as_csv}
