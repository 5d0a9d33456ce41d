"""Positive pairs and candidates of contrastive terms, for the rows of a block."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from tvae.losses.nce import same
from tvae.losses.pairs import Block, distinct


def matches(
    i: jax.Array, n_rows: int, match_id: jax.Array | None, where: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Positive pairs and candidates of rows i of two modalities, bool ``(b, n)``.

    Both are symmetric: a direction and its reverse have the same.
    """
    ids = jnp.arange(n_rows) if match_id is None else match_id
    return same(ids[i], ids), candidates(i, n_rows, where)


def candidates(i: jax.Array, n_rows: int, where: jax.Array | None) -> jax.Array:
    """Pairs of rows i and all rows of which both count, bool ``(b, n)``."""
    if where is None:
        return jnp.ones((i.size, n_rows), bool)
    return where[i][:, None] & where[None, :]


def both_directions(
    loss: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, y: jax.Array
) -> jax.Array:
    """Mean of a loss of rows and their candidates over both directions."""
    return (loss(x, y) + loss(y, x)) / 2


def others(i: jax.Array, n_rows: int, where: jax.Array | None) -> jax.Array:
    """Candidates of rows i among the rows themselves: all that count but the row itself."""
    return candidates(i, n_rows, where) & distinct(n_rows, Block(i))
