"""Losses on the mean radius of each level: its target, its order, and the spread around it."""

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import BOOLEAN, at_least
from tvae.geometry.tree import Tree
from tvae.losses.levels import (
    LevelStatistics,
    level_gaps,
    level_statistics,
    masked_mean,
    target_radius,
)
from tvae.losses.registry import term

# Keeps the variance ratio finite for a reference whose level is exactly flat.
_REFERENCE_FLOOR = 1e-8
_SOURCE = "the reference system's RichHierarchyLoss"


@term(
    "monotonic_radial",
    unit="hyperbolic length, and its square",
    options={
        "min_margin": (at_least(0.0), "least gap between consecutive means, hyperbolic length"),
        "margin_scale": (at_least(0.0), "share of the targets' gap that is the margin"),
        "temperature": (at_least(0.001), "softness of the hinge, hyperbolic length"),
        "target_weight": (at_least(0.0), "weight of the squared distances from the targets"),
        "hard": (BOOLEAN, "a hinge without temperature"),
    },
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source="the reference system's MonotonicRadialLoss",
    was={"MonotonicRadialLoss": "same"},
)
def monotonic_radial(
    radius: jax.Array,
    level: jax.Array,
    *,
    tree: Tree,
    inner: Numeric,
    outer: Numeric,
    min_margin: Numeric = 0.02,
    margin_scale: Numeric = 1.0,
    temperature: Numeric = 0.05,
    target_weight: Numeric = 0.5,
    hard: bool = False,
) -> jax.Array:
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
      temperature: T, unit of the radius.
      target_weight: of the target term.
      hard: the hinge instead of its soft form (static).

    Source: the reference system's MonotonicRadialLoss.

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level, tree = jnp.asarray([0.85, 0.85]), jnp.asarray([0, 9]), PadicTree(3, 9)
    >>> loss = monotonic_radial(r, level, tree=tree, inner=0.1, outer=0.85, hard=True)
    >>> round(float(loss), 4)  # 0.75 + 0.5 * 0.75^2 / 2
    0.8906
    """
    statistics = level_statistics(radius, level, tree=tree)
    gaps = level_gaps(statistics)
    step = (outer - inner) / tree.depth
    violation = jnp.maximum(min_margin, margin_scale * step * gaps.levels) - gaps.gap
    soft = jax.nn.softplus(violation / temperature) * temperature
    order = masked_mean(jax.nn.relu(violation) if hard else soft, gaps.mask)
    error = _squared_errors(statistics, tree=tree, inner=inner, outer=outer)
    target = jnp.where(gaps.mask.any(), masked_mean(error, statistics.present), 0)
    return order + target_weight * target


@term(
    "level_targets",
    unit="squared hyperbolic length",
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source=_SOURCE,
    was={"RichHierarchyLoss": "same"},
)
def level_targets(
    radius: jax.Array, level: jax.Array, *, tree: Tree, inner: Numeric, outer: Numeric
) -> jax.Array:
    r"""Mean over present levels of :math:`(\bar ρ_l - t_l)^2`; each level counts once.

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      tree: of the levels.
      inner: target radius of the deepest level.
      outer: target radius of level 0.

    Source: the reference system's RichHierarchyLoss (hierarchy part).

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level, tree = jnp.asarray([0.9, 0.9]), jnp.asarray([0, 9]), PadicTree(3, 9)
    >>> round(float(level_targets(r, level, tree=tree, inner=0.08, outer=0.9)), 4)
    0.3362
    """
    statistics = level_statistics(radius, level, tree=tree)
    error = _squared_errors(statistics, tree=tree, inner=inner, outer=outer)
    return masked_mean(error, statistics.present)


@term(
    "level_separation",
    unit="hyperbolic length",
    options={"margin": (at_least(0.0), "least gap between consecutive means, hyperbolic length")},
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source=_SOURCE,
    was={"RichHierarchyLoss": "same"},
)
def level_separation(
    radius: jax.Array, level: jax.Array, *, tree: Tree, margin: Numeric = 0.01
) -> jax.Array:
    r"""*Sum* over consecutive present levels of :math:`[\barρ_{l'} - \barρ_l + m]_+`.

    l' is the next present level inwards.

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      tree: of the levels.
      margin: m, unit of the radius.

    Source: the reference system's RichHierarchyLoss (separation part).

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level = jnp.asarray([0.9, 0.9]), jnp.asarray([0, 9])
    >>> round(float(level_separation(r, level, tree=PadicTree(3, 9))), 4)
    0.01
    """
    gaps = level_gaps(level_statistics(radius, level, tree=tree))
    return jnp.where(gaps.mask, jax.nn.relu(margin - gaps.gap), 0).sum()


@term(
    "level_richness",
    unit="1",
    options={"min_ratio": (at_least(0.0), "share of the reference variance that is to be kept")},
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source=_SOURCE,
    was={"RichHierarchyLoss": "same"},
)
def level_richness(
    radius: jax.Array,
    level: jax.Array,
    reference_radius: jax.Array,
    *,
    tree: Tree,
    min_ratio: Numeric = 0.5,
) -> jax.Array:
    r"""Penalty on levels whose spread of radii fell below a share of a reference's.

    .. math:: \tfrac{1}{|U|} \sum_{l : n_l > 1} [\, m - s_l / (o_l + 10^{-8}) \,]_+^2

    with unbiased variances :math:`s_l, o_l` of the radius and of the reference at level l, and U
    the levels present, those with a single row included.

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      reference_radius: ``(n,)`` radii of the same rows *in the same unit*, whose spread is kept.
      tree: of the levels.
      min_ratio: m.

    Source: the reference system's RichHierarchyLoss (richness part).

    >>> from tvae.geometry.padic import PadicTree
    >>> wide, flat, level = jnp.asarray([0.0, 1.0]), jnp.zeros(2), jnp.zeros(2, jnp.int32)
    >>> round(float(level_richness(flat, level, wide, tree=PadicTree(3, 9))), 4)
    0.25
    """
    statistics = level_statistics(radius, level, tree=tree)
    reference = level_statistics(reference_radius, level, tree=tree)
    ratio = statistics.variance / (reference.variance + _REFERENCE_FLOOR)
    shortfall = jnp.square(jax.nn.relu(min_ratio - ratio))
    return masked_mean(jnp.where(statistics.n_rows > 1, shortfall, 0), statistics.present)


def _squared_errors(
    statistics: LevelStatistics, *, tree: Tree, inner: Numeric, outer: Numeric
) -> jax.Array:
    """Squared distance of each level's mean radius from its target, ``(n_levels,)``."""
    wanted = target_radius(jnp.arange(tree.n_levels), tree=tree, inner=inner, outer=outer)
    return jnp.square(statistics.mean - wanted.astype(statistics.mean.dtype))
