"""Losses that align the distances of an embedding with others: of properties, or of a tree."""

import jax
from chex import Numeric

from tvae.fields import above
from tvae.geometry.tree import Tree
from tvae.losses.correlation import pair_correlation
from tvae.losses.pairs import Block, Pairs, distinct, ends, pair_lengths
from tvae.losses.registry import term
from tvae.losses.ultrametric import ultrametric_distance


@term(
    "property_alignment",
    unit="1",
    source="the reference system's peptide losses; Mantel 1967 (the statistic)",
    bounds=(0.0, 2.0),
    invariances=("permutation", "rotation", "translation", "scale"),
    was={"PropertyAlignment": "same"},
)
def property_alignment(
    x: jax.Array, y: jax.Array, pairs: Pairs | None = None, where: jax.Array | None = None
) -> jax.Array:
    r"""One minus the correlation of Euclidean distances of two kinds of features of the rows.

    .. math:: 1 - r\big(\lVert x_i - x_j\rVert,\ \lVert y_i - y_j\rVert\big)

    Args:
      x: ``(n, d)``, such as latents.
      y: ``(n, k)``, such as standardised properties of the same items.
      pairs: sampled pairs, or None for all.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar in [0, 2]; 1 where either kind of distance is constant.

    >>> import jax.numpy as jnp
    >>> x = jnp.asarray([[0.0], [1.0], [3.0]])
    >>> round(float(property_alignment(x, -2.0 * x)), 6)
    0.0
    """

    def lengths(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array, jax.Array]:
        found, wanted = (pair_lengths(rows, pairs, c=None) for rows in (x, y))
        return found, wanted, distinct(x.shape[0], pairs, where)

    return 1.0 - pair_correlation(lengths, x.shape[0], pairs)


@term(
    "tree_alignment",
    unit="1",
    source="the reference system's coevolution losses; Mantel 1967 (the statistic)",
    options={"base": (above(1.0), "factor by which the tree's distance falls with every level")},
    bounds=(0.0, 2.0),
    invariances=("permutation", "rotation", "isometry"),
    was={"PAdicStructure": "corrected"},
)
def tree_alignment(
    point: jax.Array,
    index: jax.Array,
    tree: Tree,
    c: Numeric,
    pairs: Pairs | None = None,
    where: jax.Array | None = None,
    *,
    base: Numeric = 3.0,
) -> jax.Array:
    r"""One minus the correlation of hyperbolic distances and :math:`b^{-l}` of the pairs' levels.

    Codons are a tree of base 4 when their numbers are read from the last base on, such as
    ``PadicTree(4, 3)``; the reference system takes powers of 3 of them, which mean nothing.

    Args:
      point: ``(n, d)`` points of the Poincaré ball of curvature -c.
      index: int ``(n,)`` items.
      tree: of the items.
      c: curvature magnitude.
      pairs: sampled pairs, or None for all.
      where: bool ``(n,)``, rows that count.
      base: b.

    Returns:
      A scalar in [0, 2]; 1 where either kind of distance is constant.

    >>> import jax.numpy as jnp
    >>> from tvae.geometry.padic import PadicTree
    >>> point, index = jnp.asarray([[0.3], [-0.5], [0.31]]), jnp.asarray([0, 1, 3])
    >>> bool(tree_alignment(point, index, PadicTree(3, 2), 1.0) < 0.05)
    True
    """

    def lengths(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array, jax.Array]:
        wanted = ultrametric_distance(*ends(index, pairs), tree=tree, base=base)
        return pair_lengths(point, pairs, c=c), wanted, distinct(index.size, pairs, where)

    return 1.0 - pair_correlation(lengths, index.size, pairs)
