"""Definitions of metrics: text, data that they are measured on, direction, ceiling.

Each module of measures has a table ``DEFINITIONS``: the name of a measure -> :class:`Entry`. The
``define`` of a domain collects those of its metrics and adds its own and published figures.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from tvae.geometry.tree import Tree

Better = Literal["higher", "lower", "neither"]

BALL = "points of the ball of all items, from posterior means"
PAIRS = "a sample of pairs of such points, the same in every run"


class Definition(NamedTuple):
    """The definition of a metric key.

    Attributes:
      text: one line.
      measured_on: the data that go in.
      better: which way is an improvement.
      ceiling: best value that can be reached, by arithmetic; None where there is no such bound.
      published: the reference system's figure, or None.
      note: caveats of the metric or of its published figure; may be empty.
      same_as: another metric key under which the same figure is kept; "" for none.
    """

    text: str
    measured_on: str
    better: Better
    ceiling: float | None = None
    published: float | None = None
    note: str = ""
    same_as: str = ""


class Entry(NamedTuple):
    """The part of a :class:`Definition` that does not depend on the model.

    Attributes:
      ceiling: a number, or a function of the tree of items.
      same_as: key without the suffix of an encoder, see :class:`Definition`.
    """

    text: str
    measured_on: str
    ceiling: float | Callable[[Any], float] | None = None
    better: Better = "higher"
    note: str = ""
    same_as: str = ""


def define(
    key: str,
    entries: Mapping[str, Entry],
    *,
    tree: Tree | None = None,
    published: Mapping[str, float] | None = None,
) -> Definition | None:
    """The definition of a metric key, or None where the key has no entry.

    Args:
      key: as in ``metrics.json``. A suffix ``_a`` or ``_b`` that no entry has names an encoder.
      entries: metric key without the suffix -> entry.
      tree: of the items; without it ceilings that depend on it are None.
      published: metric key -> the reference system's figure.

    >>> entries = {"eval/kl": Entry("KL divergence, nats", "all items", better="neither")}
    >>> define("eval/kl_b", entries, published={"eval/kl_b": 3.5})[1:5]
    ('all items (B)', 'neither', None, 3.5)
    """
    suffix = key[-2:] if key not in entries and key.endswith(("_a", "_b")) else ""
    entry = entries.get(key.removesuffix(suffix))
    if entry is None:
        return None
    ceiling = entry.ceiling
    if callable(ceiling):
        ceiling = None if tree is None else ceiling(tree)
    measured_on = f"{entry.measured_on} ({suffix[1:].upper()})" if suffix else entry.measured_on
    figure = (published or {}).get(key)
    same_as = entry.same_as and entry.same_as + suffix
    return Definition(entry.text, measured_on, entry.better, ceiling, figure, entry.note, same_as)
