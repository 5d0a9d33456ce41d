"""The terms of a run's objective at its end: values, weights, shares of the loss, gradients."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class TermRow(NamedTuple):
    """A term in the last epoch that was logged.

    Attributes:
      name: of the row in ``config.objective``, or of the task's term.
      term: registered term that it names; "" for a term of the task itself.
      options: what the configuration sets of it.
      value: unweighted, mean over the epoch.
      weighted: its share of the loss; None where it is not logged.
      gradient: norm of the gradient of the weighted term; None where it is not logged.
    """

    name: str
    term: str
    options: str
    value: float
    weighted: float | None
    gradient: float | None

    @property
    def weight(self) -> float | None:
        """Weight in force; None where a value of 0 hides it, or nothing weighs the term."""
        if self.weighted is None or self.value == 0.0 or not math.isfinite(self.value):
            return None
        return self.weighted / self.value


def term_rows(last: Mapping[str, Any], table: Mapping[str, Mapping[str, Any]]) -> list[TermRow]:
    """The terms of the last row of a log, the largest share of the loss first.

    Args:
      last: metrics of the row.
      table: ``config.objective``; empty for a domain without it.

    >>> last = {"train/kl": 2.0, "train/weighted/kl": 0.5, "train/loss": 0.5}
    >>> row, = term_rows(last, {"kl": {"term": "gaussian_kl"}})
    >>> row.name, row.term, row.weight
    ('kl', 'gaussian_kl', 0.25)
    """
    prefix = "train/weighted/"
    names = {key.removeprefix(prefix) for key in last if key.startswith(prefix)}
    rows = [
        TermRow(
            name=name,
            term=str(table.get(name, {}).get("term", "")),
            options=_options(table.get(name, {})),
            value=float(last[f"train/{name}"]),
            weighted=last[prefix + name],
            gradient=last.get(f"train/grad_norm_of_term/{name}"),
        )
        for name in names
        if f"train/{name}" in last
    ]
    return sorted(rows, key=lambda row: (-abs(row.weighted or 0.0), row.name))


def _options(row: Mapping[str, Any]) -> str:
    """Options of a row as one line, the side first."""
    side = f"on {row['on']}" if row.get("on") else ""
    rest = [f"{k} {v}" for k, v in sorted(row.items()) if k not in ("term", "on", "weight")]
    return ", ".join([side, *rest] if side else rest)
