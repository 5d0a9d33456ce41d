"""Pairs and triplets that stand for all of them in a measure of pairs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from tvae.geometry.tree import Tree


class PairSample(NamedTuple):
    """Items ``(m,)``, and pairs of positions ``i``, ``j`` among them ``(n_pairs,)``; int32."""

    items: jax.Array
    i: jax.Array
    j: jax.Array

    def ends(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Values ``x`` ``(m, ...)`` of the items at both ends of every pair."""
        return x[self.i], x[self.j]

    def of_matrix(self, x: jax.Array) -> jax.Array:
        """Entries of a matrix ``x`` ``(m, m)``, one for every pair."""
        return x.reshape(-1)[self.i * x.shape[1] + self.j]

    def level_gap(self, tree: Tree) -> jax.Array:
        """Difference of the levels of both ends, int32 ``(n_pairs,)`` in ``[0, depth]``."""
        level_i, level_j = self.ends(tree.level(self.items))
        return jnp.abs(level_i - level_j)


class Triplets(NamedTuple):
    """Positions of an anchor i and two others, int32 ``(n_triplets,)`` each."""

    i: jax.Array
    j: jax.Array
    k: jax.Array


def all_pairs(index: jax.Array) -> PairSample:
    """Every unordered pair of the given items once.

    >>> sample = all_pairs(jnp.asarray([5, 7, 9]))
    >>> sorted(zip(sample.i.tolist(), sample.j.tolist()))
    [(0, 1), (1, 2), (2, 0)]
    """
    m = index.shape[0]
    # Around a circle of m points: each step s < m/2 joins m pairs, s = m/2 joins half as many.
    number = jnp.arange(m * (m - 1) // 2, dtype=jnp.int32)
    i = number % m
    return PairSample(jnp.asarray(index, jnp.int32), i, (i + number // m + 1) % m)


def sample_triplets(key: jax.Array, *, n_points: int, n_triplets: int) -> Triplets:
    """Ordered triplets of three different positions, uniform.

    >>> triplets = sample_triplets(jax.random.key(0), n_points=3, n_triplets=50)
    >>> bool((triplets.i + triplets.j + triplets.k == 3).all())
    True
    """
    # The second and third skip those before them, so that no draw has to be thrown away.
    limits = jnp.asarray([[n_points], [n_points - 1], [n_points - 2]], jnp.int32)
    i, j, k = jax.random.randint(key, (3, n_triplets), 0, limits, jnp.int32)
    j = j + (j >= i)
    low, high = jnp.minimum(i, j), jnp.maximum(i, j)
    k = k + (k >= low)
    return Triplets(i, j, k + (k >= high))
