"""The rich hierarchy objective: level means at their targets, levels apart, and levels not flat."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.losses.levels import (
    N_LEVELS,
    LevelStatistics,
    level_gaps,
    level_statistics,
    masked_mean,
    target_radius,
)

# Keeps the variance ratio finite for a reference whose level is exactly flat.
_REFERENCE_FLOOR = 1e-8


class RichHierarchyTerms(NamedTuple):
    """Unweighted scalars.

    Parity: 5 hierarchy + 2 richness (2.5 in the later config) + 3 separation, and 1 times the
    cross-entropy of the decoded digits, *averaged* over rows and digits, which the original
    counts among these terms although it is about the other encoder's decoder.
    """

    hierarchy: jax.Array
    richness: jax.Array
    separation: jax.Array


def level_richness(
    statistics: LevelStatistics,
    valuation: jax.Array,
    reference_radius: jax.Array,
    *,
    min_ratio: Numeric,
) -> jax.Array:
    r"""Penalty on levels whose spread of radii fell below a share of a reference's.

    .. math:: \tfrac{1}{|U|} \sum_{v : n_v > 1} [\, m - s_v / (o_v + 10^{-8}) \,]_+^2

    with unbiased variances :math:`s_v, o_v` of the radius and of the reference at level v, and U
    the levels present (those with a single row count in the divisor, as in the original).

    Args:
      statistics: of the radii, from :func:`level_statistics`.
      valuation: int ``(n,)``.
      reference_radius: ``(n,)`` radii of the same rows to keep the spread of, *in the same unit*.
        The original passes Euclidean norms of an untrained projection, whose variance is so small
        that its term is never active; give it those for parity.
      min_ratio: m (original: 0.5).

    Returns:
      A scalar.

    >>> v = jnp.zeros(4, jnp.int32)
    >>> wide, flat = jnp.asarray([1.0, 2.0, 1.0, 2.0]), jnp.ones(4)
    >>> statistics = level_statistics(flat, v)
    >>> round(float(level_richness(statistics, v, wide, min_ratio=0.5)), 4)
    0.25
    """
    reference = level_statistics(reference_radius, valuation).variance + _REFERENCE_FLOOR
    shortfall = jnp.square(jax.nn.relu(min_ratio - statistics.variance / reference))
    several = statistics.n_rows > 1
    return masked_mean(jnp.where(several, shortfall, 0), statistics.present)


def rich_hierarchy(
    radius: jax.Array,
    valuation: jax.Array,
    reference_radius: jax.Array,
    *,
    inner: Numeric,
    outer: Numeric,
    min_richness_ratio: Numeric = 0.5,
    separation_margin: Numeric = 0.01,
) -> RichHierarchyTerms:
    r"""Three terms on the radii of one embedding, from the statistics of its ten levels.

    * hierarchy: mean over present levels of :math:`(\bar ρ_v - t_v)^2` (each level counts once,
      however many rows it has);
    * richness: :func:`level_richness`;
    * separation: *sum* over consecutive present levels of
      :math:`[\barρ_{v'} - \barρ_v + 0.01]_+`, v' the next level inwards.

    Args:
      radius: ``(n,)`` hyperbolic.
      valuation: int ``(n,)``.
      reference_radius: ``(n,)``, see :func:`level_richness`.
      inner: target radius of valuation 9 (v5.12: 0.08).
      outer: target radius of valuation 0 (v5.12: 0.90).
      min_richness_ratio: share of the reference variance to keep.
      separation_margin: least gap between consecutive level means, unit of the radius.

    Returns:
      :class:`RichHierarchyTerms`.

    Source: the reference system's RichHierarchyLoss.

    >>> r, v = jnp.asarray([0.9, 0.9]), jnp.asarray([0, 9])
    >>> terms = rich_hierarchy(r, v, r, inner=0.08, outer=0.9)
    >>> [round(float(term), 4) for term in terms]
    [0.3362, 0.0, 0.01]
    """
    statistics = level_statistics(radius, valuation)
    wanted = target_radius(jnp.arange(N_LEVELS), inner=inner, outer=outer).astype(radius.dtype)
    gaps = level_gaps(statistics)
    overlap = jax.nn.relu(separation_margin - gaps.gap)
    return RichHierarchyTerms(
        hierarchy=masked_mean(jnp.square(statistics.mean - wanted), statistics.present),
        richness=level_richness(
            statistics, valuation, reference_radius, min_ratio=min_richness_ratio
        ),
        separation=jnp.where(gaps.mask, overlap, 0).sum(),
    )
