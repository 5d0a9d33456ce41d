"""Metrics beside their definitions, as text: a table, JSON or CSV."""

import csv
import io
import json
import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from tvae.metrics.definitions import Definition
from tvae.runs import text

Define = Callable[[str], Definition | None]
"""Metric key -> its definition, or None where it has none."""

COLUMNS = ("metric", "value", "ceiling", "published", "better", "definition", "measured_on", "note")
_NOTE_WIDTH = 100  # characters of a line of notes below the table
_UNDEFINED = Definition("no definition", "", "neither")


def _rows(metrics: Mapping[str, Any], define: Define) -> list[tuple[str, Any, Definition]]:
    return [(key, value, define(key) or _UNDEFINED) for key, value in metrics.items()]


def as_table(metrics: Mapping[str, Any], define: Define) -> str:
    """Aligned columns: metric, value, ceiling, published value, definition; notes follow below.

    Vectors are shown as their length. A note stands once for all metrics that share it.

    >>> share = Definition("share of draws", "1,000 draws", "higher", ceiling=1.0)
    >>> print(as_table({"eval/share": 0.1}, {"eval/share": share}.get))
    metric      value  ceiling  published  definition
    eval/share    0.1        1          -  share of draws
    """
    header = ("metric", "value", "ceiling", "published", "definition")
    cells = []
    notes: dict[str, list[str]] = {}
    for key, value, known in _rows(metrics, define):
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
