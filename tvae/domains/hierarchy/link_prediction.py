r"""Whether one item is above another, by a table: a score of the pair and the rule that reads it.

.. math:: s(i, a) = \lambda\,(r_i - r_a) - d(i, a)

An ancestor is near its item and nearer to the origin. For :math:`\lambda = 1` minus the score is
the detour of the path from the origin to the item by way of the ancestor: 0 where this lies on it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.domains.hierarchy.links import Links
from tvae.engine.task import Metrics
from tvae.metrics.definitions import Entry
from tvae.metrics.link_prediction import Agreement, agreement, best_threshold

_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Values of lambda that are compared on the half of the pairs that chooses."""
_HALF_SEED = 0


class LinkRule(NamedTuple):
    """How a pair is taken as item and ancestor: by a score from a threshold on.

    Attributes:
      weight: lambda of the score.
      threshold: of the score, in units of the distance for curvature -1.
    """

    weight: float
    threshold: float


def rule_of(metrics: Mapping[str, Any]) -> LinkRule | None:
    """The rule that a final evaluation chose; None where it had no labelled pairs."""
    if "eval/link_threshold" not in metrics:
        return None
    return LinkRule(float(metrics["eval/link_weight"]), float(metrics["eval/link_threshold"]))


def distance_and_rise(geometry: str, points: jax.Array, links: Links) -> tuple[np.ndarray, ...]:
    """Distance of both ends of pairs, and how much farther out the item is, float32 ``(n,)``."""
    space = GEOMETRIES[geometry]
    item, ancestor = (points[jnp.asarray(end)] for end in (links.item, links.ancestor))
    lower, upper = (jnp.linalg.norm(space.to_tangent(end), axis=-1) for end in (item, ancestor))
    apart = space.distance(space.place(item), space.place(ancestor))
    return np.asarray(apart), np.asarray(lower - upper)


def choose_rule(distance: np.ndarray, rise: np.ndarray, label: np.ndarray) -> LinkRule:
    """The weight and the threshold at which F1 of labelled pairs is largest.

    >>> choose_rule(np.asarray([1.0, 3.0]), np.asarray([1.0, 1.0]), np.asarray([True, False]))
    LinkRule(weight=0.0, threshold=-1.0)
    """
    found = [(w, *best_threshold(w * rise - distance, label)) for w in _WEIGHTS]
    weight, threshold, _ = max(found, key=lambda row: row[2])
    return LinkRule(weight, threshold)


def judge(rule: LinkRule, distance: np.ndarray, rise: np.ndarray, label: np.ndarray) -> Agreement:
    """How a rule agrees with labels."""
    return agreement(rule.weight * rise - distance >= rule.threshold, label)


def measure(geometry: str, points: jax.Array, links: Links) -> Metrics:
    """F1 on one half of labelled pairs by the rule that the other half chose."""
    distance, rise = distance_and_rise(geometry, points, links)
    label = np.asarray(links.label)
    chooses = np.random.default_rng(_HALF_SEED).permutation(label.size) < label.size // 2
    rule = choose_rule(distance[chooses], rise[chooses], label[chooses])
    found = judge(rule, distance[~chooses], rise[~chooses], label[~chooses])
    named = found._asdict() | rule._asdict()
    return {f"eval/link_{name}": jnp.float32(value) for name, value in named.items()}


_HALF = "half of evaluation.pairs; the other half chooses weight and threshold"
DEFINITIONS = {
    "eval/link_f1": Entry("F1 of link prediction: is one item above another?", _HALF, 1.0),
    "eval/link_precision": Entry("share of true pairs among those predicted", _HALF, 1.0),
    "eval/link_recall": Entry("share of true pairs that are predicted", _HALF, 1.0),
    "eval/link_weight": Entry(
        "weight of the difference of radii in the score of a pair", _HALF, better="neither"
    ),
    "eval/link_threshold": Entry(
        "score from which on a pair counts as true", _HALF, better="neither"
    ),
}
"""Metric key -> entry."""
