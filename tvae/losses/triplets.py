"""Triplets: the deeper of two relatives of an anchor should be the nearer one."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import BOOLEAN, SHARE, at_least
from tvae.geometry.tree import Tree
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import lengths_between, row_lengths, sample_rows
from tvae.losses.registry import term


class LevelMargin(NamedTuple):
    r"""Margin between two relatives whose common ancestors are some levels apart.

    .. math:: m(k) = m_0 + m_1 |k|

    Attributes:
      base: m_0, unit of the distances.
      per_level: m_1, the same per level.

    >>> LevelMargin(0.5, 0.25)(jnp.asarray([0, 2])).tolist()
    [0.5, 1.0]
    """

    base: Numeric = 0.05
    per_level: Numeric = 0.15

    def __call__(self, levels: jax.Array) -> jax.Array:
        """Margin of a difference of pair levels, any shape."""
        return self.base + self.per_level * jnp.abs(levels).astype(jnp.result_type(float))


DEFAULT_MARGIN = LevelMargin()


class Triplets(NamedTuple):
    """Triplets of rows of a batch in fixed shapes, ``(n_triplets,)`` each.

    Attributes:
      anchor: int32 positions.
      positive: the relative that shares the deeper ancestor with the anchor.
      negative: the other one.
      mask: bool, triplets that count.
    """

    anchor: jax.Array
    positive: jax.Array
    negative: jax.Array
    mask: jax.Array


class TripletTerms(NamedTuple):
    """Each triplet's hinge and margin, ``(n_triplets,)``, in the unit of the distances."""

    hinge: jax.Array
    margin: jax.Array


def violates(
    near: jax.Array, far: jax.Array, margin: Numeric, *, semi_hard: bool = True
) -> jax.Array:
    """Whether a triplet is hard: its negative is not farther than its positive by the margin.

    Args:
      near: distance of anchor and positive, any shape.
      far: distance of anchor and negative.
      margin: wanted difference of the two.
      semi_hard: False asks more of a hard triplet: its negative is not even farther.

    >>> near, far = jnp.asarray([1.0, 1.0]), jnp.asarray([1.1, 0.9])
    >>> violates(near, far, 0.2).tolist(), violates(near, far, 0.2, semi_hard=False).tolist()
    ([True, True], [False, True])
    """
    return far < near + margin if semi_hard else far <= near


def mine_triplets(
    key: jax.Array,
    anchor: jax.Array,
    level: jax.Array,
    length: jax.Array,
    *,
    margin: LevelMargin = DEFAULT_MARGIN,
    hard_share: Numeric = 0.5,
    semi_hard: bool = True,
    where: jax.Array | None = None,
) -> Triplets:
    """Draw one triplet for each anchor, hard ones for a share of them, without a loop.

    A random triplet has a positive from the rows with a deeper ancestor in common than the least
    related row, and any less related row as its negative. A hard triplet has one of the anchor's
    closest relatives as its positive, and a negative among the less related rows for which
    :func:`violates` holds. Where there is no such row the mask is False.

    Args:
      key: of the draws.
      anchor: int ``(n_triplets,)``, rows.
      level: int ``(n_triplets, n)``, pair levels of the anchors with all rows.
      length: ``(n_triplets, n)``, distances of the anchors to all rows.
      margin: that a hard triplet violates, unit of the distances.
      hard_share: the first anchors, this share of them, get a hard triplet.
      semi_hard: see :func:`violates`.
      where: bool ``(n,)``, rows that count.

    Source: the reference system's TripletMiner, which measures Euclidean distances also where the
    loss is hyperbolic, and takes all triplets of the first few anchors.

    >>> level = jnp.asarray([[9, 0, 1]])
    >>> mined = mine_triplets(jax.random.key(0), jnp.asarray([0]), level, jnp.zeros((1, 3)))
    >>> [int(row[0]) for row in mined]
    [0, 2, 1, 1]
    """
    n_triplets, n = level.shape
    positive_key, negative_key = jax.random.split(key)
    hard = (jnp.arange(n_triplets) < hard_share * n_triplets)[:, None]
    others = jnp.arange(n)[None, :] != anchor[:, None]
    if where is not None:
        others &= where[None, :] & where[anchor][:, None]
    least = jnp.where(others, level, jnp.iinfo(level.dtype).max).min(-1, keepdims=True)
    deepest = jnp.where(others, level, -1).max(-1, keepdims=True)

    related = others & (level > least) & (~hard | (level == deepest))
    positive, found = _draw(positive_key, related)
    positive_level = jnp.take_along_axis(level, positive[:, None], -1)

    near = jnp.take_along_axis(length, positive[:, None], -1)
    wanted = margin(positive_level - level).astype(length.dtype)
    candidates = others & (level < positive_level)
    candidates &= violates(near, length, wanted, semi_hard=semi_hard) | ~hard
    negative, found_too = _draw(negative_key, candidates)
    return Triplets(anchor, positive, negative, found & found_too)


def _draw(key: jax.Array, candidate: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A column of each row, uniform among its candidates, and whether it has any."""
    count = jnp.cumsum(candidate, axis=-1, dtype=jnp.int32)
    rank = jax.random.randint(key, (len(candidate),), 0, jnp.maximum(count[:, -1], 1), jnp.int32)
    return jnp.argmax(count > rank[:, None], -1), count[:, -1] > 0


def triplet_hinge(
    point: jax.Array,
    index: jax.Array,
    triplets: Triplets,
    *,
    tree: Tree,
    c: Numeric | None,
    margin: LevelMargin = DEFAULT_MARGIN,
) -> TripletTerms:
    r"""Hinge of given triplets, :math:`[d_{ap} - d_{an} + m(l_{ap} - l_{an})]_+`.

    Args:
      point: ``(n, d)``; with a curvature, points of the Poincaré ball.
      index: int ``(n,)``, items of the tree.
      triplets: rows; the mask does not enter.
      tree: of the items.
      c: curvature magnitude, or None for Euclidean distances.
      margin: m, unit of the distances.

    Source: Schroff et al., *FaceNet* (2015), equation 1, with distances in place of their squares.

    >>> from tvae.geometry.padic import PadicTree
    >>> point, index = jnp.asarray([[0.0], [2.0], [1.0]]), jnp.asarray([0, 3, 1])
    >>> triplets = Triplets(*(jnp.asarray([k]) for k in (0, 1, 2, True)))
    >>> terms = triplet_hinge(point, index, triplets, tree=PadicTree(3, 9), c=None)
    >>> round(float(terms.hinge[0]), 4)  # 2 - 1 + 0.05 + 0.15
    1.2
    """
    anchor, positive, negative, _ = triplets
    near = row_lengths(point[anchor], point[positive], c=c)
    far = row_lengths(point[anchor], point[negative], c=c)
    positive_level = tree.pair_level(index[anchor], index[positive])
    levels = positive_level - tree.pair_level(index[anchor], index[negative])
    wanted = margin(levels).astype(near.dtype)
    return TripletTerms(jax.nn.relu(near - far + wanted), wanted)


@term(
    "triplet",
    unit="distance",
    source="Schroff et al. 2015, eq. 1; margins by level: the reference system",
    options={
        "n_triplets": (at_least(1), "triplets drawn from a batch"),
        "hard_share": (SHARE, "share of the triplets that violate their margin when drawn"),
        "semi_hard": (BOOLEAN, "a hard negative may be farther than the positive, by the margin"),
        "margin": (at_least(0.0), "least difference of the two distances, unit of the distance"),
        "margin_per_level": (at_least(0.0), "the same, more per level between the two ancestors"),
    },
    bounds=(0.0, float("inf")),
    was={
        "PAdicRankingLoss": "subsumed",
        "PAdicRankingLossV2": "corrected",
        "PAdicRankingLossHyperbolic": "corrected",
        "PAdicRankingLossComponent": "corrected",
        "PAdicHyperbolicLossComponent": "corrected",
        "TripletMiner": "corrected",
    },
)
def tree_triplets(  # noqa: PLR0913  (what a configuration may set is a parameter)
    point: jax.Array,
    index: jax.Array,
    tree: Tree,
    key: jax.Array,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    *,
    n_triplets: int = 500,
    hard_share: Numeric = 0.5,
    semi_hard: bool = True,
    margin: Numeric = 0.05,
    margin_per_level: Numeric = 0.15,
) -> jax.Array:
    """Mean :func:`triplet_hinge` of triplets drawn by :func:`mine_triplets`.

    With ``hard_share=0`` and ``margin_per_level=0`` it is the plain ranking loss of random
    triplets; plus :func:`tvae.losses.radial.radial_hierarchy` the hyperbolic one of the reference
    system.

    Args:
      point: ``(n, d)``; with a curvature, points of the Poincaré ball.
      index: int ``(n,)``, items of the tree.
      tree: of the items.
      key: of the draws.
      c: curvature magnitude; without it distances are Euclidean.
      where: bool ``(n,)``, rows that count.
      n_triplets: how many (static).
      hard_share: see :func:`mine_triplets`.
      semi_hard: see :func:`violates` (static).
      margin: see :class:`LevelMargin`.
      margin_per_level: see :class:`LevelMargin`.

    Returns:
      A scalar in the unit of the distances; 0 where no triplet counts.

    Source: the reference system's PAdicRankingLossV2; the same value for the same triplets.

    >>> from tvae.geometry.padic import PadicTree
    >>> point, index = jnp.zeros((3, 2)), jnp.asarray([0, 3, 1])
    >>> value = tree_triplets(point, index, PadicTree(3, 9), jax.random.key(0), c=1.0)
    >>> round(float(value), 4)  # all points in one place: the margin of one level
    0.2
    """
    chex.assert_rank([point, index], [2, 1])
    margins = LevelMargin(margin, margin_per_level)
    anchor_key, key = jax.random.split(key)
    rows, _ = sample_rows(anchor_key, n_rows=index.size, n_draws=n_triplets, size=1, where=where)
    anchor = rows[:, 0]
    fixed = jax.lax.stop_gradient(point)
    triplets = mine_triplets(
        key,
        anchor,
        tree.pair_level(index[anchor][:, None], index[None, :]),
        lengths_between(fixed[anchor], fixed, c=c),
        margin=margins,
        hard_share=hard_share,
        semi_hard=semi_hard,
        where=where,
    )
    terms = triplet_hinge(point, index, triplets, tree=tree, c=c, margin=margins)
    return masked_mean(terms.hinge, triplets.mask)
