"""``Hierarchy``: a rooted tree of named items, further parents kept beside it, in NumPy arrays.

Time and memory are linear in the edges times the logarithm of the depth; nothing recurses.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tvae.errors import UserError
from tvae.geometry.tree import TableTree

LARGEST_CLOSURE = 200_000_000
"""Pairs of item and ancestor beyond which the closure is refused: 0.8 GB."""


@dataclasses.dataclass(frozen=True, eq=False)
class Hierarchy:
    """Items with a primary parent each, numbered in preorder: item 0 is the root.

    Make one with :func:`from_parents`, or with a function of
    :mod:`tvae.domains.hierarchy.readers`.

    Attributes:
      names: of the items, ``(n,)`` strings.
      parent: primary parent of each item, int32 ``(n,)``; -1 for the root.
      extra: further parents, int32 ``(m, 2)``: item, parent.
      features: further columns, name -> array that leads with ``n``.
    """

    names: np.ndarray
    parent: np.ndarray
    extra: np.ndarray
    features: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.parent)

    @functools.cached_property
    def level(self) -> np.ndarray:
        """Edges between each item and the root along primary parents, int32 ``(n,)``."""
        return _levels(self.parent)

    @functools.cached_property
    def size(self) -> np.ndarray:
        """Number of items of each subtree, itself included, int32 ``(n,)``.

        The descendants of item ``i`` are ``i + 1 .. i + size[i] - 1``.
        """
        return _sizes(self.parent, self.level)

    @functools.cached_property
    def tree(self) -> TableTree:
        """The tree of the primary parents."""
        return TableTree(tuple(self.parent.tolist()))

    @functools.cached_property
    def closure(self) -> tuple[np.ndarray, np.ndarray]:
        """All ancestors of each item by every path, as compressed rows.

        Returns:
          ``offset`` int64 ``(n + 1,)`` and ``ancestor`` int32: the ancestors of item ``i`` are
          ``ancestor[offset[i] : offset[i + 1]]``, ascending.

        Raises:
          UserError: if there are more pairs than :data:`LARGEST_CLOSURE`.
        """
        along_tree = int(self.level.sum(dtype=np.int64))
        if along_tree > LARGEST_CLOSURE:
            raise UserError(
                f"hierarchy: its closure has {along_tree:,} pairs of item and ancestor; expected "
                f"at most {LARGEST_CLOSURE:,}"
            )
        item, ancestor = _tree_pairs(self.parent)
        if len(self.extra):
            further = _beside_tree(self)
            item = np.concatenate([item, further[0]])
            ancestor = np.concatenate([ancestor, further[1]])
        order = np.argsort(item.astype(np.int64) * len(self) + ancestor)
        offset = np.zeros(len(self) + 1, np.int64)
        np.cumsum(np.bincount(item, minlength=len(self)), out=offset[1:])
        return offset, ancestor[order].astype(np.int32)

    @property
    def several_parents(self) -> int:
        """Number of items that have more than one parent."""
        return len(np.unique(self.extra[:, 0]))

    def below(self, name: str) -> "Hierarchy":
        """The hierarchy of an item and all of which it is an ancestor by any path.

        Raises:
          UserError: if no item has this name.

        >>> from_parents(["a", "b", "c"], [-1, 0, 1]).below("b").names.tolist()
        ['b', 'c']
        """
        found = np.flatnonzero(self.names == name)
        if not found.size:
            raise UserError(f"hierarchy: no item is named {name!r}")
        root = int(found[0])
        kept = self._below(root)
        if not len(self.extra):  # one run of the preorder
            return Hierarchy(
                self.names[kept],
                np.where(self.parent[kept] < root, -1, self.parent[kept] - root).astype(np.int32),
                self.extra,
                {name: column[kept] for name, column in self.features.items()},
            )
        number = np.cumsum(kept) - 1
        edges = np.concatenate(
            [np.stack([np.arange(1, len(self)), self.parent[1:]], 1), self.extra]
        ).astype(np.int64)
        edges = edges[kept[edges[:, 0]] & kept[edges[:, 1]] & (edges[:, 0] != root)]
        # An item whose primary parent lies outside takes the first of the others.
        _, first = np.unique(edges[:, 0], return_index=True)
        primary = np.zeros(len(edges), bool)
        primary[first] = True
        parent = np.full(int(kept.sum()), -1)
        parent[number[edges[primary, 0]]] = number[edges[primary, 1]]
        return from_parents(
            self.names[kept],
            parent,
            number[edges[~primary]],
            {name: column[kept] for name, column in self.features.items()},
        )

    def _below(self, root: int) -> np.ndarray:
        """Whether each item is another one or below it by any path, bool ``(n,)``."""
        kept = np.zeros(len(self), bool)
        new = np.asarray([root])
        while new.size:
            kept[_ranges(new, new + self.size[new])] = True
            item, above = self.extra.T
            new = np.unique(item[kept[above] & ~kept[item]])
        return kept

    def path(self, item: int) -> list[int]:
        """Items from the root to one along primary parents.

        >>> from_parents(["a", "b", "c"], [-1, 0, 1]).path(2)
        [0, 1, 2]
        """
        found = [item]
        while self.parent[found[-1]] >= 0:
            found.append(int(self.parent[found[-1]]))
        return found[::-1]


def from_parents(
    names: Sequence[str] | np.ndarray,
    parent: Sequence[int] | np.ndarray,
    extra: np.ndarray | None = None,
    features: Mapping[str, np.ndarray] | None = None,
    *,
    line_of: Callable[[int, int], int] | None = None,
) -> Hierarchy:
    """A hierarchy of items in any order.

    Args:
      names: of the items, all different.
      parent: number of each item's primary parent, -1 for the one root.
      extra: further parents ``(m, 2)``: item, parent.
      features: further columns, name -> array that leads with the number of items.
      line_of: item and parent -> line of the file in which they stand, for messages.

    Returns:
      The hierarchy, items renumbered in preorder; siblings keep their order.

    Raises:
      UserError: if there is no item, not exactly one root, or a cycle, which is named.

    >>> known = from_parents(["leaf", "root", "other"], [1, -1, 1])
    >>> known.names.tolist(), known.parent.tolist(), known.size.tolist()
    (['root', 'leaf', 'other'], [-1, 0, 0], [3, 1, 1])
    """
    parent = np.asarray(parent, np.int64)
    names = np.asarray(names, object)
    extra = np.zeros((0, 2), np.int64) if extra is None else np.asarray(extra, np.int64)
    roots = np.flatnonzero(parent < 0)
    if not parent.size:
        raise UserError("hierarchy: expected one item or more, got none")
    _refuse_cycle(names, parent, line_of)
    if len(roots) > 1:
        some = ", ".join(repr(names[i]) for i in roots[:3])
        raise UserError(f"hierarchy: expected one root, got {len(roots)}: {some}")
    level = _levels(parent)
    position = _preorder(parent, level)
    order = np.argsort(position)
    above = parent[order]
    found = Hierarchy(
        names=names[order],
        parent=np.where(above >= 0, position[above], -1).astype(np.int32),
        extra=position[extra].astype(np.int32),
        features={name: np.asarray(column)[order] for name, column in (features or {}).items()},
    )
    if len(extra) and (closing := _closing_edge(found)):
        item, upper = (int(order[i]) for i in closing)
        line = f" (line {line_of(item, upper)})" if line_of else ""
        raise UserError(
            f"hierarchy: a cycle through {names[item]!r} below its further parent "
            f"{names[upper]!r}{line}"
        )
    return found


def _levels(parent: np.ndarray) -> np.ndarray:
    """Depth of each item by doubling the step towards the root."""
    n = len(parent)
    # An item beyond the last stands for "above the root".
    above = np.append(np.where(parent < 0, n, parent), n)
    steps = np.append((parent >= 0).astype(np.int32), 0)
    while (above[:n] < n).any():
        steps = steps + steps[above]
        above = above[above]
    return steps[:n].astype(np.int32)


def _refuse_cycle(
    names: np.ndarray, parent: np.ndarray, line_of: Callable[[int, int], int] | None
) -> None:
    """Refuse items whose ancestors along primary parents run in a circle."""
    n = len(parent)
    above = np.append(np.where(parent < 0, n, parent), n)
    for _ in range(int(n).bit_length()):
        above = above[above]
    lost = np.flatnonzero(above[:n] < n)
    if lost.size:
        # After n steps every item that is left has come to the cycle itself.
        first = int(above[lost[0]])
        ring = [first]
        while len(ring) < 5 and int(parent[ring[-1]]) != first:
            ring.append(int(parent[ring[-1]]))
        closed = int(parent[ring[-1]]) == first
        lines = [f" (line {line_of(i, int(parent[i]))})" if line_of else "" for i in ring]
        shown = [f"{names[i]!r}{line}" for i, line in zip(ring, lines, strict=True)]
        shown += [repr(names[first])] if closed else ["..."]
        raise UserError(f"hierarchy: a cycle, each item below the next: {' -> '.join(shown)}")


def _closing_edge(known: Hierarchy) -> tuple[int, int] | None:
    """A further edge, item and parent, that closes a cycle; None where there is no cycle.

    Items without parents are removed in rounds.
    """
    n = len(known)
    item = np.concatenate([np.arange(1, n), known.extra[:, 0]])
    above = np.concatenate([known.parent[1:], known.extra[:, 1]])
    order = np.argsort(above, kind="stable")
    item, ends = item[order], np.searchsorted(above[order], np.arange(n + 1))
    waiting = np.bincount(item, minlength=n)
    front, done = np.flatnonzero(waiting == 0), 0
    while front.size:
        done += front.size
        below = item[_ranges(ends[front], ends[front + 1])]
        np.subtract.at(waiting, below, 1)
        front = np.unique(below[waiting[below] == 0])
    if done == n:
        return None
    # What is left is a cycle or below one: each such item has a parent that is left too.
    left = waiting > 0
    lower, upper = known.extra[left[known.extra[:, 0]] & left[known.extra[:, 1]]].T
    following = known.parent.copy()
    beside = np.isin(np.arange(n), lower) & ~left[np.maximum(known.parent, 0)]
    following[lower[beside[lower]]] = upper[beside[lower]]
    at, seen = int(np.flatnonzero(left)[0]), set()
    while at not in seen:
        seen.add(at)
        at = int(following[at])
    while following[at] == known.parent[at]:  # a cycle has an edge beside the tree
        at = int(following[at])
    return at, int(following[at])


def _by_level(level: np.ndarray) -> list[np.ndarray]:
    """Items of each level."""
    order = np.argsort(level, kind="stable")
    return np.split(order, np.cumsum(np.bincount(level))[:-1])


def _sizes(parent: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Items of each subtree, summed level by level from the deepest."""
    size = np.ones(len(parent), np.int64)
    for items in _by_level(level)[:0:-1]:
        np.add.at(size, parent[items], size[items])
    return size.astype(np.int32)


def _preorder(parent: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Position of each item in the preorder, level by level from the root."""
    size = _sizes(parent, level).astype(np.int64)
    position = np.zeros(len(parent), np.int64)
    for items in _by_level(level)[1:]:
        items = items[np.argsort(parent[items], kind="stable")]
        before = np.cumsum(size[items]) - size[items]
        first = np.append(True, parent[items][1:] != parent[items][:-1])
        # Sizes of the siblings before each item.
        before -= np.maximum.accumulate(np.where(first, before, 0))
        position[items] = position[parent[items]] + 1 + before
    return position


def _tree_pairs(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of item and ancestor along primary parents, int32, one round a level."""
    items, above = [], []
    item = np.flatnonzero(parent >= 0).astype(np.int32)
    current = parent[item].astype(np.int32)
    while item.size:
        items.append(item)
        above.append(current)
        current = parent[current].astype(np.int32)
        item, current = item[current >= 0], current[current >= 0]
    none = np.zeros(0, np.int32)
    return np.concatenate([none, *items]), np.concatenate([none, *above])


def _beside_tree(known: Hierarchy) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of item and ancestor that are none along primary parents."""
    n, parent, size = len(known), known.parent.astype(np.int64), known.size.astype(np.int64)
    child = np.concatenate([np.arange(1, n), known.extra[:, 0]])
    above = np.concatenate([parent[1:], known.extra[:, 1]])
    order = np.argsort(child, kind="stable")
    above, ends = above[order], np.searchsorted(child[order], np.arange(n + 1))
    # A further parent is above the whole subtree of its item.
    first = known.extra[:, 0].astype(np.int64)
    low = _ranges(first, first + size[first])
    high = np.repeat(known.extra[:, 1].astype(np.int64), size[first])
    found = np.zeros(0, np.int64)
    while low.size:
        outside = (low < high) | (low >= high + size[high])
        new = np.setdiff1d(low[outside] * n + high[outside], found, assume_unique=False)
        found = np.union1d(found, new)
        if found.size > LARGEST_CLOSURE:
            raise UserError(
                f"hierarchy: its closure has more than {LARGEST_CLOSURE:,} pairs of item and "
                "ancestor"
            )
        item, upper = new // n, new % n
        high = above[_ranges(ends[upper], ends[upper + 1])]
        low = np.repeat(item, ends[upper + 1] - ends[upper])
    return (found // n).astype(np.int32), (found % n).astype(np.int32)


def _ranges(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """All numbers of some ranges, one range after the other.

    >>> _ranges(np.asarray([0, 5]), np.asarray([2, 6])).tolist()
    [0, 1, 5]
    """
    count = stop - start
    return np.repeat(start - np.cumsum(count) + count, count) + np.arange(count.sum())
