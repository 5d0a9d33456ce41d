"""Mean rank and mean average precision of a transitive closure, exact and in blocks.

For each pair of an item and its ancestor: how many items that are neither the item nor one of its
ancestors are as near to the item as this ancestor. Ties count against the embedding, so that one
whose points coincide is the worst.

Source: the reconstruction task of Nickel and Kiela, *Poincaré Embeddings* (2017), section 4.1.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_FLOATS_AT_ONCE = 2**22
"""Of a block of queries and all items: 16 MB, and three such arrays are alive."""

_FEW = 128
"""Ancestors of an item up to which comparing all items with each is the faster way to count."""

Key = Callable[[jax.Array], jax.Array]
"""Items ``(q,)`` -> ``(q, n)``, a number that grows with the distance to each item."""


class Queries(NamedTuple):
    """Items with about equally many ancestors.

    Attributes:
      item: int32 ``(q,)``.
      ancestor: int32 ``(q, width)``; -1 where there are fewer.
    """

    item: np.ndarray
    ancestor: np.ndarray


class Ranks(NamedTuple):
    """What is summed over the pairs of each query, float32 ``(q,)`` each.

    Attributes:
      rank: mean over its ancestors of 1 plus the number of nearer items.
      precision: average precision.
      pairs: number of its ancestors.
    """

    rank: jax.Array
    precision: jax.Array
    pairs: jax.Array


def group_queries(offset: np.ndarray, ancestor: np.ndarray, item: np.ndarray) -> list[Queries]:
    """Group items by their number of ancestors, up to the next power of 2.

    Args:
      offset: ``(n + 1,)``, where the ancestors of each item begin.
      ancestor: of all items, one after the other.
      item: the items to group ``(q,)``; those without ancestors are left out.

    >>> [(g.item.tolist(), g.ancestor.shape) for g in group_queries(
    ...     np.asarray([0, 0, 1, 3]), np.asarray([0, 0, 1]), np.arange(3))]
    [([1], (1, 1)), ([2], (1, 2))]
    """
    count = np.diff(offset)[item]
    width = 2 ** np.ceil(np.log2(np.maximum(count, 1))).astype(int)
    groups = []
    for w in np.unique(width[count > 0]):
        chosen = item[(width == w) & (count > 0)]
        place = np.arange(w)[None, :]
        there = place < np.diff(offset)[chosen][:, None]
        at = np.where(there, offset[chosen][:, None] + place, 0)
        groups.append(
            Queries(chosen.astype(np.int32), np.where(there, ancestor[at], -1).astype(np.int32))
        )
    return groups


def count_up_to(x: jax.Array, bound: jax.Array) -> jax.Array:
    """How many of ``x`` ``(n,)`` are at most each bound ``(k,)``, int32.

    Few bounds are compared with all, many are looked up in sorted order.

    >>> count_up_to(jnp.asarray([3.0, 1.0, 2.0]), jnp.asarray([2.0, 0.5])).tolist()
    [2, 0]
    """
    if bound.shape[0] <= _FEW:
        return (x[None, :] <= bound[:, None]).sum(-1, dtype=jnp.int32)
    return jnp.searchsorted(jnp.sort(x), bound, side="right").astype(jnp.int32)


def rank_ancestors(key: Key, item: jax.Array, ancestor: jax.Array, *, n: int) -> Ranks:
    """Rank the ancestors of items among all that are not, in blocks.

    Args:
      key: orders all items by their distance to some.
      item: int ``(q,)``.
      ancestor: int ``(q, width)``; -1 where there are fewer.
      n: number of all items, static.

    Returns:
      One row a query.
    """

    def rank(query: tuple[jax.Array, jax.Array]) -> Ranks:
        own, above = query
        keys = key(own[None])[0]
        # Nearest ancestor first; places without one are last.
        mine = jnp.sort(jnp.where(above >= 0, keys[jnp.maximum(above, 0)], jnp.inf))
        total = (above >= 0).sum()
        place = jnp.arange(1, above.shape[0] + 1)
        there = place <= total
        nearer = count_up_to(keys, mine)
        others = nearer - count_up_to(mine, mine) - (keys[own] <= mine)
        safe = jnp.maximum(total, 1)
        return Ranks(
            rank=jnp.where(there, 1.0 + others, 0.0).sum() / safe,
            precision=jnp.where(there, place / jnp.maximum(place + others, 1), 0.0).sum() / safe,
            pairs=total.astype(jnp.float32),
        )

    return jax.lax.map(rank, (item, ancestor), batch_size=max(1, _FLOATS_AT_ONCE // n))


def summarise(found: Ranks) -> dict[str, jax.Array]:
    """Mean rank over pairs, and mean average precision over queries that have ancestors.

    ``mean_rank_error`` and ``map_error`` are standard errors of the means over a sample of queries.
    """
    pairs = found.pairs.sum()
    mean_rank = (found.rank * found.pairs).sum() / pairs
    q = found.pairs.shape[0]
    residual = found.pairs * (found.rank - mean_rank)
    return {
        "mean_rank": mean_rank,
        "map": found.precision.mean(),
        "mean_rank_error": jnp.sqrt(jnp.square(residual).sum()) / pairs,
        "map_error": found.precision.std() / q**0.5,
    }


@functools.partial(jax.jit, static_argnums=0)
def _keys(key_of: Callable[..., Key], arrays: tuple[jax.Array, ...], item: jax.Array) -> jax.Array:
    return key_of(*arrays)(item)


def rank_groups(
    key_of: Callable[..., Key], arrays: tuple[jax.Array, ...], groups: list[Queries], *, n: int
) -> Ranks:
    """Ranks of groups of queries in their order; on the host, where counting is ten times as fast.

    Args:
      key_of: the arrays -> :data:`Key`, not negative; the same function at every call, or it
        compiles anew.
      arrays: of the embedding.
      groups: from :func:`group_queries`.
      n: number of all items.
    """
    size = max(1, _FLOATS_AT_ONCE // n)
    found = []
    for group in groups:
        # The last block takes some queries twice, so that all have one shape.
        for start in range(0, len(group.item), size):
            rows = np.arange(start, start + size) % len(group.item)
            item, above = group.item[rows], group.ancestor[rows]
            ranks = _rank_on_host(np.asarray(_keys(key_of, arrays, item)), item, above)
            found.append([column[: len(group.item) - start] for column in ranks])
    return Ranks(*(jnp.asarray(np.concatenate(column)) for column in zip(*found, strict=True)))


def _rank_on_host(keys: np.ndarray, item: np.ndarray, ancestor: np.ndarray) -> list[np.ndarray]:
    """The columns of :class:`Ranks` from the keys ``(q, n)`` of some queries."""
    there = ancestor >= 0
    mine = np.take_along_axis(keys, np.maximum(ancestor, 0), 1)
    mine = np.sort(np.where(there, mine, np.inf), 1)
    place = np.arange(1, ancestor.shape[1] + 1)[None, :]
    total = there.sum(1, keepdims=True)
    there = place <= total
    far = np.max(mine, 1, initial=0.0, where=there, keepdims=True)
    own = np.take_along_axis(keys, item[:, None].astype(np.int64), 1)
    nearer = _count_rows(keys, keys <= far, np.where(there, mine, 0.0))
    others = nearer - _count_rows(mine, there, np.where(there, mine, 0.0)) - (own <= mine)
    rank = np.where(there, 1 + others, 0).sum(1) / total[:, 0]
    precision = np.where(there, place / np.maximum(place + others, 1), 0.0).sum(1) / total[:, 0]
    columns = (rank, precision, total[:, 0])
    return [column.astype(np.float32) for column in columns]


def _count_rows(x: np.ndarray, among: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """How many of the marked numbers of each row of ``x`` ``(q, n)`` are at most its bounds.

    All numbers are not negative: their bits, as integers, are in the same order. Below the row
    number they make one sorted list of all rows, in which every bound is looked up.
    """
    row = np.arange(len(x), dtype=np.int64)[:, None] << 32
    marked = np.sort(_marked(x, among))
    asked = row | bound.astype(np.float32).view(np.int32)
    before = np.cumsum(np.count_nonzero(among, 1)) - np.count_nonzero(among, 1)
    return np.searchsorted(marked, asked.ravel(), "right").reshape(bound.shape) - before[:, None]


def _marked(x: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Row number and bits of the marked numbers."""
    row, column = np.nonzero(among)
    return (row << 32) | x[row, column].view(np.int32)
