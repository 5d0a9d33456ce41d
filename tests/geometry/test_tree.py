"""Trees: levels, common ancestors and exact counts, against brute force and against each other."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvae.errors import UserError
from tvae.geometry.padic import PadicTree
from tvae.geometry.tree import TableTree


def parents_of(tree: PadicTree) -> tuple[list[int], list[int]]:
    """All nodes of a p-adic tree, residue classes modulo p^k: parents, and nodes of the items."""
    nodes = {}
    for k in range(tree.n + 1):
        for residue in range(tree.p**k):
            nodes[k, residue] = len(nodes)
    parents = [-1 if k == 0 else nodes[k - 1, residue % tree.p ** (k - 1)] for k, residue in nodes]
    return parents, [nodes[tree.n, residue] for residue in range(tree.n_leaves)]


def ancestors(parents: list[int], node: int) -> list[int]:
    """Path from the root to a node."""
    path = [node]
    while parents[path[-1]] not in (-1, path[-1]):
        path.append(parents[path[-1]])
    return path[::-1]


def common_level(parents: list[int], i: int, j: int) -> int:
    paths = zip(ancestors(parents, i), ancestors(parents, j), strict=False)
    return sum(a == b for a, b in paths) - 1


@pytest.mark.parametrize("tree", [PadicTree(2, 5), PadicTree(3, 4)], ids=str)
def test_a_table_of_the_padic_tree_has_its_pair_levels(tree):
    parents, leaves = parents_of(tree)
    table, leaf = TableTree(parents), jnp.asarray(leaves)
    items = jnp.arange(tree.n_leaves)
    np.testing.assert_array_equal(
        table.pair_level(leaf[:, None], leaf[None, :]),
        tree.pair_level(items[:, None], items[None, :]),
    )
    assert table.depth == tree.depth
    assert (table.level(leaf) == tree.depth).all()


@pytest.mark.parametrize(
    "tree",
    [PadicTree(2, 5), PadicTree(3, 4), PadicTree(5, 1), TableTree(parents_of(PadicTree(2, 4))[0])],
    ids=["2^5", "3^4", "5^1", "table"],
)
def test_counts_equal_brute_force(tree):
    level = np.asarray(tree.level(jnp.arange(tree.n_leaves)))
    np.testing.assert_array_equal(np.bincount(level, minlength=tree.n_levels), tree.level_counts)
    i, j = np.triu_indices(tree.n_leaves, 1)
    pairs = np.bincount(np.asarray(tree.pair_level(i, j)), minlength=tree.n_levels)
    np.testing.assert_array_equal(pairs, tree.pair_level_counts)
    assert all(type(count) is int for count in tree.level_counts + tree.pair_level_counts)


@st.composite
def rooted_trees(draw):
    """A random tree in any numbering."""
    n = draw(st.sampled_from([1, 2, 13, 40]))  # few shapes, so that few programs are compiled
    parents = [-1] + [draw(st.integers(0, node - 1)) for node in range(1, n)]
    name = draw(st.permutations(range(n)))
    renamed = [0] * n
    for node, parent in enumerate(parents):
        renamed[name[node]] = -1 if parent < 0 else name[parent]
    return renamed


@settings(max_examples=30, deadline=None)
@given(rooted_trees())
def test_any_table_equals_brute_force(parents):
    tree, n = TableTree(parents), len(parents)
    level = np.asarray([len(ancestors(parents, node)) - 1 for node in range(n)])
    np.testing.assert_array_equal(tree.level(np.arange(n)), level)
    assert tree.depth == level.max()
    expected = [[common_level(parents, i, j) for j in range(n)] for i in range(n)]
    got = np.asarray(tree.pair_level(np.arange(n)[:, None], np.arange(n)[None, :]))
    np.testing.assert_array_equal(got, expected)
    pairs = np.bincount(got[np.triu_indices(n, 1)], minlength=tree.n_levels)
    np.testing.assert_array_equal(pairs, tree.pair_level_counts)
    assert sum(tree.pair_level_counts) == n * (n - 1) // 2


def test_a_chain_of_thousands_of_levels():
    n = 5000
    tree = TableTree(np.arange(n) - 1)
    assert tree.n_levels == n
    assert tree.pair_level(1234, 4321).item() == 1234
    assert tree.level_counts == (1,) * n


def test_pair_levels_of_the_padic_tree_are_ultrametric():
    tree = PadicTree(2, 20)  # 21 levels, a million items
    i, j, k = jax.random.randint(jax.random.key(0), (3, 1000), 0, tree.n_leaves)
    ij, jk, ik = tree.pair_level(i, j), tree.pair_level(j, k), tree.pair_level(i, k)
    assert (ik >= jnp.minimum(ij, jk)).all()
    np.testing.assert_array_equal(tree.level(i), tree.pair_level(i, 0))
    assert sum(tree.level_counts) == tree.n_leaves
    assert sum(tree.pair_level_counts) == tree.n_leaves * (tree.n_leaves - 1) // 2


@pytest.mark.parametrize("make", [lambda: PadicTree(3, 2), lambda: TableTree([0, 0, 1, 1])])
def test_trees_are_static_arguments(make):
    traces = []

    def measure(tree, i, j):
        traces.append(tree)
        return tree.pair_level(i, j) + tree.level(i)

    compiled = jax.jit(measure, static_argnums=0)
    assert make() == make()
    assert hash(make()) == hash(make())
    for i, j in itertools.product(range(3), repeat=2):
        assert compiled(make(), i, j) == make().pair_level(i, j) + make().level(i)
    assert len(traces) == 1


def test_arrays_tuples_and_a_root_above_itself_are_the_same_tree():
    assert TableTree(np.asarray([0, 0, 1])) == TableTree((-1, 0, 1))


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ([], "one or more integers"),
        ([0.0, 0.0], "integers, got float64"),
        ([-1, 2, 7], r"parents\[2\]: expected -1 or a node in \[0, 3\), got 7"),
        ([-1, -3], r"parents\[1\]"),
        ([-1, 2], r"parents\[1\]: expected -1 or a node in \[0, 2\), got 2"),
        ([-1, 0, 2], r"parents\[2\]: node 2 is a second root beside node 0"),
        ([-1, 0, 3, 2], r"parents\[2\]: the ancestors of node 2 run in a cycle"),
        ([1, 0], r"parents\[0\].*cycle"),
    ],
)
def test_what_is_not_a_tree_is_refused(parents, message):
    with pytest.raises(UserError, match=message):
        TableTree(parents)
