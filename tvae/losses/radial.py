"""Losses that tie the hyperbolic radius of a point to its level, singly or by pairs."""

import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.fields import BOOLEAN, at_least
from tvae.geometry.tree import Tree
from tvae.losses.blocks import mean_over_pairs
from tvae.losses.levels import target_radius
from tvae.losses.pairs import Block, Pairs, ends
from tvae.losses.registry import term


def exponential_weight(level: jax.Array, *, growth: Numeric = 0.4) -> jax.Array:
    """Weight of a row in the radial hierarchy loss, :math:`1 + e^{g l}`, g per level.

    >>> exponential_weight(jnp.asarray([0, 9])).round(1).tolist()
    [2.0, 37.6...]
    """
    return 1 + jnp.exp(growth * level.astype(jnp.result_type(float)))


def radial_hierarchy(
    radius: jax.Array, level: jax.Array, *, tree: Tree, inner: Numeric, outer: Numeric
) -> jax.Array:
    """Squared distance of each radius from its target, :math:`(ρ - t_l)^2`, ``(n,)``.

    The reference system's loss is the mean over rows of :func:`exponential_weight` times this.

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      tree: of the levels.
      inner: target radius of the deepest level.
      outer: target radius of level 0.

    Source: the reference system's RadialHierarchyLoss (primary part).

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level = jnp.asarray([0.9, 0.18]), jnp.asarray([0, 9])
    >>> radial_hierarchy(r, level, tree=PadicTree(3, 9), inner=0.08, outer=0.9).round(4).tolist()
    [0.0, 0.0...]
    """
    target = target_radius(level, tree=tree, inner=inner, outer=outer).astype(radius.dtype)
    return jnp.square(radius - target)


def radial_margin(
    radius: jax.Array,
    level: jax.Array,
    *,
    tree: Tree,
    inner: Numeric,
    outer: Numeric,
    pairs: Pairs | None = None,
) -> jax.Array:
    r"""Hinge on pairs whose radii are not far enough apart, over pairs with :math:`l_i > l_j`.

    .. math:: \overline{[\, \tfrac12 (l_i - l_j) s - (ρ_j - ρ_i) \,]_+},
              \quad s = (r_{out} - r_{in}) / L

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      tree: of the levels, of depth L.
      inner: target radius of the deepest level.
      outer: target radius of level 0.
      pairs: sampled pairs, or None for all.

    Returns:
      A scalar; 0 when no pair has different levels.

    Source: the reference system's RadialHierarchyLoss (margin part).

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level = jnp.asarray([1.0, 1.0]), jnp.asarray([0, 9])
    >>> round(float(radial_margin(r, level, tree=PadicTree(3, 9), inner=0.0, outer=0.9)), 6)
    0.45
    """

    def penalty(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        radius_i, radius_j = ends(radius, pairs)
        level_i, level_j = ends(level, pairs)
        levels = (level_i - level_j).astype(radius.dtype)
        wanted = 0.5 * levels * (outer - inner) / tree.depth
        return jax.nn.relu(wanted - (radius_j - radius_i)), levels > 0

    return mean_over_pairs(penalty, radius.size, pairs)


@term(
    "radial_hierarchy",
    unit="squared hyperbolic length",
    options={
        "margin_weight": (at_least(0.0), "weight of the margin of pairs beside the targets"),
        "growth": (at_least(0.0), "g of the rows' weights 1 + exp(g level); per level"),
    },
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source="the reference system's RadialHierarchyLoss",
    was={"RadialHierarchyLoss": "same"},
)
def weighted_radial_hierarchy(
    radius: jax.Array,
    level: jax.Array,
    *,
    tree: Tree,
    inner: Numeric,
    outer: Numeric,
    pairs: Pairs | None = None,
    margin_weight: Numeric = 1.0,
    growth: Numeric = 0.4,
) -> jax.Array:
    """Weighted mean of :func:`radial_hierarchy`, and a multiple of :func:`radial_margin`.

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      tree: of the levels.
      inner: target radius of the deepest level.
      outer: target radius of level 0.
      pairs: of the margin; None for all.
      margin_weight: of the margin.
      growth: see :func:`exponential_weight`.

    Source: the reference system's RadialHierarchyLoss.

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level, tree = jnp.asarray([0.9, 0.9]), jnp.asarray([0, 9]), PadicTree(3, 9)
    >>> loss = weighted_radial_hierarchy(r, level, tree=tree, inner=0.0, outer=0.9)
    >>> round(float(loss), 2)  # (1 + e^3.6) 0.9^2 / 2 + 0.45
    15.68
    """
    rows = radial_hierarchy(radius, level, tree=tree, inner=inner, outer=outer)
    value = (exponential_weight(level, growth=growth) * rows).mean()
    margin = radial_margin(radius, level, tree=tree, pairs=pairs, inner=inner, outer=outer)
    return value + margin_weight * margin


@term(
    "radial_stratification",
    unit="hyperbolic length; squared where not smooth",
    per="item",
    options={
        "weighted": (BOOLEAN, "factor 1 + l / L on the rows of level l"),
        "smooth": (BOOLEAN, "smooth L1 with its corner at 1; False = the square"),
    },
    bounds=(0.0, jnp.inf),
    source="the reference system's RadialStratificationLoss",
    was={"RadialStratificationLoss": "same", "RadialStratificationLossComponent": "same"},
)
def radial_stratification(
    radius: jax.Array,
    level: jax.Array,
    *,
    tree: Tree,
    inner: Numeric,
    outer: Numeric,
    weighted: bool = True,
    smooth: bool = True,
) -> jax.Array:
    """Smooth L1 (or squared) distance of each radius from its target, times :math:`1 + l / L`.

    Args:
      radius: ``(n,)`` hyperbolic, the shape of the result.
      level: int ``(n,)``.
      tree: of the levels, of depth L.
      inner: target radius of the deepest level.
      outer: target radius of level 0.
      weighted: False drops the factor 1 + l/L (static).
      smooth: smooth L1 with its corner at 1, or the square when False (static).

    Source: the reference system's RadialStratificationLoss.

    >>> from tvae.geometry.padic import PadicTree
    >>> r, level = jnp.asarray([0.85, 0.3]), jnp.asarray([0, 9])
    >>> loss = radial_stratification(r, level, tree=PadicTree(3, 9), inner=0.1, outer=0.85)
    >>> round(float(loss.mean()), 6)
    0.02
    """
    target = target_radius(level, tree=tree, inner=inner, outer=outer)
    error = radius - target.astype(radius.dtype)
    penalty = optax.huber_loss(error) if smooth else jnp.square(error)
    if not weighted:
        return penalty
    return (1 + level.astype(jnp.result_type(float)) / tree.depth).astype(radius.dtype) * penalty
