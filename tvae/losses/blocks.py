"""Losses over all pairs of a large batch, block by block: memory grows with the rows only.

Batches of up to 1,024 rows are one block, computed as written. In larger ones, blocks of rows meet
the whole batch one after the other; the backward pass computes each block again instead of keeping
it, which costs about a third of the time.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tvae.losses.levels import masked_mean
from tvae.losses.pairs import Block, Pairs

ELEMENTS = 2**20
"""Numbers of an array of one block: 4 MB in float32."""


def fits(n_rows: int, width: int = 1) -> bool:
    """Whether all pairs are one block.

    >>> fits(1024), fits(1025)
    (True, False)
    """
    return n_rows**2 * width <= ELEMENTS


def map_rows(function: Callable[[jax.Array], Any], n_rows: int, *, width: int = 1) -> Any:
    """Apply a function to the positions of all rows, in blocks where there are many.

    Args:
      function: of positions in the batch, int32 ``(b,)``, to a pytree of arrays ``(b, ...)``, of
        which each row depends on its own position only.
      n_rows: rows of the batch.
      width: numbers that the function holds for each pair.

    Returns:
      The pytree of arrays ``(n_rows, ...)``.

    >>> x = jnp.arange(2000.0)
    >>> map_rows(lambda i: (x[i, None] > x[None, :]).sum(-1), 2000)[-1].item()
    1999
    """
    positions = jnp.arange(n_rows, dtype=jnp.int32)
    if fits(n_rows, width):
        return function(positions)
    size = max(1, ELEMENTS // (n_rows * width))
    n_blocks = -(-n_rows // size)
    padded = jnp.minimum(jnp.arange(n_blocks * size, dtype=jnp.int32), n_rows - 1)
    # Within a loop nothing is shared between the passes: the barriers against it would only cost.
    block = jax.checkpoint(function, prevent_cse=False)
    found = jax.lax.map(block, padded.reshape(n_blocks, size))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n_rows], found)


def mean_over_pairs(
    penalty: Callable[[Pairs | Block | None], tuple[jax.Array, jax.Array]],
    n_rows: int,
    pairs: Pairs | None,
    *,
    width: int = 1,
) -> jax.Array:
    """Mean of a penalty over the pairs that count, 0 where none does.

    Args:
      penalty: of pairs to their values and which of them count, of one shape; written with
        :func:`tvae.losses.pairs.ends`, ``distinct`` and ``pair_lengths``, which take a block too.
      n_rows: rows of the batch.
      pairs: sampled pairs, or None for all.
      width: numbers that the penalty holds for each pair.

    Returns:
      A scalar.

    >>> from tvae.losses.pairs import distinct, ends
    >>> x = jnp.arange(1500.0)
    >>> def gap(pairs):
    ...     i, j = ends(x, pairs)
    ...     return jnp.abs(i - j), distinct(1500, pairs)
    >>> round(float(mean_over_pairs(gap, 1500, None)), 2)  # (n + 1) / 3
    500.33
    """
    if pairs is not None or fits(n_rows, width):
        return masked_mean(*penalty(pairs))

    def of_block(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, mask = penalty(Block(i))
        return jnp.where(mask, value, 0).sum(-1), mask.sum(-1, dtype=jnp.int32)

    total, count = map_rows(of_block, n_rows, width=width)
    return total.sum() / jnp.maximum(count.sum(), 1).astype(total.dtype)
