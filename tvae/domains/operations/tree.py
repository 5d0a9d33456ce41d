"""The 3-adic tree of operations: sampled pairs, Hamming distances, measures of an embedding."""

import math

import jax
import jax.numpy as jnp

from tvae.geometry import padic
from tvae.geometry.padic import PadicTree
from tvae.metrics import embedding
from tvae.metrics.definitions import PAIRS, Entry
from tvae.metrics.rank_correlation import spearman_with_classes, tie_ceiling
from tvae.metrics.sample import PairSample, all_pairs

TREE = PadicTree(3, padic.N_DIGITS)
"""The tree of all operations with nine digits: an operation's level is its valuation."""


def tree_sample(key: jax.Array, *, depth: int = 6) -> PairSample:
    r"""Pairs whose valuations are distributed exactly as those of all pairs.

    One random operation from each of the :math:`3^{depth}` balls of radius :math:`3^{-depth}`
    (residue classes), all pairs of these, and as many pairs inside balls as the whole space has
    in proportion. A thousand operations drawn at random give a tree fidelity with a standard
    deviation of 0.011 to 0.014; these, half as many pairs, one of about 0.001.

    At depth 6 (static) there are 1,080 operations and 265,356 + 351 pairs.

    >>> sample = tree_sample(jax.random.key(0))
    >>> sample.items.shape, sample.i.shape
    ((1080,), (265707,))
    """
    n_balls, ball_size = TREE.p**depth, TREE.p ** (TREE.n - depth)
    n_across = n_balls * (n_balls - 1) // 2
    # Share of a point's other points that lie in its ball, against those outside.
    n_within = n_across * (ball_size - 1) // (ball_size * (n_balls - 1))
    first_key, second_key, ball_key = jax.random.split(key, 3)
    place = jax.random.randint(first_key, (n_balls,), 0, ball_size, jnp.int32)
    first = jnp.arange(n_balls, dtype=jnp.int32) + n_balls * place
    ball = jax.random.permutation(ball_key, n_balls)[:n_within].astype(jnp.int32)
    step = jax.random.randint(second_key, (n_within,), 1, ball_size, jnp.int32)
    second = ball + n_balls * ((place[ball] + step) % ball_size)
    across = all_pairs(first)
    return PairSample(
        items=jnp.concatenate([first, second]),
        i=jnp.concatenate([across.i, ball]),
        j=jnp.concatenate([across.j, n_balls + jnp.arange(n_within, dtype=jnp.int32)]),
    )


def hamming_distance(sample: PairSample) -> jax.Array:
    """Number of digits in which the operations of a pair differ, int32 in ``[0, 9]``."""
    one_hot = jax.nn.one_hot(padic.digits(sample.items), TREE.p)
    same = jnp.einsum("ikd,jkd->ij", one_hot, one_hot)
    return TREE.n - sample.of_matrix(same).astype(jnp.int32)


def hamming_correlation(distance: jax.Array, sample: PairSample) -> jax.Array:
    """Spearman correlation of distances ``(m, m)`` and Hamming distances of the truth tables.

    Ceiling: :func:`hamming_correlation_ceiling`; an embedding of the tree alone does not come near
    it, since the tree and the Hamming cube are different spaces.
    """
    hamming = hamming_distance(sample)
    return spearman_with_classes(sample.of_matrix(distance), hamming, n_classes=TREE.n_levels)


def hamming_correlation_ceiling(tree: PadicTree = TREE) -> float:
    """Largest Hamming correlation over all pairs of different operations, tie-free distances.

    >>> round(hamming_correlation_ceiling(), 4)
    0.9775
    """
    p, n = tree.p, tree.n
    return tie_ceiling([p**n * math.comb(n, h) * (p - 1) ** h // 2 for h in range(1, n + 1)])


def embedding_metrics(z: jax.Array, key: jax.Array, *, c: jax.Array) -> dict[str, jax.Array]:
    """Measure an embedding ``(19683, d)`` of all operations, in a ball of curvature -c.

    As :func:`tvae.metrics.embedding.embedding_metrics`, with ``hamming_correlation``.
    """
    return embedding.embedding_metrics(
        z,
        key,
        c=c,
        items=TREE,
        draw_pairs=tree_sample,
        pair_measures={"hamming_correlation": hamming_correlation},
    )


DEFINITIONS = {
    "eval/hamming_correlation": Entry(
        "Spearman correlation of hyperbolic pair distance and Hamming distance of the tables",
        PAIRS,
        hamming_correlation_ceiling,
        better="neither",
        note="Tree and Hamming cube are different spaces: no embedding reaches both ceilings.",
    ),
}
