"""Do distances carry the tree? Three correlations that must not share a name, and two rates.

All take distances of a :class:`~tvae.metrics.sample.PairSample`; the choice of the metric
(hyperbolic, Euclidean in the ball, difference of radii) tells the published figures apart.
"""

import math

import jax
import jax.numpy as jnp

from tvae.geometry import padic as ternary
from tvae.geometry.padic import N_DIGITS
from tvae.metrics.rank_correlation import spearman_with_classes, tie_ceiling
from tvae.metrics.sample import PairSample, Triplets, hamming_distance, level_gap

_N_LEVELS = N_DIGITS + 1
# With fewer triplets the original reports 0.5.
_LEAST_TRIPLETS = 100


def tree_fidelity(distance: jax.Array, sample: PairSample) -> jax.Array:
    """Spearman correlation of distance and 3-adic distance: the tree itself.

    Args:
      distance: ``(m, m)`` hyperbolic distances of the sample's operations.
      sample: pairs; :func:`tvae.metrics.sample.tree_sample` for comparable figures.

    Returns:
      A scalar, positive when the embedding follows the tree. Ceiling:
      :func:`tree_fidelity_ceiling`.
    """
    valuation = ternary.pair_valuation(*sample.ends(sample.operations))
    return spearman_with_classes(
        sample.of_matrix(distance), N_DIGITS - valuation, n_classes=_N_LEVELS
    )


def tree_fidelity_ceiling(*, n_digits: int = N_DIGITS, p: int = 3) -> float:
    """Largest tree fidelity over all pairs of different operations, with tie-free distances.

    >>> round(tree_fidelity_ceiling(), 5)
    0.83202
    """
    n = ternary.count(n_digits=n_digits, p=p)
    counts = ternary.level_counts(n_digits=n_digits, p=p)[:-1]
    return tie_ceiling([n * level // 2 for level in counts])


def dist_corr_quick(radius: jax.Array, sample: PairSample) -> jax.Array:
    """Spearman correlation of ``|r_i - r_j|`` and ``|v_i - v_j|``: radii again, not distances.

    Args:
      radius: ``(m,)`` of the sample's operations; Euclidean norms in the published figures.
      sample: pairs; the original: all pairs of 1,000 random operations.

    Returns:
      A scalar; 0 for constant radii, as in the original. Ceiling: :func:`dist_corr_quick_ceiling`.
    """
    radius_i, radius_j = sample.ends(radius)
    return _dist_corr(jnp.abs(radius_i - radius_j), sample)


def dist_corr_quick_ceiling(*, n_digits: int = N_DIGITS, p: int = 3) -> float:
    r"""Largest quick distance correlation over all pairs with tie-free radii.

    For p = 3 half of all pairs share a level and :math:`3^{-d}` of them are d levels apart, so
    :math:`\sqrt{1 - 1/8 - 1/26}` for many digits.

    >>> round(dist_corr_quick_ceiling(), 4)
    0.9146
    """
    counts = ternary.level_counts(n_digits=n_digits, p=p)
    same = sum(math.comb(level, 2) for level in counts)
    apart = [
        sum(a * b for a, b in zip(counts, counts[gap:], strict=False))
        for gap in range(1, len(counts))
    ]
    return tie_ceiling([same, *apart])


def dist_corr_comprehensive(distance: jax.Array, sample: PairSample) -> jax.Array:
    """Spearman correlation of the Euclidean distance in the ball and ``|v_i - v_j|``.

    Args:
      distance: ``(m, m)`` Euclidean distances of the sample's operations.
      sample: pairs; the original: all pairs of 1,000 random operations.

    Returns:
      A scalar; 0 where all distances agree. Shares the ceiling of the quick one, but reaching it
      asks that two operations of one level lie closer than any two of different levels.
    """
    return _dist_corr(sample.of_matrix(distance), sample)


def q(dist_corr: jax.Array, hierarchy: jax.Array) -> jax.Array:
    """The project's score, ``dist_corr + 1.5 * |hierarchy|``.

    ``q_quick`` and ``q_comprehensive`` are this of the two distance correlations. An inverted
    hierarchy scores as well as the right one, so always read it beside ``hierarchy``.

    >>> round(float(q(jnp.asarray(0.72), jnp.asarray(-0.815))), 4)
    1.9425
    """
    return dist_corr + 1.5 * jnp.abs(hierarchy)


def q_ceiling(*, n_digits: int = N_DIGITS, p: int = 3) -> float:
    """Q of the two ceilings, with tie-free radii.

    >>> round(q_ceiling(), 4)
    2.1627
    """
    hierarchy = tie_ceiling(ternary.level_counts(n_digits=n_digits, p=p))
    return dist_corr_quick_ceiling(n_digits=n_digits, p=p) + 1.5 * hierarchy


def hamming_correlation(distance: jax.Array, sample: PairSample) -> jax.Array:
    """Spearman correlation of distance and Hamming distance of the truth tables.

    Args:
      distance: ``(m, m)`` of the sample's operations.
      sample: pairs.

    Returns:
      A scalar. Ceiling: :func:`hamming_correlation_ceiling`; an embedding of the tree alone does
      not come near it, since the tree and the Hamming cube are different spaces.
    """
    hamming = hamming_distance(sample)
    return spearman_with_classes(sample.of_matrix(distance), hamming, n_classes=_N_LEVELS)


def hamming_correlation_ceiling(*, n_digits: int = N_DIGITS, p: int = 3) -> float:
    """Largest Hamming correlation over all pairs of different operations, tie-free distances.

    >>> round(hamming_correlation_ceiling(), 4)
    0.9775
    """
    n = ternary.count(n_digits=n_digits, p=p)
    return tie_ceiling(
        [n * math.comb(n_digits, h) * (p - 1) ** h // 2 for h in range(1, n_digits + 1)]
    )


def triplet_concordance(
    distance: jax.Array, index: jax.Array, triplets: Triplets, *, strict: bool = True
) -> jax.Array:
    """Share of triplets whose anchor is nearer to the 3-adically nearer of the other two.

    Args:
      distance: ``(m, m)``.
      index: int ``(m,)`` operations.
      triplets: positions; those with two equal positions are left out.
      strict: count only triplets with ``v(i - j) != v(i - k)``: chance 1/2, ceiling 1. False is the
        original: a triplet with equal valuations counts as right when j is *not* nearer than k,
        which tie-free distances do half of the time; see :func:`triplet_concordance_ceiling`.

    Returns:
      A scalar in [0, 1]; 1/2 where fewer than 100 triplets are left, as in the original.
    """
    i, j, k = triplets
    valuation_ij = ternary.pair_valuation(index[i], index[j])
    valuation_ik = ternary.pair_valuation(index[i], index[k])
    nearer = distance[i, j] < distance[i, k]
    right = (valuation_ij > valuation_ik) == nearer
    counted = (i != j) & (i != k) & (j != k)
    if strict:
        counted &= valuation_ij != valuation_ik
    n_counted = counted.sum()
    share = (right & counted).sum() / jnp.maximum(n_counted, 1)
    return jnp.where(n_counted < _LEAST_TRIPLETS, 0.5, share)


def triplet_concordance_ceiling(*, n_digits: int = N_DIGITS, p: int = 3) -> float:
    """Expected non-strict concordance of a perfect tree with tie-free distances: 3/4 for p = 3.

    >>> round(triplet_concordance_ceiling(), 3)
    0.75
    """
    others = ternary.level_counts(n_digits=n_digits, p=p)[:-1]
    n = sum(others)
    return 1 - 0.5 * sum(level * (level - 1) for level in others) / (n * (n - 1))


def ultrametric_compliance(
    distance: jax.Array, triplets: Triplets, *, tolerance: float = 0.1
) -> jax.Array:
    """Share of triangles whose two longest sides agree, as all do in a tree.

    Args:
      distance: ``(m, m)``.
      triplets: corners of the triangles, all different.
      tolerance: largest difference, as a share of the longest side.

    Returns:
      A scalar in [0, 1]; 1 for an ultrametric. It asks nothing about *which* tree, and points
      drawn at random in many dimensions are nearly equidistant and score high: compare with
      :func:`triplet_concordance`.
    """
    i, j, k = triplets
    sides = jnp.sort(jnp.stack([distance[i, j], distance[i, k], distance[j, k]]), axis=0)
    return (sides[2] - sides[1] <= tolerance * sides[2]).mean()


def _dist_corr(separation: jax.Array, sample: PairSample) -> jax.Array:
    correlation = spearman_with_classes(separation, level_gap(sample), n_classes=_N_LEVELS)
    constant = (separation == separation[0]).all()
    return jnp.where(constant, 0.0, correlation)
