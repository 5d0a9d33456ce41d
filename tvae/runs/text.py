"""Text tables: the one writer of all commands and model cards."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), *, right: int = 0) -> str:
    """Aligned columns, two spaces apart, without a line break at the end; "" for no rows.

    So many columns as ``right`` states, after the first, are aligned to the right as numbers are.

    >>> print(table([("b", "-0.8"), ("long", "1")], ("name", "value"), right=1))
    name      value
    b          -0.8
    long          1
    """
    cells = [list(row) for row in rows]
    if not cells:
        return ""
    align = ["left", *["right"] * right, *["left"] * (len(cells[0]) - 1 - right)]
    return tabulate(cells, header, "plain", disable_numparse=True, colalign=align)


def number(value: float | None) -> str:
    """A number of a table: six digits, or a dash where there is none.

    >>> number(1 / 3), number(None)
    ('0.333333', '-')
    """
    return "-" if value is None else f"{value:.6g}"


def metric(value: Any) -> str:
    """A metric of a table; a vector is shown as its length.

    >>> metric([0.1, 0.2])
    '[2 values]'
    """
    return f"[{len(value)} values]" if isinstance(value, list) else number(value)


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """Two columns, metric and value.

    >>> metrics_table({"eval/kl": [1.0]})
    'eval/kl  [1 values]'
    """
    return table((name, metric(value)) for name, value in metrics.items())


def summarise(metrics: Mapping[str, Any], keys: Sequence[str] = ()) -> str:
    """The training loss and other metrics on one line, without those that were not measured.

    >>> summarise({"train/loss": 3.0, "eval/coverage_ball": 0.5}, ["eval/coverage_ball", "eval/x"])
    'loss 3.0000, coverage_ball 0.5000'
    """
    shown = [key for key in ("train/loss", *keys) if key in metrics]
    return ", ".join(f"{key.split('/')[-1]} {float(metrics[key]):.4f}" for key in shown)


def printable(text: str) -> str:
    """A text without signs that steer a terminal: names on disk may hold any.

    >>> printable("a" + chr(27) + "[2J")
    'a?[2J'
    """
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def short(value: Any) -> str:
    """A value in one short line, for messages.

    >>> short([[1] * 100] * 2)[:12], len(short([1] * 100))
    ('[[1, 1, 1, 1', 60)
    """
    return printable(" ".join(repr(value).split()))[:60]
