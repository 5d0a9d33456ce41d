"""Pairs of rows of a batch: drawn from a key, or all of them.

Every pair loss takes ``pairs``: a :class:`Pairs`, as the reference system samples them, or None for
all ordered pairs of the batch, which have no sampling noise and cost little up to a thousand rows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.geometry import poincare
from tvae.geometry.numerics import safe_norm


class Pairs(NamedTuple):
    """Positions in the batch, int32 ``(n_pairs,)`` each."""

    i: jax.Array
    j: jax.Array


class Block(NamedTuple):
    """Positions, int32 ``(b,)``, of rows that are paired with every row of the batch.

    A part of all pairs, for batches of which these are too many to be held at once:
    :mod:`tvae.losses.blocks`. Results have the shape ``(b, n)``.
    """

    i: jax.Array


def sample_pairs(key: jax.Array, *, batch_size: int, n_pairs: int) -> Pairs:
    """Draw ``n_pairs`` ordered pairs of different rows (if there are two), with replacement.

    Both ends are uniform, then ``j`` moves on by one where it equals ``i``, as in the reference
    system: neighbouring rows are slightly more likely than others.

    >>> pairs = sample_pairs(jax.random.key(0), batch_size=4, n_pairs=100)
    >>> pairs.i.shape, bool((pairs.i != pairs.j).all())
    ((100,), True)
    """
    draw = jax.random.randint(key, (2, n_pairs), 0, batch_size, dtype=jnp.int32)
    i, j = draw[0], draw[1]
    return Pairs(i, jnp.where(i == j, (j + 1) % batch_size, j))


def sample_rows(
    key: jax.Array, *, n_rows: int, n_draws: int, size: int, where: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Draw sets of different rows, uniformly among those that count.

    Args:
      key: of the draws.
      n_rows: rows of the batch.
      n_draws: how many sets.
      size: rows of a set.
      where: bool ``(n_rows,)``, rows that count.

    Returns:
      Rows, int32 ``(n_draws, size)``, and which sets count, bool ``(n_draws,)``: all of them, or
      none if fewer rows count than a set has.

    >>> rows, mask = sample_rows(jax.random.key(0), n_rows=3, n_draws=2, size=3)
    >>> jnp.sort(rows).tolist(), mask.tolist()
    ([[0, 1, 2], [0, 1, 2]], [True, True])
    """
    counting = jnp.ones(n_rows, bool) if where is None else where
    n_counting = counting.sum(dtype=jnp.int32)
    # Each draw skips those before it, so that none has to be thrown away.
    limits = jnp.maximum(n_counting - jnp.arange(size, dtype=jnp.int32), 1)
    draws = jax.random.randint(key, (n_draws, size), 0, limits[None, :], jnp.int32)
    ranks = draws[:, :1]
    for column in range(1, size):
        rank = draws[:, column]
        for smaller in jnp.sort(ranks, axis=-1).T:
            rank += rank >= smaller
        ranks = jnp.concatenate([ranks, rank[:, None]], axis=-1)
    rows = jnp.argsort(~counting, stable=True)[jnp.minimum(ranks, n_rows - 1)]
    return rows, jnp.full(n_draws, n_counting >= size)


def ends(x: jax.Array, pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
    """Values ``(n,)`` at both ends of the pairs: two ``(n_pairs,)`` arrays.

    For all pairs ``(n, 1)`` and ``(1, n)``, ready to broadcast against each other.

    >>> [end.shape for end in ends(jnp.zeros(5), None)]
    [(5, 1), (1, 5)]
    """
    if pairs is None:
        return x[:, None], x[None, :]
    if isinstance(pairs, Block):
        return x[pairs.i][:, None], x[None, :]
    return x[pairs.i], x[pairs.j]


def distinct(n_rows: int, pairs: Pairs | Block | None, where: jax.Array | None = None) -> jax.Array:
    """True where a pair joins two different rows: ``(n_pairs,)``, or ``(n, n)`` for all pairs.

    Args:
      n_rows: rows of the batch.
      pairs: sampled pairs, or None for all.
      where: bool ``(n_rows,)``, rows that count; a pair counts if both of its ends do.

    >>> two = jnp.asarray([True, True, False])
    >>> distinct(3, None).sum().item(), distinct(3, None, two).sum().item()
    (6, 2)
    """
    i, j = ends(jnp.arange(n_rows), pairs)
    if where is None:
        return i != j
    where_i, where_j = ends(where, pairs)
    return (i != j) & where_i & where_j


def pair_lengths(x: jax.Array, pairs: Pairs | Block | None, *, c: Numeric | None) -> jax.Array:
    """Distance between the ends of the pairs; its gradient is 0 where they coincide.

    Args:
      x: ``(n, d)``; with a curvature, points of the Poincaré ball.
      pairs: sampled pairs, or None for all.
      c: curvature magnitude of the geodesic distance, or None for the Euclidean one.

    Returns:
      ``(n_pairs,)``, or ``(n, n)`` for all pairs.

    >>> x = jnp.asarray([[0.0, 0.0], [0.3, 0.4]])
    >>> pair_lengths(x, None, c=None).tolist(), pair_lengths(x, None, c=1.0)[0, 1].round(4).item()
    ([[0.0, 0.5], [0.5, 0.0]], 1.0986...)
    """
    if pairs is None:
        return lengths_between(x, x, c=c)
    if isinstance(pairs, Block):
        return lengths_between(x[pairs.i], x, c=c)
    return row_lengths(x[pairs.i], x[pairs.j], c=c)


def row_lengths(x: jax.Array, y: jax.Array, *, c: Numeric | None) -> jax.Array:
    """Distance ``(n,)`` of each row of ``x`` ``(n, d)`` to that row of ``y``: :func:`pair_lengths`.

    >>> row_lengths(jnp.zeros((1, 2)), jnp.asarray([[3.0, 4.0]]), c=None).tolist()
    [5.0]
    """
    return safe_norm(x - y) if c is None else poincare.distance(x, y, c=c)


def lengths_between(x: jax.Array, y: jax.Array, *, c: Numeric | None) -> jax.Array:
    """Distance ``(n, m)`` of every row of ``x`` to every one of ``y``: see :func:`pair_lengths`.

    >>> lengths_between(jnp.zeros((1, 2)), jnp.asarray([[3.0, 4.0], [0.0, 1.0]]), c=None).tolist()
    [[5.0, 1.0]]
    """
    if c is None:
        return poincare.pairwise_lengths(x, y, c=1.0)[0]
    return poincare.pairwise_distance(x, y, c=c)
