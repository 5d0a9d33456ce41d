"""Losses on the ultrametric of a tree: distances that fall by a factor with every level."""

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import BOOLEAN, above
from tvae.geometry.tree import Tree
from tvae.losses.blocks import map_rows, mean_over_pairs
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import Block, Pairs, distinct, ends, pair_lengths
from tvae.losses.registry import term

# Keeps the logarithm of a zero coordinate finite; of the reference system.
_COORDINATE_FLOOR = 1e-8
# Added to the logits of pairs that do not count: their share is 0 in float32.
_EXCLUDED = -1e9


def ultrametric_distance(
    i: jax.Array, j: jax.Array, *, tree: Tree, base: Numeric = 3.0
) -> jax.Array:
    r"""Distance of two items in their tree, :math:`b^{-l}`, and 0 for one item.

    Of the tree of p-adic integers with b = p this is the p-adic distance :math:`|i - j|_p`.

    Args:
      i: integers, which broadcast against those of ``j``.
      j: integers.
      tree: of the items.
      base: b, factor per level.

    >>> from tvae.geometry.padic import PadicTree
    >>> i, j = jnp.asarray([0, 0, 0]), jnp.asarray([1, 9, 0])
    >>> ultrametric_distance(i, j, tree=PadicTree(2, 4), base=2.0).tolist()
    [1.0, 1.0, 0.0]
    """
    level = tree.pair_level(i, j).astype(jnp.result_type(float))
    return jnp.where(i == j, 0.0, jnp.asarray(base, level.dtype) ** -level)


@term(
    "ultrametric",
    unit="squared distance",
    source="the reference system's PAdicMetricLoss",
    options={
        "scale": (above(0.0), "wanted distance of two items without a common ancestor"),
        "base": (above(1.0), "factor by which it falls with every level"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "isometry"),
    was={"PAdicMetricLoss": "same"},
)
def ultrametric_match(
    point: jax.Array,
    index: jax.Array,
    tree: Tree,
    c: Numeric | None = None,
    pairs: Pairs | None = None,
    where: jax.Array | None = None,
    *,
    scale: Numeric = 1.0,
    base: Numeric = 3.0,
) -> jax.Array:
    r"""Mean squared difference of distances and ultrametric ones, :math:`(d_{ij} - s\,b^{-l})^2`.

    Most pairs of a batch have level 0: the mean depends on deep pairs only weakly, unlike that of
    :func:`tvae.losses.distances.tree_geodesic`, whose wanted distances fall slowly.

    Args:
      point: ``(n, d)``; with a curvature, points of the Poincaré ball.
      index: int ``(n,)``, items of the tree.
      tree: of the items.
      c: curvature magnitude; without it distances are Euclidean.
      pairs: sampled pairs, or None for all.
      where: bool ``(n,)``, rows that count.
      scale: s.
      base: b.

    Returns:
      A scalar; 0 without a pair.

    >>> from tvae.geometry.padic import PadicTree
    >>> point, index = jnp.asarray([[0.0], [0.5]]), jnp.asarray([0, 1])
    >>> float(ultrametric_match(point, index, PadicTree(3, 9)))  # (0.5 - 1)²
    0.25
    """
    chex.assert_rank([point, index], [2, 1])

    def penalty(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        actual = pair_lengths(point, pairs, c=c)
        wanted = scale * ultrametric_distance(*ends(index, pairs), tree=tree, base=base)
        error = actual - wanted.astype(actual.dtype)
        return jnp.square(error), distinct(index.size, pairs, where)

    return mean_over_pairs(penalty, index.size, pairs)


@term(
    "soft_ranking",
    unit="nats",
    source="Hinton and Roweis 2002, eq. 2 and 3; the reference system's soft p-adic ranking",
    options={
        "temperature": (above(0.0), "of both softmaxes, unit of the distances"),
        "base": (above(1.0), "factor by which the tree's distance falls with every level"),
        "with_self": (BOOLEAN, "a row is among its own neighbours"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "isometry"),
    was={"SoftPadicRankingLoss": "subsumed"},
)
def soft_ranking(
    point: jax.Array,
    index: jax.Array,
    tree: Tree,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    *,
    temperature: Numeric = 0.5,
    base: Numeric = 3.0,
    with_self: bool = False,
) -> jax.Array:
    r"""KL divergence of each row's neighbours in the embedding from those in the tree, mean.

    .. math:: \overline{\sum_j p_{ij} \ln\frac{p_{ij}}{q_{ij}}}, \quad
              p_i = \operatorname{softmax}_j(-b^{-l_{ij}} / T), \quad
              q_i = \operatorname{softmax}_j(-d_{ij} / T)

    Args:
      point: ``(n, d)``; with a curvature, points of the Poincaré ball.
      index: int ``(n,)``, items of the tree.
      tree: of the items.
      c: curvature magnitude; without it distances are Euclidean.
      where: bool ``(n,)``, rows that count, as centres and as neighbours.
      temperature: T.
      base: b.
      with_self: rows are neighbours of themselves, as in the reference system; they take the
        largest share of p and q alike (static).

    Returns:
      A scalar in nats, at least 0.

    >>> from tvae.geometry.padic import PadicTree
    >>> point, index = jnp.zeros((2, 1)), jnp.asarray([0, 1])  # one neighbour: nothing to rank
    >>> float(soft_ranking(point, index, PadicTree(3, 9)))
    0.0
    """
    chex.assert_rank([point, index], [2, 1])
    rows = jnp.ones(index.shape, bool) if where is None else where

    def of_rows(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        block = Block(i)
        neighbours = distinct(index.size, block, rows)
        if with_self:
            neighbours = rows[i][:, None] & rows[None, :]
        of_tree = ultrametric_distance(*ends(index, block), tree=tree, base=base)
        actual = pair_lengths(point, block, c=c)

        def log_share(length: jax.Array) -> jax.Array:
            return jax.nn.log_softmax(jnp.where(neighbours, -length / temperature, _EXCLUDED))

        wanted = log_share(of_tree.astype(actual.dtype))
        divergence = (jnp.exp(wanted) * (wanted - log_share(actual))).sum(-1)
        return jax.nn.relu(divergence), neighbours.any(-1)  # rounding leaves some 1e-8 below 0

    return masked_mean(*map_rows(of_rows, index.size))


@term(
    "padic_norm",
    unit="1",
    source="the reference system's PAdicNormLoss",
    per="item",
    options={"base": (above(1.0), "weight of coordinate k is the base to the power of -k")},
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"PAdicNormLoss": "toy"},
)
def padic_norm(z: jax.Array, index: jax.Array, tree: Tree, *, base: Numeric = 3.0) -> jax.Array:
    r"""Squared difference of a "norm" and a wanted one, a toy of the reference system.

    .. math:: \big(\max_k |z_k|^{b^{-k}} - b^{-l}\big)^2

    It is no p-adic norm. One coordinate of a row gets a gradient, mostly the last one, whose power
    is close to 1 whatever its value.

    Args:
      z: ``(n, d)``.
      index: int ``(n,)``, items of the tree.
      tree: of the items.
      base: b.

    Returns:
      ``(n,)``.

    >>> from tvae.geometry.padic import PadicTree
    >>> loss = padic_norm(jnp.asarray([[0.5, 0.0]]), jnp.asarray([1]), PadicTree(3, 9))
    >>> round(float(loss[0]), 4)
    0.25
    """
    chex.assert_rank([z, index], [2, 1])
    powers = jnp.asarray(base, z.dtype) ** -jnp.arange(z.shape[-1], dtype=z.dtype)
    size = z * jnp.sign(z)  # |z|, with gradient 0 at 0
    norm = jnp.exp((jnp.log(size + _COORDINATE_FLOOR) * powers[None, :]).max(-1))
    level = tree.level(index).astype(z.dtype)
    return jnp.square(norm - jnp.asarray(base, z.dtype) ** -level)
