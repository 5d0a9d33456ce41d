"""Losses on the mean radius of each level: its target, its order, and the spread around it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.geometry.tree import Tree
from tvae.losses.levels import (
    LevelStatistics,
    level_gaps,
    level_statistics,
    masked_mean,
    target_radius,
)

# Keeps the variance ratio finite for a reference whose level is exactly flat.
_REFERENCE_FLOOR = 1e-8


class MonotonicTerms(NamedTuple):
    """Unweighted scalars of :func:`monotonic_radial`."""

    order: jax.Array
    target: jax.Array


def monotonic_radial(
    radius: jax.Array,
    level: jax.Array,
    *,
    tree: Tree,
    inner: Numeric,
    outer: Numeric,
    min_margin: Numeric = 0.02,
    margin_scale: Numeric = 1.0,
    temperature: Numeric | None = 0.05,
) -> MonotonicTerms:
    r"""Soft order of the level means, and their distance from the targets.

    Between consecutive present levels, d levels apart, the mean radius should fall by the margin
    :math:`m = \max(m_0, s\, d\, (r_{out} - r_{in}) / L)`; the order term is the mean of
    :math:`T \operatorname{softplus}((m - gap) / T)`, the target term the mean over present levels
    of :math:`(\bar ρ_l - t_l)^2`. Both are 0 when fewer than two levels are present.

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      tree: of the levels, of depth L.
      inner: target radius of the deepest level.
      outer: target radius of level 0.
      min_margin: m_0, unit of the radius.
      margin_scale: s.
      temperature: T, unit of the radius; None for the hard hinge.

    Source: the reference system's MonotonicRadialLoss.

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level, tree = jnp.asarray([0.85, 0.85]), jnp.asarray([0, 9]), PadicTree(3, 9)
    >>> terms = monotonic_radial(r, level, tree=tree, inner=0.1, outer=0.85, temperature=None)
    >>> round(float(terms.order), 4), round(float(terms.target), 4)
    (0.75, 0.2812)
    """
    statistics = level_statistics(radius, level, tree=tree)
    gaps = level_gaps(statistics)
    step = (outer - inner) / tree.depth
    violation = jnp.maximum(min_margin, margin_scale * step * gaps.levels) - gaps.gap
    if temperature is None:
        penalty = jax.nn.relu(violation)
    else:
        penalty = jax.nn.softplus(violation / temperature) * temperature
    error = _squared_errors(statistics, tree=tree, inner=inner, outer=outer)
    return MonotonicTerms(
        order=masked_mean(penalty, gaps.mask),
        target=jnp.where(gaps.mask.any(), masked_mean(error, statistics.present), 0),
    )


class RichHierarchyTerms(NamedTuple):
    """Unweighted scalars of :func:`rich_hierarchy`."""

    hierarchy: jax.Array
    richness: jax.Array
    separation: jax.Array


def rich_hierarchy(
    radius: jax.Array,
    level: jax.Array,
    reference_radius: jax.Array,
    *,
    tree: Tree,
    inner: Numeric,
    outer: Numeric,
    min_richness_ratio: Numeric = 0.5,
    separation_margin: Numeric = 0.01,
) -> RichHierarchyTerms:
    r"""Three terms on the radii of one embedding, from the statistics of its levels.

    * hierarchy: mean over present levels of :math:`(\bar ρ_l - t_l)^2` (each level counts once,
      however many rows it has);
    * richness: :func:`level_richness`;
    * separation: *sum* over consecutive present levels of
      :math:`[\barρ_{l'} - \barρ_l + 0.01]_+`, l' the next level inwards.

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      reference_radius: ``(n,)``, see :func:`level_richness`.
      tree: of the levels.
      inner: target radius of the deepest level.
      outer: target radius of level 0.
      min_richness_ratio: share of the reference variance to keep.
      separation_margin: least gap between consecutive level means, unit of the radius.

    Source: the reference system's RichHierarchyLoss.

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level, tree = jnp.asarray([0.9, 0.9]), jnp.asarray([0, 9]), PadicTree(3, 9)
    >>> terms = rich_hierarchy(r, level, r, tree=tree, inner=0.08, outer=0.9)
    >>> [round(float(term), 4) for term in terms]
    [0.3362, 0.0, 0.01]
    """
    statistics = level_statistics(radius, level, tree=tree)
    gaps = level_gaps(statistics)
    reference = level_statistics(reference_radius, level, tree=tree)
    error = _squared_errors(statistics, tree=tree, inner=inner, outer=outer)
    overlap = jax.nn.relu(separation_margin - gaps.gap)
    return RichHierarchyTerms(
        hierarchy=masked_mean(error, statistics.present),
        richness=level_richness(statistics, reference, min_ratio=min_richness_ratio),
        separation=jnp.where(gaps.mask, overlap, 0).sum(),
    )


def level_richness(
    statistics: LevelStatistics, reference: LevelStatistics, *, min_ratio: Numeric
) -> jax.Array:
    r"""Penalty on levels whose spread of radii fell below a share of a reference's.

    .. math:: \tfrac{1}{|U|} \sum_{l : n_l > 1} [\, m - s_l / (o_l + 10^{-8}) \,]_+^2

    with unbiased variances :math:`s_l, o_l` of the radius and of the reference at level l, and U
    the levels present, those with a single row included.

    Args:
      statistics: of the radii, from :func:`tvae.losses.levels.level_statistics`.
      reference: of other radii of the same rows *in the same unit*, whose spread is to be kept.
      min_ratio: m.

    >>> wide, flat = (LevelStatistics(*jnp.asarray([[4.0], [1.5], [s]])) for s in (0.3333, 0.0))
    >>> round(float(level_richness(flat, wide, min_ratio=0.5)), 4)
    0.25
    """
    ratio = statistics.variance / (reference.variance + _REFERENCE_FLOOR)
    shortfall = jnp.square(jax.nn.relu(min_ratio - ratio))
    return masked_mean(jnp.where(statistics.n_rows > 1, shortfall, 0), statistics.present)


def _squared_errors(
    statistics: LevelStatistics, *, tree: Tree, inner: Numeric, outer: Numeric
) -> jax.Array:
    """Squared distance of each level's mean radius from its target, ``(n_levels,)``."""
    wanted = target_radius(jnp.arange(tree.n_levels), tree=tree, inner=inner, outer=outer)
    return jnp.square(statistics.mean - wanted.astype(statistics.mean.dtype))
