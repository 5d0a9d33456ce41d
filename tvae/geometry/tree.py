"""Trees as values: which level an item has, and how deep the common ancestor of two items lies.

Losses and metrics take a :class:`Tree` and do not depend on how it is stored. Trees are frozen and
hashable, so that a tree can be a static argument of a compiled function.
"""

import abc
import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from tvae.errors import UserError


class Tree(abc.ABC):
    """A rooted tree over the items ``0 .. n_leaves - 1``.

    The number of levels is not limited. ``level`` and ``pair_level`` are jit-able and take arrays
    of any shape; the counts are exact Python integers.
    """

    @property
    @abc.abstractmethod
    def depth(self) -> int:
        """Largest level."""

    @property
    @abc.abstractmethod
    def n_leaves(self) -> int:
        """Number of items."""

    @property
    def n_levels(self) -> int:
        """Number of levels, ``depth + 1``."""
        return self.depth + 1

    @abc.abstractmethod
    def level(self, i: ArrayLike) -> jax.Array:
        """Level of items ``i`` in ``[0, n_leaves)``, any shape: int32 in ``[0, depth]``."""

    @abc.abstractmethod
    def pair_level(self, i: ArrayLike, j: ArrayLike) -> jax.Array:
        """Level of the deepest common ancestor of items ``i`` and ``j``, which broadcast: int32."""

    @abc.abstractmethod
    def ancestor(self, i: ArrayLike, level: int) -> np.ndarray:
        """An item that stands for the node of a level at or above each item ``i``, any shape.

        Items below one node get one item, those below different nodes different ones; -1 where an
        item lies above the level. For pictures and tables: NumPy, not for ``jit``.
        """

    @property
    @abc.abstractmethod
    def level_counts(self) -> tuple[int, ...]:
        """Number of items of level 0, 1, ..., ``depth``."""

    @property
    @abc.abstractmethod
    def pair_level_counts(self) -> tuple[int, ...]:
        """Number of unordered pairs of different items by their pair level, 0 to ``depth``."""


@dataclasses.dataclass(frozen=True)
class TableTree(Tree):
    """Any rooted tree, such as a taxonomy. Every node is an item and its level is its depth.

    Two items of which one is an ancestor of the other have the ancestor's level as their pair
    level. Memory is ``n log2(n)`` integers, time of a pair is constant, whatever the depth.

    Attributes:
      parents: parent of each node; the root's is -1 or the root itself. Any sequence or array of
        integers is accepted and stored as a tuple.

    Raises:
      UserError: if a parent is not a node, or there is not exactly one root, or there is a cycle.

    >>> tree = TableTree([-1, 0, 0, 1, 1])  # 0 above 1 and 2, 1 above 3 and 4
    >>> tree.level(jnp.arange(5)).tolist(), tree.level_counts
    ([0, 1, 1, 2, 2], (1, 2, 2))
    >>> tree.pair_level(jnp.asarray([3, 3, 1]), jnp.asarray([4, 2, 3])).tolist()
    [1, 0, 1]
    >>> tree.pair_level_counts
    (7, 3, 0)
    """

    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the table."""
        parents = _checked_parents(self.parents)
        object.__setattr__(self, "parents", tuple(parents.tolist()))
        self._preorder  # noqa: B018  (raises on a cycle)

    def __hash__(self) -> int:
        """Hash of the parents, computed once."""
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self.parents)  # of all nodes: too slow for every call of a compiled function

    @functools.cached_property
    def _preorder(self) -> np.ndarray:
        """Nodes with each one before its descendants, and these without a gap behind it."""
        parents = np.asarray(self.parents)
        by_parent = np.argsort(parents, kind="stable")
        ends = np.cumsum(np.bincount(parents + 1, minlength=parents.size + 1))
        order, waiting = [], np.flatnonzero(parents < 0).tolist()
        while waiting:
            node = waiting.pop()
            order.append(node)
            waiting.extend(by_parent[ends[node] : ends[node + 1]][::-1].tolist())
        if len(order) < parents.size:
            lost = np.setdiff1d(np.arange(parents.size), order)[0]
            raise UserError(f"parents[{lost}]: the ancestors of node {lost} run in a cycle")
        return np.asarray(order)

    @functools.cached_property
    def _levels(self) -> np.ndarray:
        levels = np.zeros(len(self.parents), np.int32)
        for node in self._preorder[1:]:
            levels[node] = levels[self.parents[node]] + 1
        return levels

    @functools.cached_property
    def _positions(self) -> np.ndarray:
        """Position of each node in the preorder."""
        return np.argsort(self._preorder).astype(np.int32)

    @functools.cached_property
    def _minima(self) -> np.ndarray:
        """Smallest level of a parent among ``2 ** k`` nodes of the preorder, by k and first node.

        Rows end early: entries past the last window are unused.
        """
        rows = [self._levels[self._preorder] - 1]
        while 2 ** len(rows) <= rows[0].size:
            last, half = rows[-1], 2 ** (len(rows) - 1)
            rows.append(np.minimum(last, np.concatenate([last[half:], last[:half]])))
        return np.stack(rows).astype(np.int32)

    @functools.cached_property
    def depth(self) -> int:
        """Largest depth of a node."""
        return int(self._levels.max())

    @property
    def n_leaves(self) -> int:
        """Number of nodes: every node is an item."""
        return len(self.parents)

    def level(self, i: ArrayLike) -> jax.Array:
        """Depth of nodes."""
        return jnp.asarray(self._levels)[jnp.asarray(i)]

    def pair_level(self, i: ArrayLike, j: ArrayLike) -> jax.Array:
        """Depth of the deepest common ancestor.

        The path from one node of the preorder to a later one passes its highest point just above
        a node between them: the level is the smallest one of a parent there, read off two windows
        of ``2 ** k`` nodes that cover the range.
        """
        i, j = jnp.asarray(i), jnp.asarray(j)
        positions, minima = jnp.asarray(self._positions), jnp.asarray(self._minima)
        first = jnp.minimum(positions[i], positions[j]) + 1
        last = jnp.maximum(positions[i], positions[j])
        k = 31 - jax.lax.clz(jnp.maximum(last - first + 1, 1))
        ends = minima[k, first], minima[k, last - jnp.left_shift(1, k) + 1]
        return jnp.where(i == j, self.level(i), jnp.minimum(*ends))

    def ancestor(self, i: ArrayLike, level: int) -> np.ndarray:
        """The ancestor of a depth, which is the node itself at that depth; -1 above it.

        >>> TableTree([-1, 0, 0, 1, 1]).ancestor([0, 2, 3], 1).tolist()
        [-1, 2, 1]
        """
        i = np.asarray(i)
        # Descendants follow their ancestor in the preorder without a gap.
        nodes = self._preorder[self._levels[self._preorder] == level]
        at = np.searchsorted(self._positions[nodes], self._positions[i], side="right") - 1
        below = self._levels[i] >= level
        return np.where(below, nodes[at] if nodes.size else -1, -1)

    @functools.cached_property
    def level_counts(self) -> tuple[int, ...]:
        """Number of nodes of depth 0, 1, ..., ``depth``."""
        return tuple(np.bincount(self._levels).tolist())

    @functools.cached_property
    def pair_level_counts(self) -> tuple[int, ...]:
        """Number of pairs of nodes by the depth of their deepest common ancestor."""
        sizes = np.ones(len(self.parents), np.int64)
        for node in self._preorder[:0:-1]:
            sizes[self.parents[node]] += sizes[node]
        # Pairs below a node, less those below one of its children.
        pairs = sizes * (sizes - 1) // 2
        counts = np.zeros(self.n_levels + 1, np.int64)
        np.add.at(counts, self._levels, pairs)
        below = np.zeros_like(counts)
        inner = self._preorder[1:]
        np.add.at(below, self._levels[inner] - 1, pairs[inner])
        return tuple((counts - below)[: self.n_levels].tolist())


def _checked_parents(parents: ArrayLike | Sequence[int]) -> np.ndarray:
    """Parents with -1 for the root's, or an error that names the first bad one."""
    given = np.asarray(parents)
    if given.ndim != 1 or given.size == 0 or not np.issubdtype(given.dtype, np.integer):
        raise UserError(
            "parents: expected a sequence of one or more integers, got "
            f"{given.dtype} of shape {given.shape}"
        )
    bad = np.flatnonzero((given < -1) | (given >= given.size))
    if bad.size:
        raise UserError(
            f"parents[{bad[0]}]: expected -1 or a node in [0, {given.size}), got {given[bad[0]]}"
        )
    root = (given == -1) | (given == np.arange(given.size))
    if root.sum() > 1:
        first, second = np.flatnonzero(root)[:2]
        raise UserError(f"parents[{second}]: node {second} is a second root beside node {first}")
    return np.where(root, -1, given).astype(np.int64)
