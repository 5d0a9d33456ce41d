"""Pairs of rows of a batch: drawn from a key, or all of them.

Every pair loss takes ``pairs``: a :class:`Pairs`, as the reference system samples them, or None for
all ordered pairs of the batch, which have no sampling noise and cost little up to a thousand rows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Pairs(NamedTuple):
    """Positions in the batch, int32 ``(n_pairs,)`` each."""

    i: jax.Array
    j: jax.Array


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


def ends(x: jax.Array, pairs: Pairs | None) -> tuple[jax.Array, jax.Array]:
    """Values ``(n,)`` at both ends of the pairs: two ``(n_pairs,)`` arrays.

    For all pairs ``(n, 1)`` and ``(1, n)``, ready to broadcast against each other.

    >>> [end.shape for end in ends(jnp.zeros(5), None)]
    [(5, 1), (1, 5)]
    """
    if pairs is None:
        return x[:, None], x[None, :]
    return x[pairs.i], x[pairs.j]


def distinct(n_rows: int, pairs: Pairs | None) -> jax.Array:
    """True where a pair joins two different rows: ``(n_pairs,)``, or ``(n, n)`` for all pairs.

    >>> distinct(3, None).sum().item()
    6
    """
    i, j = ends(jnp.arange(n_rows), pairs)
    return i != j
