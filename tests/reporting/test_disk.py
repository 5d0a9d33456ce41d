"""The disk: which nodes it draws and where, its layout, and ``tvae.plot.disk`` on points."""

import json
import re

import numpy as np
import pytest

import tvae
from tvae.errors import UserError
from tvae.geometry.padic import PadicTree
from tvae.geometry.tree import TableTree
from tvae.reporting import layout, pictures
from tvae.reporting.pictures import Measured, Pairs, Picture
from tvae.reporting.subtrees import find_subtrees


def levels_of(tree):
    return np.asarray(tree.level(np.arange(tree.n_leaves)))


def random_table(n=500, reach=40):
    draw = np.random.default_rng(0)
    return TableTree([-1, *(int(draw.integers(max(0, k - reach), k)) for k in range(1, n))])


TREES = [PadicTree(3, 9), PadicTree(2, 6), random_table(), TableTree([-1] + [0] * 5000)]


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: type(tree).__name__)
def test_ancestors_agree_with_the_levels_of_pairs(tree):
    draw = np.random.default_rng(1)
    i, j = draw.integers(0, tree.n_leaves, (2, 200))
    common = np.asarray(tree.pair_level(i, j))
    own = np.asarray(tree.pair_level(i, i))
    for level in range(tree.depth + 1):
        a, b = tree.ancestor(i, level), tree.ancestor(j, level)
        np.testing.assert_array_equal((a == b) & (a >= 0), common >= level)
        np.testing.assert_array_equal(a >= 0, own >= level)


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: type(tree).__name__)
def test_the_nodes_drawn_are_few_and_hold_every_item(tree):
    index = np.arange(tree.n_leaves)
    drawn = find_subtrees(tree, index, levels_of(tree))
    n = drawn.parent.size
    assert n <= 400
    assert (drawn.parent < np.arange(n)).all()
    np.testing.assert_array_equal(drawn.depth[1:], drawn.depth[drawn.parent[1:]] + 1)
    assert drawn.sums(np.ones(index.size))[0] == index.size
    # An item lies below its node, and so does the node's own member.
    for node in range(0, n, 7):
        name = tree.ancestor(index[drawn.node_of == node], int(drawn.depth[node]))
        member = tree.ancestor(drawn.member[node : node + 1], int(drawn.depth[node]))
        assert (name == member).all()
    # Nodes of a table are items; of digits the leaves only.
    is_item = drawn.own >= 0
    np.testing.assert_array_equal(drawn.own[is_item], drawn.member[is_item])
    np.testing.assert_array_equal(
        is_item, isinstance(tree, TableTree) | (drawn.depth == tree.depth)
    )
    assert len(drawn.colour) == n
    assert len({drawn.colour[node] for node in drawn.branches[:7]}) == len(drawn.branches[:7])


def test_a_ternary_tree_is_drawn_to_every_level():
    tree = PadicTree(3, 9)
    drawn = find_subtrees(tree, np.arange(tree.n_leaves), levels_of(tree))
    assert np.bincount(drawn.depth).tolist() == [1, 3, 9, 27, 81, 243, 3, 3, 3, 3]
    assert drawn.member[drawn.branches].tolist() == [0, 1, 2]


def planted(n=600):
    """Points of a plane of the hyperbolic space of six dimensions, with their angles."""
    draw = np.random.default_rng(2)
    angle, radius = draw.uniform(0, 2 * np.pi, n), draw.uniform(0.5, 3.5, n)
    axes, _ = np.linalg.qr(draw.normal(size=(6, 6)))
    direction = np.stack([np.cos(angle), np.sin(angle)], 1) @ axes[:2]
    return direction, radius, angle


def test_the_layout_finds_a_plane_again():
    direction, radius, angle = planted()
    points = layout.hyperboloid(direction, radius)
    found = layout.plane_angles(points, radius, np.zeros(radius.size, int))
    turn = np.exp(1j * (found - angle))
    mirrored = np.exp(1j * (found + angle))
    assert max(abs(turn.mean()), abs(mirrored.mean())) > 0.97
    (picture, *_) = pictures.make_pictures(
        Measured(direction, radius, 1.0), np.zeros(radius.size, int), None
    )
    assert picture.name == "Layout"
    assert picture.fidelity.distances > 0.98
    assert picture.fidelity.triplets is None


def test_distances_of_the_layout_are_hyperbolic():
    direction, radius, _ = planted(20)
    # The ball's own formula, of the same points at half the radius.
    z = np.tanh(radius / 2)[:, None] * direction / np.linalg.norm(direction, axis=1)[:, None]
    gap = 1 - (z**2).sum(1)
    square = ((z[:, None] - z[None]) ** 2).sum(-1)
    expected = 2 * np.arcsinh(np.sqrt(square / (gap[:, None] * gap[None])))
    x = layout.hyperboloid(direction, radius)
    np.testing.assert_allclose(layout.distances(x, x), expected, atol=6e-3)


def test_triplets_count_the_pairs_that_the_tree_orders():
    pairs = Pairs(np.array([0, 0, 0, 1, 1]), np.arange(5), np.array([0, 1, 2, 0, 2]))
    assert pictures.order_by_tree(np.array([3.0, 2.0, 1.0, 3.0, 1.0]), pairs) == 1.0
    # Of the first item one of three orders is right, of the second none.
    assert pictures.order_by_tree(np.array([1.0, 3.0, 2.0, 1.0, 2.0]), pairs) == 1 / 4


def nodes_at(tree, angle, length):
    """Positions of the nodes of a tree whose items have these polar coordinates."""
    drawn = find_subtrees(tree, np.arange(tree.n_leaves), levels_of(tree))
    picture = Picture("", "", angle, length, True, pictures.Fidelity(1.0, None))
    return pictures.node_positions(picture, 1.0, drawn)


def test_a_node_lies_at_the_hyperbolic_centre_of_its_items():
    # Two of the three leaves mirror each other, the third one lies at the origin.
    nodes = nodes_at(PadicTree(3, 1), np.array([0.0, 0.0, np.pi]), np.array([0.0, 2.0, 2.0]))
    np.testing.assert_allclose(nodes[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(nodes[2], [np.tanh(1.0), 0.0], atol=1e-9)


def test_a_node_that_is_an_item_lies_there():
    nodes = nodes_at(TableTree([-1, 0, 0]), np.zeros(3), np.array([0.4, 2.0, 3.0]))
    np.testing.assert_allclose(nodes[:, 0], np.tanh([0.2, 1.0, 1.5]), atol=1e-9)


POINTS = np.array(
    [[0.0, 0.0, 0.0], [0.5, 0.0, 0.1], [-0.5, 0.0, 0.0], [0.7, 0.2, 0], [0.7, -0.2, 0]]
)
TREE = TableTree([-1, 0, 0, 1, 1])


def test_points_are_drawn_with_and_without_a_tree(tmp_path):
    drawn = tvae.plot.disk(POINTS, TREE, labels=list("rabcd"), curvature=0.9)
    described = drawn.to_json()
    assert described["items"]["labels"].split("\n") == list("rabcd")
    assert described["items"]["tree"]["parent"] == [-1, 0, 0, 1, 1]
    assert described["disks"][0]["curvature"] == 0.9
    for name in ("disk.png", "disk.svg", "disk.html"):
        drawn.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    assert "srcdoc" in drawn._repr_html_()
    assert json.loads(re.search(r'json">(.*?)</script>', drawn.to_html()).group(1)) == described
    plain = tvae.plot.disk(POINTS)
    assert plain.to_json()["items"]["tree"] is None
    assert plain.embeddings[0].pictures[0].fidelity.triplets is None
    plain.figure()


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        ([[0.0, 1.2], [0.0, 0.0]], {}, r"points\[0\]: lies outside the ball of curvature -1"),
        ([0.0, 0.1], {}, r"points: expected \(n, d\)"),
        (POINTS, {"tree": TableTree([-1, 0])}, "tree: expected 5 items, one a point, got 2"),
        (POINTS, {"labels": ["a"]}, "labels: expected 5 items"),
    ],
)
def test_points_that_cannot_be_drawn_are_refused(points, options, message):
    with pytest.raises(UserError, match=message):
        tvae.plot.disk(points, **options)


def test_a_picture_that_does_not_exist_is_refused():
    drawn = tvae.plot.disk(POINTS, TREE)
    for options in ({"which": 1}, {"picture": 9}, {"colours": ["hue"]}):
        with pytest.raises(UserError, match="expected"):
            drawn.figure(**options)
