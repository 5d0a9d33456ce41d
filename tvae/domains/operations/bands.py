r"""Intervals of radius and of pair distance that follow from the tree.

Float32 tables ``(..., 2)`` of ``(low, high)``, into which
:func:`tvae.losses.distances.weighted_interval` pulls lengths. Every length may be a traced scalar;
the tree is static.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.operations.tree import TREE
from tvae.geometry.tree import Tree

Length = jax.Array | float


def valuations() -> np.ndarray:
    """Valuation of every operation, int32 ``(19683,)``.

    >>> valuations()[[0, 1, 3, 18]].tolist()
    [9, 0, 1, 2]
    """
    with jax.ensure_compile_time_eval():
        return np.asarray(TREE.level(np.arange(TREE.n_leaves)))


def leading_digits() -> np.ndarray:
    """First non-zero digit of every operation, ``(19683,)``: 1 or 2, and 0 for index 0.

    >>> leading_digits()[[0, 1, 2, 6, 9]].tolist()
    [0, 1, 2, 2, 1]
    """
    return np.arange(TREE.n_leaves) // TREE.p ** np.minimum(valuations(), TREE.depth - 1) % TREE.p


def level_bands(*, outer: Length, inner: Length, tree: Tree = TREE) -> jax.Array:
    """Touching bands of hyperbolic radius, one a level.

    A level above the deepest, l < L, gets a width in proportion to L - l: the length that its items
    need grows with the logarithm of their number. The deepest gets ``[0, inner]``; ``outer`` is the
    upper end of level 0. Bands do not overlap, so radii inside them have the ceiling of hierarchy.

    >>> np.asarray(level_bands(outer=4.55, inner=0.05), float)[[0, 1, 8, 9]].round(2).tolist()
    [[3.65, 4.55], [2.85, 3.65], [0.05, 0.15], [0.0, 0.05]]
    """
    depth = tree.depth
    share = (depth - np.arange(depth)) / (depth * (depth + 1) / 2)
    reached = np.concatenate([[0.0], np.cumsum(share)]).astype(np.float32)
    high = outer - (outer - inner) * reached
    return jnp.stack([jnp.append(high[1:], 0.0), high], axis=1)


def radius_intervals(
    level: jax.Array | np.ndarray,
    leading: jax.Array | np.ndarray,
    *,
    outer: Length,
    inner: Length,
    gap: Length,
    margin: Length,
) -> jax.Array:
    r"""Interval of hyperbolic radius of operations: half of their level's band.

    With u in [-1, 1] along the band, operations whose first non-zero digit is 1 own
    ``[-1 + margin, -gap]`` and those with 2 own ``[gap, 1 - margin]``. The two halves of a level
    have equal size, so its variance is at least :math:`(gap\, w_v / 2)^2` for a band of width
    :math:`w_v`: see :func:`richness_floor`.

    Args:
      level: valuation of each operation, int ``(n,)``.
      leading: its first non-zero digit, ``(n,)``; 0 for index 0.
      outer: upper end of level 0, hyperbolic length.
      inner: upper end of level 9.
      gap: share of a half band that stays empty around its middle, below ``1 - margin``.
      margin: share of a half band that stays empty at its ends; negative bands overlap their
        neighbours, which trades hierarchy for richness.

    >>> level, leading = np.array([9, 0, 0]), np.array([0, 1, 2])
    >>> table = radius_intervals(level, leading, outer=4.55, inner=0.05, gap=0.5, margin=0.0)
    >>> np.asarray(table, float).round(3).tolist()
    [[0.0, 0.05], [3.65, 3.875], [4.325, 4.55]]
    """
    low_end, high_end = level_bands(outer=outer, inner=inner)[level].T
    middle, half = (low_end + high_end) / 2, (high_end - low_end) / 2
    first, second = leading == 1, leading == 2
    low = jnp.where(first, margin - 1.0, jnp.where(second, gap, -1.0))
    high = jnp.where(first, -gap, jnp.where(second, 1.0 - margin, 1.0))
    return jnp.maximum(jnp.stack([middle + low * half, middle + high * half], axis=1), 0.0)


def richness_floor(*, outer: float, inner: float, gap: float) -> float:
    r"""Smallest richness of radii inside :func:`radius_intervals`.

    .. math:: \tfrac{1}{10} \sum_{v < 9} (gap\, w_v / 2)^2

    With ``gap = 1`` this is also the largest richness of radii inside the bands: no spread exceeds
    half of each level at either end.

    >>> [round(richness_floor(outer=3.56, inner=0.05, gap=gap), 4) for gap in (0.7, 1.0)]
    [0.0212, 0.0433]
    """
    width = jnp.diff(level_bands(outer=outer, inner=inner)[:-1], axis=1)
    return float(((gap * width / 2) ** 2).sum() / TREE.n_levels)


def tree_intervals(
    *, outer: Length, ratio: Length, margin: Length, depth: int, tree: Tree = TREE
) -> jax.Array:
    """Interval of hyperbolic distance of a pair, by its pair level.

    Pairs whose common ancestor is the root lie further apart than ``outer``; each further level
    that they share contracts the edge by ``ratio``.

    Args:
      outer: lower edge of pair level 0, hyperbolic length.
      ratio: of consecutive edges, in (0, 1).
      margin: length that stays empty on both sides of an edge.
      depth: from this pair level on only the upper edge binds: batches hold hardly any deeper
        pairs, and few of all pairs are.
      tree: of the levels.

    >>> tree_intervals(outer=4.0, ratio=0.5, margin=0.0, depth=2)[:4].tolist()
    [[4.0, inf], [2.0, 4.0], [0.0, 2.0], [0.0, 1.0]]
    """
    level = np.arange(tree.n_levels)
    edge = outer * jnp.asarray(ratio, jnp.float32) ** level
    low = jnp.where(level >= depth, 0.0, edge + margin)
    high = jnp.concatenate([jnp.full(1, jnp.inf), edge[:-1]]) - margin
    return jnp.stack([low, high], axis=1)


def chord_intervals(*, same: Length, far: Length, margin: Length, tree: Tree = TREE) -> jax.Array:
    """Interval of Euclidean distance in the ball of a pair, by its level gap.

    Two edges only, since 98 % of all pairs of operations are at most two levels apart.

    Args:
      same: pairs of one level lie nearer than this, of different levels further apart.
      far: pairs of neighbouring levels lie nearer than this, of others further apart.
      margin: length that stays empty on both sides of an edge.
      tree: of the levels.

    >>> chord_intervals(same=1.0, far=1.5, margin=0.25)[:4].tolist()
    [[0.0, 0.75], [1.25, 1.25], [1.75, inf], [1.75, inf]]
    """
    gap = np.arange(tree.n_levels)
    low = jnp.where(gap == 0, 0.0, jnp.where(gap == 1, same, far) + margin)
    high = jnp.where(gap > 1, jnp.inf, jnp.where(gap == 0, same, far) - margin)
    return jnp.stack([low, high], axis=1)
