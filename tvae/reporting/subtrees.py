"""The nodes of a tree that a picture draws, and the colours of its branches."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tvae.geometry.tree import Tree
from tvae.reporting.figures import palette

MOST_NODES = 400
"""Nodes drawn: of a tree of three children each all to depth five, and the way to the deepest."""


@dataclasses.dataclass(frozen=True)
class Subtrees:
    """Nodes of a tree, parents before their children; every item shown lies below one of them.

    Attributes:
      parent: node above each node, ``(k,)``; -1 for the root, which is node 0.
      depth: of each node, ``(k,)``.
      member: position of one item below each node, ``(k,)``.
      own: position of the item that the node is itself, ``(k,)``; -1 where nodes are no items.
      node_of: deepest node drawn above each item, ``(n,)``.
      colour: of each node, as "#rrggbb".
      branches: the nodes whose subtrees have hues of their own, largest first.
    """

    parent: np.ndarray
    depth: np.ndarray
    member: np.ndarray
    own: np.ndarray
    node_of: np.ndarray
    colour: list[str]
    branches: list[int]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the items below each node, ``(k, ...)``, of values ``(n, ...)``."""
        total = np.zeros((self.parent.size, *values.shape[1:]))
        np.add.at(total, self.node_of, values)
        for node in range(self.parent.size - 1, 0, -1):
            total[self.parent[node]] += total[node]
        return total

    def above(self, node: np.ndarray, depth: int) -> np.ndarray:
        """The ancestor of each node at a depth, or the node itself where it is not deeper."""
        while (deeper := self.depth[node] > depth).any():
            node = np.where(deeper, self.parent[node], node)
        return node


def find_subtrees(
    tree: Tree, index: np.ndarray, level: np.ndarray, most: int = MOST_NODES
) -> Subtrees:
    """The nodes to draw.

    Whole generations from the root down while there are at most ``most`` nodes; then the largest
    below nodes that hold an item whose level is deeper than they are: every level is reached.

    Args:
      tree: of all items.
      index: of the items shown, ``(n,)``.
      level: of these items, ``(n,)``.
      most: nodes.
    """
    parent, depth, member = [-1], [0], [0]
    node_of = np.zeros(index.size, int)
    whole = True
    for k in range(1, tree.depth + 1):
        name = tree.ancestor(index, k)
        below = np.flatnonzero((name >= 0) & (np.asarray(depth)[node_of] == k - 1))
        if below.size == 0 or len(parent) >= most:
            break
        _, first, group, sizes = np.unique(
            name[below], return_index=True, return_inverse=True, return_counts=True
        )
        above, room = node_of[below[first]], most - len(parent)
        kept = np.arange(first.size)
        whole = whole and first.size <= room
        if not whole:
            deep = _deepest(level, node_of, len(parent))[above] >= k
            kept = np.argsort(-sizes * deep, kind="stable")[: min(deep.sum(), -(-room // 4))]
        number = np.full(first.size, -1)
        number[kept] = len(parent) + np.arange(kept.size)
        parent += above[kept].tolist()
        depth += [k] * kept.size
        member += below[first[kept]].tolist()
        node_of[below] = np.where(number[group] >= 0, number[group], node_of[below])
    nodes = {"parent": parent, "depth": depth, "member": member}
    own = _own_items(tree, index, node_of, np.asarray(depth))
    found = Subtrees(
        **{key: np.asarray(values) for key, values in nodes.items()},
        own=own,
        node_of=node_of,
        colour=[],
        branches=[],
    )
    colour, branches = _colours(found)
    return dataclasses.replace(found, colour=colour, branches=branches)


def _own_items(tree: Tree, index: np.ndarray, node_of: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The item that each node is itself: it lies above the next level."""
    own = np.full(depth.size, -1)
    for k in range(int(depth.max()) + 1):
        items = np.flatnonzero((tree.ancestor(index, k + 1) < 0) & (depth[node_of] == k))
        own[node_of[items]] = items
    return own


def _deepest(level: np.ndarray, node_of: np.ndarray, nodes: int) -> np.ndarray:
    """Deepest level of the items of each node that have no deeper node."""
    deepest = np.full(nodes, -1)
    np.maximum.at(deepest, node_of, level)
    return deepest


def _colours(tree: Subtrees) -> tuple[list[str], list[int]]:
    """A hue for each branch, and a shade of it for each part of the branch."""
    branching = int(np.argmax(np.bincount(tree.depth) > 1))
    size = tree.sums(np.ones(tree.node_of.size))
    at = np.flatnonzero(tree.depth == branching)
    branches = at[np.argsort(-size[at], kind="stable")].tolist()
    hue = {node: palette.branch(place) for place, node in enumerate(branches)}
    nodes = np.arange(tree.parent.size)
    branch, part = tree.above(nodes, branching), tree.above(nodes, branching + 1)
    rank = dict(_ranks(tree.parent))
    colour = [
        palette.MARK
        if tree.depth[node] < branching
        else hue[branch[node]]
        if part[node] == branch[node]
        else palette.shade(hue[branch[node]], rank[part[node]])
        for node in nodes.tolist()
    ]
    return colour, branches


def _ranks(parent: np.ndarray) -> Iterator[tuple[int, int]]:
    """Each node, and its position among its siblings."""
    seen: dict[int, int] = {}
    for node, above in enumerate(parent.tolist()):
        yield node, seen.get(above, 0)
        seen[above] = seen.get(above, 0) + 1
