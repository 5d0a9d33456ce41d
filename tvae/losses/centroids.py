"""Losses on the distance of points from the centroids of their subtrees."""

import math

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import at_least, within
from tvae.geometry import poincare
from tvae.geometry.tree import Tree
from tvae.losses.blocks import map_rows
from tvae.losses.registry import term


def groups(
    index: jax.Array, level: jax.Array, *, tree: Tree, rows: jax.Array | None = None
) -> jax.Array:
    """Which rows of a batch share an ancestor at a level: bool ``(n, n)``, or ``(b, n)`` of rows.

    A ball of the tree: the items whose pair level is the level or deeper. A row above that level is
    in no group, not even its own.

    Args:
      index: int ``(n,)`` items.
      level: int scalar, may be traced.
      tree: of the items.
      rows: positions, int ``(b,)``; None for all.

    >>> from tvae.geometry.padic import PadicTree
    >>> groups(jnp.asarray([0, 3, 1]), jnp.asarray(1), tree=PadicTree(3, 9)).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    of_rows = index if rows is None else index[rows]
    return tree.pair_level(of_rows[:, None], index[None, :]) >= level


def mean_over_groups(distance: jax.Array, size: jax.Array, where: jax.Array) -> jax.Array:
    """Mean over groups of two rows and more of the mean in each; 0 without such a group.

    Args:
      distance: ``(n,)``, such as of rows to their group's centroid.
      size: int ``(n,)``, rows of each row's group that count.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar.

    >>> ones = jnp.ones(3, bool)
    >>> mean_over_groups(jnp.asarray([1.0, 3.0, 9.0]), jnp.asarray([2, 2, 1]), ones).item()
    2.0
    """
    share = jnp.where(where & (size > 1), 1.0 / jnp.maximum(size, 1).astype(distance.dtype), 0.0)
    n_groups = share.sum()
    return (share * distance).sum() / jnp.where(n_groups > 0, n_groups, 1.0)


@term(
    "centroid",
    unit="hyperbolic length",
    source="the reference system's HyperbolicCentroidLoss, on balls of the tree; centroids of Law "
    "et al. 2019, theorem 3",
    options={
        "levels": (at_least(1), "levels of subtrees, from 1 below the root on"),
        "decay": (within(0.0, 1.0), "weight of each level by that of the level above"),
    },
    bounds=(0.0, math.inf),
    invariances=("permutation", "rotation", "isometry"),
    was={"HyperbolicCentroidLoss": "corrected"},
)
def centroid(
    point: jax.Array,
    index: jax.Array,
    c: Numeric,
    tree: Tree,
    where: jax.Array | None = None,
    *,
    levels: int = 4,
    decay: Numeric = 0.5,
) -> jax.Array:
    r"""Distance of points to the centroids of their subtrees.

    .. math:: \sum_{l=1}^L \beta^{l-1}\,\overline{\overline{d(z_i, m_G)}}

    with the mean over the rows of a group G, the items below one node of level l, then over the
    groups of two rows and more. The reference system groups by leading digits, which are no balls
    of the 3-adic tree: items that it holds together are the farthest there.

    Args:
      point: ``(n, d)`` in the ball.
      index: int ``(n,)`` items.
      c: curvature magnitude.
      tree: of the items.
      where: bool ``(n,)``, rows that count.
      levels: L, at most the depth of the tree (static).
      decay: :math:`\beta`.

    Returns:
      A scalar, hyperbolic length.

    >>> from tvae.geometry.padic import PadicTree
    >>> point = jnp.asarray([[0.5, 0.0], [-0.5, 0.0]])
    >>> value = centroid(point, jnp.asarray([0, 3]), 1.0, PadicTree(3, 9), levels=2)
    >>> round(float(value), 4)  # ln 3; together at level 1 only
    1.0986
    """
    chex.assert_equal_shape_prefix([point, index], 1)
    rows = jnp.ones(len(index), bool) if where is None else where
    level = jnp.arange(1, min(levels, tree.depth) + 1)

    def of_level(level: jax.Array) -> jax.Array:
        def of_rows(i: jax.Array) -> tuple[jax.Array, jax.Array]:
            member = groups(index, level, tree=tree, rows=i) & rows[None, :]
            middle = poincare.centroids(member.astype(point.dtype), point, c=c)
            return poincare.distance(point[i], middle, c=c), member.sum(-1)

        distance, size = map_rows(of_rows, len(index))
        return mean_over_groups(distance, size, rows)

    weight = jnp.power(jnp.asarray(decay, point.dtype), level - 1)
    return (weight * jax.lax.map(of_level, level)).sum()
