"""How far the radius follows the level, and how much it varies within the levels."""

import jax
import jax.numpy as jnp

from tvae.geometry.tree import Tree
from tvae.metrics.definitions import BALL, Entry
from tvae.metrics.rank_correlation import spearman_with_classes, tie_ceiling


def hierarchy(radius: jax.Array, level: jax.Array, *, tree: Tree) -> jax.Array:
    """Spearman correlation of level and radius, negative when deep items lie inside.

    Any monotone transform of the radius gives the same value, so Euclidean norms do as well.

    Args:
      radius: ``(n,)``, ``>= 0``.
      level: int ``(n,)``.
      tree: of the levels.

    Returns:
      A scalar in [-1, 1]; NaN for constant radii. Ceiling: :func:`hierarchy_ceiling`.

    >>> from tvae.geometry.padic import PadicTree
    >>> radius, level = jnp.asarray([0.9, 0.8, 0.5, 0.1]), jnp.asarray([0, 0, 1, 2])
    >>> round(float(hierarchy(radius, level, tree=PadicTree(3, 9))), 4)
    -0.9487
    """
    return spearman_with_classes(radius, level, n_classes=tree.n_levels)


def hierarchy_ceiling(tree: Tree) -> float:
    r"""Strongest hierarchy over all items with tie-free radii.

    For p-adic trees of great depth :math:`-\sqrt{1 - (p-1)^3 / (p^3 - 1)}`, for p = 3 that is
    :math:`-3/\sqrt{13}`.

    >>> from tvae.geometry.padic import PadicTree
    >>> round(hierarchy_ceiling(PadicTree(3, 9)), 7)
    -0.8320503
    """
    return -tie_ceiling(tree.level_counts)


def level_radii(radius: jax.Array, level: jax.Array, *, tree: Tree) -> jax.Array:
    """Mean radius of each level, ``(n_levels,)``; NaN where a level is absent.

    >>> from tvae.geometry.padic import PadicTree
    >>> radius, level = jnp.asarray([1.0, 3.0, 0.5]), jnp.asarray([0, 0, 2])
    >>> level_radii(radius, level, tree=PadicTree(3, 2)).tolist()
    [2.0, nan, 0.5]
    """
    member = _members(level, tree)
    return jnp.mean(jnp.broadcast_to(radius[:, None], member.shape), axis=0, where=member)


def richness(radius: jax.Array, level: jax.Array, *, tree: Tree) -> jax.Array:
    r"""Spread of the radius inside the levels, :math:`\tfrac1{L+1} \sum_{l : n_l > 1} s_l^2`.

    Population variances. It has no ceiling of its own, but bands that do not overlap bound it:
    bands of width w have at most w²/4 each.

    Args:
      radius: ``(n,)``, hyperbolic.
      level: int ``(n,)``.
      tree: of the levels, of depth L.

    >>> from tvae.geometry.padic import PadicTree
    >>> radius, level = jnp.asarray([1.0, 3.0, 7.0]), jnp.asarray([0, 0, 1])
    >>> round(float(richness(radius, level, tree=PadicTree(3, 9))), 4)
    0.1
    """
    member = _members(level, tree)
    n_rows = member.sum(0)
    mean = jnp.where(member, radius[:, None], 0).sum(0) / jnp.maximum(n_rows, 1)
    deviation = jnp.where(member, jnp.square(radius - mean[level])[:, None], 0)
    # A level of a single row has deviation 0 and drops out by itself.
    return (deviation.sum(0) / jnp.maximum(n_rows, 1)).sum() / tree.n_levels


def _members(level: jax.Array, tree: Tree) -> jax.Array:
    return level[:, None] == jnp.arange(tree.n_levels, dtype=level.dtype)[None, :]


DEFINITIONS = {
    "hierarchy": Entry(
        "Spearman correlation of level and hyperbolic radius",
        BALL,
        hierarchy_ceiling,
        better="lower",
        note="Ties in the radius raise the ceiling to -1.",
    ),
    "richness": Entry("mean over levels of the variance of hyperbolic radius in a level", BALL),
}
