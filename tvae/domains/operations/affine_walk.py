r"""Batches from an affine walk: exact counts of levels and of pair valuations.

:math:`i_t = a t + b \bmod 3^9` with a unit a visits every operation once. Since
:math:`v(i_t - i_s) = v(t - s)`, any :math:`3^m` consecutive steps hold every residue modulo
:math:`3^m` once, and the valuations of all their pairs are static numbers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.operations.tree import TREE


def affine_walk(key: jax.Array) -> jax.Array:
    """All operations in the order of a random affine walk, int32 ``(19683,)``.

    >>> walk = affine_walk(jax.random.key(0))
    >>> sorted(walk[:9].tolist()) != list(range(9)), sorted((walk[:9] % 9).tolist())
    (True, [0, 1, 2, 3, 4, 5, 6, 7, 8])
    """
    n = TREE.n_leaves
    third_key, residue_key, start_key = jax.random.split(key, 3)
    # A unit is a number that 3 does not divide; products stay below 3^18, inside an int32.
    third = jax.random.randint(third_key, (), 0, n // TREE.p, jnp.int32)
    unit = TREE.p * third + jax.random.randint(residue_key, (), 1, TREE.p, jnp.int32)
    start = jax.random.randint(start_key, (), 0, n, jnp.int32)
    return (unit * jnp.arange(n, dtype=jnp.int32) + start) % n


def walk_batches(key: jax.Array, *, block: int, roots: int) -> jax.Array:
    """One epoch: the walk cut into blocks, each followed by the operations of highest valuation.

    Args:
      key: of the walk.
      block: operations of a block, a power of 3.
      roots: how many operations of highest valuation end every batch, a power of 3: the multiples
        of ``19683 / roots``, which hold all levels that a block of 243 holds by chance only.

    Returns:
      int32 ``(19683 / block, block + roots)``.

    >>> walk_batches(jax.random.key(0), block=243, roots=81).shape
    (81, 324)
    """
    n = TREE.n_leaves
    blocks = affine_walk(key).reshape(n // block, block)
    root = jnp.arange(roots, dtype=jnp.int32) * (n // roots)
    return jnp.concatenate([blocks, jnp.broadcast_to(root, (n // block, roots))], axis=1)


def expected_level_rows(*, block: int, roots: int) -> np.ndarray:
    """Rows of each level in a batch of :func:`walk_batches`, the mean over the walk, ``(10,)``.

    Exact, not a mean, for levels below log3(block) and where the roots hold the whole level.

    >>> expected_level_rows(block=243, roots=81).round(2).tolist()
    [162.0, 54.0, 18.0, 6.0, 2.0, 54.67, 18.22, 6.07, 2.02, 1.01]
    """
    counts = np.array(TREE.level_counts)
    level = np.arange(TREE.n_levels)
    held = TREE.n_leaves // TREE.p**level <= roots
    return counts * (block / TREE.n_leaves + held)


def level_weights(*, block: int, roots: int, even_share: jax.Array | float) -> jax.Array:
    """Weight of one row of each level, so that a batch of :func:`walk_batches` weighs 1 in all.

    ``even_share`` of the weight, which may be traced, is spread evenly over the ten levels; the
    rest goes to all operations alike, however often a batch holds them. float32 ``(10,)``.

    >>> weight = level_weights(block=243, roots=81, even_share=0.25)
    >>> round(float(weight @ expected_level_rows(block=243, roots=81)), 6)
    1.0
    """
    share = (np.array(TREE.level_counts) / TREE.n_leaves).astype(np.float32)
    level = (1.0 - even_share) * share + even_share / share.size
    return jnp.asarray(level / expected_level_rows(block=block, roots=roots), jnp.float32)


class BlockPairs(NamedTuple):
    """The pairs of a block: its first operations, the anchors, against all of it.

    Attributes:
      valuation: v(i - j), int32 ``(anchors, block)``.
      by_valuation: weights that sum to 1, each valuation as much as any other; 0 for self-pairs.
      uniform: weights that sum to 1, all pairs alike; 0 for self-pairs.
    """

    valuation: np.ndarray
    by_valuation: np.ndarray
    uniform: np.ndarray


def block_pairs(*, block: int, anchors: int) -> BlockPairs:
    """The static pair tables of a block of the walk, a power of 3, with at most as many anchors.

    With 243 and 27 the valuations are 0 to 4, in the proportions of all pairs.

    >>> pairs = block_pairs(block=9, anchors=3)
    >>> pairs.valuation[0].tolist(), round(float(pairs.by_valuation.sum()), 6)
    ([9, 0, 0, 1, 0, 0, 1, 0, 0], 1.0)
    """
    difference = np.arange(anchors)[:, None] - np.arange(block)[None, :]
    powers = 3 ** np.arange(1, TREE.n_levels)
    valuation = (difference[..., None] % powers == 0).sum(-1, dtype=np.int32)
    other = difference != 0
    rows = np.bincount(valuation[other], minlength=TREE.n_levels)
    by_valuation = other / (np.maximum(rows, 1)[valuation] * np.count_nonzero(rows))
    uniform = other / other.sum()
    return BlockPairs(valuation, by_valuation.astype(np.float32), uniform.astype(np.float32))
