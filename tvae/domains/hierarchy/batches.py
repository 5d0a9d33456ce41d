"""Queries, ancestors and negatives of a step, by indices of items alone.

Items are numbered in preorder, so that a block of consecutive items holds siblings and cousins: the
negatives that matter. The others are the roots of the largest subtrees, in every step, and random
items that stand for all the rest. In expectation the weighted sum over a query's negatives is that
over all items.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.domains.hierarchy.links import Positives

_CHOICE_SEED = 0
"""Of the ancestors that stand for all of an item that has too many: the same in every run."""


class Batch(NamedTuple):
    """Blocks of queries of a step.

    Attributes:
      start: first item of each block, int32 ``(blocks,)``.
      drawn: random negatives, int32 ``(random,)``, shared by the blocks.
    """

    start: jax.Array
    drawn: jax.Array


class Rows(NamedTuple):
    """Rows of the table that a step reads, and where its items are among them.

    Attributes:
      row: items, each once and ascending, int32 ``(k,)``; n where there are fewer.
      query: positions of the queries, int32 ``(blocks, block)``.
      above: of what :meth:`Sampler.above` has for each block, ``(blocks, a)``.
      shared: of what :meth:`Sampler.shared` has, ``(top + random,)``.
    """

    row: jax.Array
    query: jax.Array
    above: jax.Array
    shared: jax.Array


class Block(NamedTuple):
    """The pairs of one block of queries.

    Attributes:
      query: ``(block,)`` items.
      ancestor: ``(block, ancestors)`` positions in :meth:`Sampler.above` of the block, 0 where
        there are fewer.
      is_ancestor: whether there is one, bool of that shape.
      log_weight: ``(block, block + top + random)``, of the block itself, the largest subtrees and
        the random items as negatives of each query; -inf where they are none.
    """

    query: jax.Array
    ancestor: jax.Array
    is_ancestor: jax.Array
    log_weight: jax.Array


@dataclasses.dataclass(frozen=True)
class Sampler:
    """Makes the batches of an epoch, and the pairs of each block.

    Attributes:
      known: the hierarchy.
      learnt: the ancestors that are positives.
      block: consecutive items of a block, at most their number.
      blocks: blocks of a step.
      top: largest subtrees whose roots are negatives in every step.
      random: random negatives of a step.
      ancestors: most ancestors of an item that are positives.
    """

    known: Hierarchy
    learnt: Positives
    block: int
    blocks: int
    top: int
    random: int
    ancestors: int

    @property
    def steps(self) -> int:
        """Steps in which each item is a query once, or a few of them twice."""
        return -(-len(self.known) // (self.block * self.blocks))

    @functools.cached_property
    def largest(self) -> np.ndarray:
        """Roots of the largest subtrees, int32 ``(top,)``."""
        return np.argsort(-self.known.size, kind="stable")[: self.top].astype(np.int32)

    @functools.cached_property
    def positives(self) -> np.ndarray:
        """Ancestors that are learnt, int32 ``(n, at most ancestors)``; -1 where there are fewer.

        Of an item with too many a random choice, the same in every run.
        """
        offset, ancestor = self.learnt.rows
        count = np.diff(offset)
        width = int(min(self.ancestors, count.max(initial=0)))
        table = np.full((len(self.known), max(width, 1)), -1, np.int32)
        few = count <= width
        place = np.arange(ancestor.size) - np.repeat(offset[:-1], count)
        kept = np.repeat(few, count)
        item = np.repeat(np.arange(len(self.known)), count)
        table[item[kept], place[kept]] = ancestor[kept]
        many = np.flatnonzero(~few)
        # Evenly spaced from a random place on: never one ancestor twice.
        spacing = count[many][:, None] / table.shape[1]
        draw = np.random.default_rng(_CHOICE_SEED).random((many.size, 1))
        part = (np.arange(table.shape[1])[None, :] + draw) * spacing
        table[many] = ancestor[offset[many][:, None] + part.astype(np.int64)]
        return table

    @property
    def chunks(self) -> int:
        """Runs of ``block`` items each, the last with those that are left, too."""
        return len(self.known) // self.block

    @functools.cached_property
    def above_chunks(self) -> tuple[np.ndarray, np.ndarray]:
        """Ancestors of all items of a chunk, each once: a step reads few, however many pairs.

        Returns:
          The ancestors ``(chunks, a)``, 0 where there are fewer, and for each of
          :attr:`positives` its place among those of the item's chunk; -1 for none. int32 both.
        """
        n, table = len(self.known), self.positives
        chunk = np.minimum(np.arange(n) // self.block, self.chunks - 1)
        there = table >= 0
        pair = (chunk.astype(np.int64)[:, None] * n + table)[there]
        found, inverse = np.unique(pair, return_inverse=True)
        first = np.searchsorted(found, np.arange(self.chunks, dtype=np.int64) * n)
        place = np.full(table.shape, -1, np.int32)
        place[there] = (np.arange(found.size) - first[found // n])[inverse]
        lists = np.zeros((self.chunks, int(place.max(initial=0)) + 1), np.int32)
        lists[found // n, np.arange(found.size) - first[found // n]] = found % n
        return lists, place

    @functools.cached_property
    def beside_tree(self) -> np.ndarray:
        """Items that are no negatives of each, without its path, ``(n, most)``; -1 for none.

        Its ancestors by further parents; where all but learnt ones are negatives, the learnt ones.
        """
        n, strict = len(self.known), self.learnt.strict
        if not strict and not len(self.known.extra):
            return np.zeros((n, 0), np.int32)
        offset, ancestor = self.learnt.rows if strict else self.known.closure
        item = np.repeat(np.arange(n), np.diff(offset))
        if not strict:
            beside = item >= ancestor + self.known.size[ancestor]
            beside |= item < ancestor
            item, ancestor = item[beside], ancestor[beside]
        count = np.bincount(item, minlength=n)
        table = np.full((n, count.max(initial=0)), -1, np.int32)
        first = np.cumsum(count) - count
        table[item, np.arange(item.size) - first[item]] = ancestor
        return table

    def epoch(self, key: jax.Array) -> Batch:
        """Blocks that cover all items from a random one on, in random order."""
        roll_key, order_key, draw_key = jax.random.split(key, 3)
        n, count = len(self.known), self.steps * self.blocks
        roll = jax.random.randint(roll_key, (), 0, n, jnp.int32)
        order = jax.random.permutation(order_key, count).astype(jnp.int32)
        start = (roll + self.block * order) % n
        drawn = jax.random.randint(draw_key, (self.steps, self.random), 0, n, jnp.int32)
        return Batch(start.reshape(self.steps, self.blocks), drawn)

    def queries(self, start: jax.Array) -> jax.Array:
        """Items of the block that begins at one, ``(block,)``; the last is before item 0."""
        return (start + jnp.arange(self.block, dtype=jnp.int32)) % len(self.known)

    def shared(self, drawn: jax.Array) -> jax.Array:
        """Negatives that the blocks of a step share, ``(top + random,)``."""
        return jnp.concatenate([jnp.asarray(self.largest), drawn])

    def above(self, start: jax.Array) -> jax.Array:
        """Ancestors of the items of the chunks in which a block begins and ends, ``(a,)``."""
        chunk = jnp.minimum(start // self.block, self.chunks - 1)
        lists = jnp.asarray(self.above_chunks[0])
        if self.chunks == 1:
            return lists[chunk]
        # The last chunk is followed by the first, like the items.
        return jnp.concatenate([lists[chunk], lists[(chunk + 1) % self.chunks]])

    def rows(self, batch: Batch) -> Rows:
        """Rows of the table that a step reads."""
        n = len(self.known)
        parts = (
            jax.vmap(self.queries)(batch.start),
            jax.vmap(self.above)(batch.start),
            self.shared(batch.drawn),
        )
        every = jnp.concatenate([part.ravel() for part in parts])
        row, position = jnp.unique(
            every, return_inverse=True, size=min(n, every.size), fill_value=n
        )
        ends = np.cumsum([part.size for part in parts])[:-1]
        found = jnp.split(position.astype(jnp.int32), ends)
        return Rows(row, *(x.reshape(part.shape) for x, part in zip(found, parts, strict=True)))

    def pairs(self, start: jax.Array, shared: jax.Array) -> Block:
        """The pairs of the block that begins at an item."""
        query = self.queries(start)
        column = jnp.concatenate([query, shared])
        own = jnp.asarray(self.above_chunks[1])[query]
        # Of a query that lies in the chunk after the first, the places follow those of the first.
        chunk = jnp.minimum(jnp.stack([query, query * 0 + start]) // self.block, self.chunks - 1)
        later = (chunk[0] != chunk[1])[:, None] * self.above_chunks[0].shape[1]
        weight = jnp.concatenate([jnp.ones(self.block), self._shared_weight(start, shared)])
        above = self._is_ancestor_or_self(column, query) | self._beside(start, query, shared)
        counts = (weight > 0.0)[None, :] & ~above
        log_weight = jnp.log(jnp.where(weight > 0.0, weight, 1.0))
        return Block(
            query=query,
            ancestor=jnp.where(own >= 0, own + later, 0),
            is_ancestor=own >= 0,
            log_weight=jnp.where(counts, log_weight[None, :], -jnp.inf),
        )

    def _shared_weight(self, start: jax.Array, shared: jax.Array) -> jax.Array:
        """How many items a shared negative stands for; 0 where it is in the block already."""
        n = len(self.known)
        inside = (shared - start) % n < self.block
        is_top = np.zeros(n, bool)
        is_top[self.largest] = True
        top, drawn = shared[: self.largest.size], shared[self.largest.size :]
        rest = jnp.where(jnp.asarray(is_top)[drawn], 0.0, n / max(1, self.random))
        return jnp.where(inside, 0.0, jnp.concatenate([jnp.ones(top.shape), rest]))

    def _is_ancestor_or_self(self, upper: jax.Array, lower: jax.Array) -> jax.Array:
        """Whether ``upper`` ``(m,)`` is on the tree's path to ``lower`` ``(k,)``: ``(k, m)``.

        Where all but learnt ancestors are negatives, the path is the item itself.
        """
        if self.learnt.strict:
            return upper[None, :] == lower[:, None]
        end = upper + jnp.asarray(self.known.size)[upper]
        return (upper[None, :] <= lower[:, None]) & (lower[:, None] < end[None, :])

    def _beside(self, start: jax.Array, query: jax.Array, shared: jax.Array) -> jax.Array:
        """Whether a column is an ancestor by further parents only, bool like the pairs."""
        if not self.beside_tree.shape[1]:
            return jnp.zeros((1, self.block + shared.shape[0]), bool)
        found = jnp.asarray(self.beside_tree)[query]
        position = (found - start) % len(self.known)
        # A place behind the last takes those outside of the block.
        place = jnp.where((found >= 0) & (position < self.block), position, self.block)
        inside = jnp.zeros((self.block, self.block + 1), bool)
        inside = inside.at[jnp.arange(self.block)[:, None], place].set(True)[:, : self.block]
        among = (found[:, :, None] == shared[None, None, :]).any(1)
        return jnp.concatenate([inside, among], 1)


def make_sampler(
    known: Hierarchy,
    *,
    block: int,
    blocks: int,
    top: int,
    random: int,
    ancestors: int,
    learnt: Positives | None = None,
) -> Sampler:
    """A sampler of a hierarchy; where one block holds all items, there are no other negatives."""
    n, learnt = len(known), learnt or Positives(known)
    if n <= block:
        return Sampler(known, learnt, n, 1, 0, 0, ancestors)
    return Sampler(known, learnt, block, min(blocks, n // block), min(top, n), random, ancestors)
