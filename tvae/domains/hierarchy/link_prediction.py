r"""Whether one item is above another, by a table: a score of the pair and the rule that reads it.

.. math:: s(i, a) = \lambda\,(r_i - r_a) - \kappa\,\theta(i, a) - d(i, a)

An ancestor is near its item and nearer to the origin, and the item is behind it: :math:`\theta` is
the angle at the ancestor between the ray from the origin and the way to the item, 0 where the item
is on that ray, as for the cones of Ganea et al. (2018).
"""

import itertools
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

_RISES = (0.0, 0.25, 0.5, 0.75, 1.0)
_ANGLES = (0.0, 1.0, 4.0, 8.0, 16.0, 32.0)
"""Values of lambda and kappa that are compared on the half of the pairs that chooses."""
_HALF_SEED = 0
_TINY = 1e-9


class LinkRule(NamedTuple):
    """How a pair is taken as item and ancestor: by a score from a threshold on.

    Attributes:
      rise: lambda of the score.
      angle: kappa, distance per radian.
      threshold: of the score, in units of the distance for curvature -1.
    """

    rise: float
    angle: float
    threshold: float


class Relation(NamedTuple):
    """Where items are beside their ancestors, float64 ``(n,)`` each.

    Attributes:
      distance: of both.
      rise: how much farther from the origin the item is.
      angle: theta, from 0 to pi.
    """

    distance: np.ndarray
    rise: np.ndarray
    angle: np.ndarray

    def score(self, rise: float, angle: float) -> np.ndarray:
        """The score of each pair."""
        return rise * self.rise - angle * self.angle - self.distance


def rule_of(metrics: Mapping[str, Any]) -> LinkRule | None:
    """The rule that a final evaluation chose; None where it had no labelled pairs."""
    names = [f"eval/link_{name}" for name in ("rise", "angle", "threshold")]
    if names[-1] not in metrics:
        return None
    return LinkRule(*(float(metrics[name]) for name in names))


def relate(geometry: str, points: jax.Array, links: Links) -> Relation:
    """Distances, differences of radius and angles of pairs of items.

    Args:
      geometry: name of the space.
      points: ``(n, d)`` in its coordinates.
      links: the pairs.
    """
    space = GEOMETRIES[geometry]
    lower, upper = (points[jnp.asarray(end)] for end in (links.item, links.ancestor))
    apart = np.asarray(space.distance(space.place(lower), space.place(upper)), np.float64)
    own, above = (np.asarray(space.to_tangent(end), np.float64) for end in (lower, upper))
    item, ancestor = (np.linalg.norm(end, axis=-1) for end in (own, above))
    # The law of cosines for the triangle of the origin, the ancestor and the item.
    if space.curved:
        cosine = np.cosh(ancestor) * np.cosh(apart) - np.cosh(item)
        cosine /= np.maximum(np.sinh(ancestor) * np.sinh(apart), _TINY)
    else:
        cosine = np.square(ancestor) + np.square(apart) - np.square(item)
        cosine /= np.maximum(2.0 * ancestor * apart, _TINY)
    return Relation(apart, item - ancestor, np.arccos(np.clip(-cosine, -1.0, 1.0)))


def choose_rule(relation: Relation, label: np.ndarray) -> LinkRule:
    """The weights and the threshold at which F1 of labelled pairs is largest.

    >>> relation = Relation(np.asarray([1.0, 3.0]), np.ones(2), np.zeros(2))
    >>> choose_rule(relation, np.asarray([True, False]))
    LinkRule(rise=0.0, angle=0.0, threshold=-1.0)
    """
    weights = list(itertools.product(_RISES, _ANGLES))
    found = [best_threshold(relation.score(*pair), label) for pair in weights]
    best = int(np.argmax([f1 for _, f1 in found]))
    return LinkRule(*weights[best], found[best][0])


def predict(rule: LinkRule, relation: Relation) -> np.ndarray:
    """Which pairs a rule takes as true, bool ``(n,)``."""
    return relation.score(rule.rise, rule.angle) >= rule.threshold


def measure(geometry: str, points: jax.Array, links: Links) -> Metrics:
    """F1 on one half of labelled pairs by the rule that the other half chose."""
    relation, label = relate(geometry, points, links), np.asarray(links.label)
    chooses = np.random.default_rng(_HALF_SEED).permutation(label.size) < label.size // 2
    rule = choose_rule(_half(relation, chooses), label[chooses])
    found: Agreement = agreement(predict(rule, _half(relation, ~chooses)), label[~chooses])
    named = found._asdict() | rule._asdict()
    return {f"eval/link_{name}": jnp.float32(value) for name, value in named.items()}


def _half(relation: Relation, chosen: np.ndarray) -> Relation:
    return Relation(*(column[chosen] for column in relation))


_HALF = "half of evaluation.pairs; the other half chooses weights and threshold"
DEFINITIONS = {
    "eval/link_f1": Entry("F1 of link prediction: is one item above another?", _HALF, 1.0),
    "eval/link_precision": Entry("share of true pairs among those predicted", _HALF, 1.0),
    "eval/link_recall": Entry("share of true pairs that are predicted", _HALF, 1.0),
    "eval/link_rise": Entry(
        "weight of the difference of radii in the score of a pair", _HALF, better="neither"
    ),
    "eval/link_angle": Entry("weight of the angle in the score of a pair", _HALF, better="neither"),
    "eval/link_threshold": Entry(
        "score from which on a pair counts as true", _HALF, better="neither"
    ),
}
"""Metric key -> entry."""
