"""How far pair distances follow the tree: three correlations, a score of them, and two rates.

All take distances of a :class:`~tvae.metrics.sample.PairSample`. The correlations differ in the
metric (hyperbolic, Euclidean in the ball, difference of radii); published figures mix them up.
"""

import math

import jax
import jax.numpy as jnp

from tvae.geometry.tree import Tree
from tvae.metrics.definitions import PAIRS, Entry
from tvae.metrics.rank_correlation import spearman_with_classes, tie_ceiling
from tvae.metrics.sample import PairSample, Triplets

_LEAST_TRIPLETS = 100  # with fewer the concordance is 1/2, chance


def tree_fidelity(distance: jax.Array, sample: PairSample, *, tree: Tree) -> jax.Array:
    """Spearman correlation of distance and distance in the tree (depth minus pair level).

    Positive when the embedding follows the tree. Ceiling: :func:`tree_fidelity_ceiling`.

    Args:
      distance: ``(m, m)`` hyperbolic distances of the sample's items.
      sample: pairs, with pair levels in the proportions of all pairs for comparable figures.
      tree: of the items.
    """
    apart = tree.depth - tree.pair_level(*sample.ends(sample.items))
    return spearman_with_classes(sample.of_matrix(distance), apart, n_classes=tree.n_levels)


def tree_fidelity_ceiling(tree: Tree) -> float:
    """Largest tree fidelity over all pairs of different items, with tie-free distances.

    >>> from tvae.geometry.padic import PadicTree
    >>> round(tree_fidelity_ceiling(PadicTree(3, 9)), 5)
    0.83202
    """
    return tie_ceiling(tree.pair_level_counts)


def dist_corr_quick(radius: jax.Array, sample: PairSample, *, tree: Tree) -> jax.Array:
    """Spearman correlation of ``|r_i - r_j|`` and ``|l_i - l_j|``: radii and levels, no distances.

    0 for constant radii. Ceiling: :func:`dist_corr_quick_ceiling`.

    Args:
      radius: ``(m,)`` of the sample's items; Euclidean norms in the published figures.
      sample: pairs.
      tree: of the items.
    """
    radius_i, radius_j = sample.ends(radius)
    return _dist_corr(jnp.abs(radius_i - radius_j), sample, tree)


def dist_corr_quick_ceiling(tree: Tree) -> float:
    r"""Largest quick distance correlation over all pairs with tie-free radii.

    For p = 3 half of all pairs share a level and :math:`3^{-d}` of them are d levels apart, so
    :math:`\sqrt{1 - 1/8 - 1/26}` for great depth.

    >>> from tvae.geometry.padic import PadicTree
    >>> round(dist_corr_quick_ceiling(PadicTree(3, 9)), 4)
    0.9146
    """
    counts = tree.level_counts
    same = sum(math.comb(level, 2) for level in counts)
    apart = [
        sum(a * b for a, b in zip(counts, counts[gap:], strict=False))
        for gap in range(1, len(counts))
    ]
    return tie_ceiling([same, *apart])


def dist_corr_comprehensive(distance: jax.Array, sample: PairSample, *, tree: Tree) -> jax.Array:
    """Spearman correlation of the Euclidean distance in the ball ``(m, m)`` and ``|l_i - l_j|``.

    0 if all distances agree. Shares the ceiling of the quick one, but reaches it only if two items
    of one level lie closer than any two of different levels.
    """
    return _dist_corr(sample.of_matrix(distance), sample, tree)


def q(dist_corr: jax.Array, hierarchy: jax.Array) -> jax.Array:
    """The reference system's score, ``dist_corr + 1.5 * |hierarchy|``.

    ``q_quick`` and ``q_comprehensive`` are this of the two distance correlations. An inverted
    hierarchy scores as well as the right one, so read it beside ``hierarchy``.

    >>> round(float(q(jnp.asarray(0.72), jnp.asarray(-0.815))), 4)
    1.9425
    """
    return dist_corr + 1.5 * jnp.abs(hierarchy)


def q_ceiling(tree: Tree) -> float:
    """Q of the two ceilings, with tie-free radii.

    >>> from tvae.geometry.padic import PadicTree
    >>> round(q_ceiling(PadicTree(3, 9)), 4)
    2.1627
    """
    return dist_corr_quick_ceiling(tree) + 1.5 * tie_ceiling(tree.level_counts)


def triplet_concordance(
    distance: jax.Array,
    index: jax.Array,
    triplets: Triplets,
    *,
    tree: Tree,
    strict: bool = True,
) -> jax.Array:
    """Share of triplets whose anchor is nearer to the one of the others that is nearer in the tree.

    Args:
      distance: ``(m, m)``.
      index: int ``(m,)`` items.
      triplets: positions; those with two equal positions are left out.
      tree: of the items.
      strict: count only triplets with two different pair levels: chance 1/2, ceiling 1. False
        counts a triplet with equal pair levels as right when j is *not* nearer than k, as the
        reference system does: half of them at chance, which lowers the ceiling.

    Returns:
      A scalar in [0, 1]; 1/2 where fewer than 100 triplets are left.
    """
    i, j, k = triplets
    level_ij = tree.pair_level(index[i], index[j])
    level_ik = tree.pair_level(index[i], index[k])
    nearer = distance[i, j] < distance[i, k]
    right = (level_ij > level_ik) == nearer
    counted = (i != j) & (i != k) & (j != k)
    if strict:
        counted &= level_ij != level_ik
    n_counted = counted.sum()
    share = (right & counted).sum() / jnp.maximum(n_counted, 1)
    return jnp.where(n_counted < _LEAST_TRIPLETS, 0.5, share)


def ultrametric_compliance(
    distance: jax.Array, triplets: Triplets, *, tolerance: float = 0.1
) -> jax.Array:
    """Share of triangles whose two longest sides agree, as all do in a tree.

    Args:
      distance: ``(m, m)``.
      triplets: corners of the triangles, all different.
      tolerance: largest difference, as a share of the longest side.

    Returns:
      A scalar in [0, 1]; 1 for an ultrametric, of *whichever* tree. Points drawn at random in many
      dimensions are nearly equidistant and score high: compare with :func:`triplet_concordance`.
    """
    i, j, k = triplets
    sides = jnp.sort(jnp.stack([distance[i, j], distance[i, k], distance[j, k]]), axis=0)
    return (sides[2] - sides[1] <= tolerance * sides[2]).mean()


def _dist_corr(separation: jax.Array, sample: PairSample, tree: Tree) -> jax.Array:
    gap = sample.level_gap(tree)
    correlation = spearman_with_classes(separation, gap, n_classes=tree.n_levels)
    constant = (separation == separation[0]).all()
    return jnp.where(constant, 0.0, correlation)


DEFINITIONS = {
    "tree_fidelity": Entry(
        "Spearman correlation of hyperbolic pair distance and tree distance",
        PAIRS,
        tree_fidelity_ceiling,
    ),
    "dist_corr_quick": Entry(
        "Spearman correlation of |r_i - r_j| (Euclidean norms) and |level_i - level_j|",
        PAIRS,
        dist_corr_quick_ceiling,
        note="Of radii and levels, not of distances.",
    ),
    "dist_corr_comprehensive": Entry(
        "Spearman correlation of Euclidean pair distance and |level_i - level_j|",
        PAIRS,
        dist_corr_quick_ceiling,
        note="|level_i - level_j| is not a tree distance: an embedding of the tree does not reach "
        "this ceiling.",
    ),
    "q_quick": Entry(
        "dist_corr_quick + 1.5 |hierarchy|",
        PAIRS,
        q_ceiling,
        note="An inverted hierarchy scores as well.",
    ),
    "q_comprehensive": Entry("dist_corr_comprehensive + 1.5 |hierarchy|", PAIRS, q_ceiling),
    "triplet_concordance": Entry(
        "share of triplets whose anchor is nearer to the one that is nearer in the tree",
        "5,000 triplets of such points",
        1.0,
        note="Chance is 1/2.",
    ),
    "ultrametric_compliance": Entry(
        "share of triangles whose two longest sides agree within a tenth",
        "5,000 triangles of such points",
        1.0,
        note="Random points in many dimensions score high too: read with triplet_concordance.",
    ),
}
