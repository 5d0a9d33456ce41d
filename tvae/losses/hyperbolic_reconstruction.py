r"""Reconstruction in the Poincaré ball: geodesic errors, and weights of rows by their radius."""

import dataclasses
import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above
from tvae.geometry import poincare
from tvae.losses.likelihood import cross_entropy
from tvae.losses.registry import term

_OPTIONS = {
    "power": (above(0.0), "how fast the weight falls with the radius"),
    "limit": (above(0.0), "hyperbolic radius at which the weight is least"),
}


def radius_weight(radius: jax.Array, *, power: Numeric, limit: Numeric) -> jax.Array:
    r"""Weight of a row by its hyperbolic radius, :math:`[1 - r/l]_+^p + \tfrac12`.

    1.5 at the origin, 0.5 from the limit on, for any power. The reference system takes a Euclidean
    limit of hyperbolic radii and does not cut: beyond it, even powers grow again, others are NaN.

    Args:
      radius: r of any shape.
      power: p.
      limit: l, unit of the radius.

    Returns:
      Weights of the shape of ``radius``.

    >>> radius_weight(jnp.asarray([0.0, 2.0, 9.0]), power=2.5, limit=4.0).round(4).tolist()
    [1.5, 0.676..., 0.5]
    """
    share = jax.nn.relu(1.0 - radius / limit)
    inside = share > 0.0
    # The power's gradient is NaN at 0 for powers below 1.
    return jnp.where(inside, jnp.where(inside, share, 1.0) ** power, 0.0) + 0.5


@term(
    "geodesic_reconstruction",
    unit="hyperbolic length squared",
    source="the reference system's HyperbolicReconLoss, its weight cut at the limit",
    per="item",
    options=_OPTIONS,
    bounds=(0.0, math.inf),
    invariances=("permutation", "rotation"),
    was={"HyperbolicReconLoss": "corrected", "HomeostaticReconLoss": "corrected"},
)
def geodesic_reconstruction(
    point: jax.Array,
    decoded_point: jax.Array,
    c: Numeric,
    *,
    power: Numeric = 2.0,
    limit: Numeric = 4.0,
) -> jax.Array:
    r"""Squared distance of each point from the one decoded of it, :math:`g(r)\,d(z, z')^2`.

    Args:
      point: z ``(n, d)`` in the ball, whose radius r sets the weight of :func:`radius_weight`.
      decoded_point: z' ``(n, d)``.
      c: curvature magnitude.
      power: see :func:`radius_weight`.
      limit: see :func:`radius_weight`.

    Returns:
      ``(n,)``, hyperbolic length squared.

    >>> x, y = jnp.zeros((1, 2)), jnp.asarray([[0.0, 0.5]])
    >>> round(float(geodesic_reconstruction(x, y, 1.0)[0]), 4)  # 1.5 ln² 3
    1.8104
    """
    chex.assert_equal_shape([point, decoded_point])
    weight = radius_weight(poincare.hyperbolic_radius(point, c=c), power=power, limit=limit)
    return weight * jnp.square(poincare.distance(point, decoded_point, c=c))


@term(
    "radius_weighted_cross_entropy",
    unit="nats",
    source="the reference system's HyperbolicReconLoss, its weight cut at the limit",
    per="item",
    options=_OPTIONS,
    bounds=(0.0, math.inf),
    invariances=("permutation", "rotation"),
    was={"HyperbolicReconLoss": "corrected", "HomeostaticReconLoss": "corrected"},
)
def radius_weighted_cross_entropy(
    logits: jax.Array,
    target: jax.Array,
    point: jax.Array,
    c: Numeric,
    *,
    power: Numeric = 2.0,
    limit: Numeric = 4.0,
) -> jax.Array:
    """Cross-entropy of each row, weighted by the radius of its point: central items count more.

    Gradients reach the points through the weight: outwards, where the weight and with it the loss
    falls. A weight that must not move points needs ``stop_gradient`` on ``point``.

    Args:
      logits: ``(n, positions, classes)``.
      target: int ``(n, positions)``.
      point: ``(n, d)`` in the ball.
      c: curvature magnitude.
      power: see :func:`radius_weight`.
      limit: see :func:`radius_weight`.

    Returns:
      ``(n,)``, nats.

    >>> zeros = jnp.zeros((1, 2, 3))
    >>> value = radius_weighted_cross_entropy(zeros, zeros[..., 0].astype(int), zeros[0, :1], 1.0)
    >>> round(float(value[0]), 4)  # 1.5 * 2 ln 3
    3.2958
    """
    weight = radius_weight(poincare.hyperbolic_radius(point, c=c), power=power, limit=limit)
    return weight * cross_entropy(logits, target)


class AdaptiveWeights(NamedTuple):
    """State of a mixture of both losses that follows coverage; start: :data:`ADAPTIVE_WEIGHTS`.

    Attributes:
      geodesic: weight of :func:`geodesic_reconstruction` beside the cross-entropy's 1.
      power: of the weight by radius.
      loss: running mean of the total.
      coverage: running mean of the coverage, percent.
    """

    geodesic: Numeric
    power: Numeric
    loss: Numeric
    coverage: Numeric


ADAPTIVE_WEIGHTS = AdaptiveWeights(geodesic=0.3, power=2.0, loss=1.0, coverage=50.0)
"""The first state of the reference system."""


@dataclasses.dataclass(frozen=True)
class WeightAdaptation:
    """How :class:`AdaptiveWeights` move after a step; defaults of the reference system.

    Attributes:
      rate: of both; the geodesic weight moves at a hundredth of it per percent of coverage, the
        power at a tenth of it per unit of correlation.
      memory: weight of the newest batch in the running means.
      target_coverage: coverage at which the geodesic weight rests, percent.
      target_correlation: of radius and level, at which the power rests.
      geodesics: least and largest geodesic weight.
      powers: least and largest power.

    >>> measured = {"loss": 1.0, "coverage": 50.0, "correlation": 0.8}
    >>> state = WeightAdaptation().update(ADAPTIVE_WEIGHTS, **measured)
    >>> round(float(state.geodesic), 4), round(float(state.power), 4)  # 0.3 + 1e-4 (90 - 50)
    (0.304, 2.0)
    """

    rate: float = 0.01
    memory: float = 0.1
    target_coverage: float = 90.0
    target_correlation: float = 0.8
    geodesics: tuple[float, float] = (0.1, 0.8)
    powers: tuple[float, float] = (1.0, 4.0)

    def update(
        self, state: AdaptiveWeights, *, loss: Numeric, coverage: Numeric, correlation: Numeric
    ) -> AdaptiveWeights:
        """The state after a batch; no gradients.

        Source: the reference system's HomeostaticReconLoss.
        """
        loss, coverage, correlation = jax.lax.stop_gradient(
            tuple(map(jnp.asarray, (loss, coverage, correlation)))
        )
        loss = state.loss + self.memory * (loss - state.loss)
        coverage = state.coverage + self.memory * (coverage - state.coverage)
        moved = self.shift(
            state,
            geodesic=0.1 * self.rate * (self.target_coverage - coverage),
            power=self.rate * (correlation - self.target_correlation),
        )
        return moved._replace(loss=loss, coverage=coverage)

    def shift(
        self, state: AdaptiveWeights, *, geodesic: Numeric, power: Numeric
    ) -> AdaptiveWeights:
        """The state moved by a controller, in tenths."""
        return state._replace(
            geodesic=jnp.clip(state.geodesic + 0.1 * geodesic, *self.geodesics),
            power=jnp.clip(state.power + 0.1 * power, *self.powers),
        )
