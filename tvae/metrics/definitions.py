"""Every metric key: what it says, of what, its ceiling, and the original's figure.

One table (:data:`TABLE`) for the evaluation door, reports and documentation. Keys of two encoders
end in ``_a`` and ``_b`` and share a row.
"""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from tvae.domains.operations import coverage
from tvae.geometry import padic as ternary
from tvae.geometry.padic import N_DIGITS
from tvae.metrics.definition_entries import TABLE, Better

__all__ = ["TABLE", "Definition", "definition"]


class Definition(NamedTuple):
    """What a metric key means.

    Attributes:
      text: one line.
      measured_on: what goes in.
      better: which way is an improvement.
      ceiling: best value that can be reached, by arithmetic; None where there is no such bound.
      published: the original's figure, or None.
      note: what to know before the published figure, or the metric, is believed; may be empty.
    """

    text: str
    measured_on: str
    better: Better
    ceiling: float | None = None
    published: float | None = None
    note: str = ""


_PRIOR = re.compile(r"eval/prior_coverage_(argmax_)?(\d+)(k?)_(a|b|uniform)")

# By (rule, draws): the benchmark's mean of five trials; the "hash-validated" test.
_PUBLISHED_PRIOR = {
    ("", 195_000): {"a": 0.99624, "b": 0.99608},
    ("argmax_", 50_000): {"a": 0.8646, "b": 0.8591},
}


def definition(key: str, *, n_digits: int = N_DIGITS) -> Definition:
    """What a metric key means.

    Args:
      key: as in ``metrics.json`` and ``Model.metrics()``.
      n_digits: digits of the model's operations, on which ceilings depend.

    Returns:
      The definition.

    Raises:
      KeyError: if the key has none.

    >>> definition("eval/hierarchy_b").published
    -0.8169
    >>> round(definition("eval/prior_coverage_argmax_50k_a").ceiling, 4)
    0.9212
    """
    if match := _PRIOR.fullmatch(key):
        return _prior_definition(*match.groups(), n_digits=n_digits)
    suffix = key[-2:] if key not in TABLE and key.endswith(("_a", "_b")) else ""
    entry = TABLE[key.removesuffix(suffix)]
    return Definition(
        text=entry.text,
        measured_on=f"{entry.measured_on} ({suffix[1:].upper()})" if suffix else entry.measured_on,
        better=entry.better,
        ceiling=None if entry.ceiling is None else _ceiling(entry.ceiling, n_digits),
        published=entry.published.get(suffix),
        note=entry.note,
    )


@functools.cache
def _ceiling(function: Callable[[int], float], n_digits: int) -> float:
    """A ceiling, once: those of pairs sum over all of them."""
    return function(n_digits)


def _prior_definition(
    rule: str | None, number: str, thousand: str, of: str, *, n_digits: int
) -> Definition:
    """Prior coverage, whose key holds the number of draws."""
    draws = int(number) * (1000 if thousand else 1)
    n_operations = ternary.count(n_digits=n_digits)
    uniform = coverage.uniform_baseline(draws, n_operations=n_operations)
    if of == "uniform":
        return Definition(
            text="expected share of distinct operations among uniformly random ones",
            measured_on=f"{draws:,} draws, by arithmetic",
            better="neither",
            note="The yardstick of the prior coverages beside it: what noise reaches.",
        )
    how = "most probable digits" if rule else "digits drawn from their softmax"
    return Definition(
        text=f"share of operations among decoded draws of the prior, {how}",
        measured_on=f"{draws:,} draws ({of.upper()})",
        better="higher",
        ceiling=uniform,
        published=_PUBLISHED_PRIOR.get((rule or "", draws), {}).get(of),
        note="The ceiling is what uniform noise reaches on average"
        + (
            "."
            if rule
            else "; untrained decoders come closest to it: published as quality, it is none."
        ),
    )
