"""Measures against arithmetic by hand, and what no value shows: the precision of a product."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import poincare
from tvae.geometry.padic import PadicTree
from tvae.metrics import embedding, hierarchy, neighbourhood, tree
from tvae.metrics.neighbourhood import Neighbours
from tvae.metrics.sample import PairSample, Triplets, all_pairs, sample_triplets

TREE = PadicTree(2, 2)  # items 0 to 3 of levels 2, 0, 1, 0; pair levels: 1 where the parity agrees


def test_candidates_are_picked_in_full_precision():
    """On an accelerator the default rounds a product's factors to 8 or 11 bits; the CPU never."""
    z, query = jnp.zeros((8, 4)), jnp.arange(2)
    jaxpr = jax.make_jaxpr(lambda z: neighbourhood.nearest_neighbours(z, query, c=1.0, k=2))(z)
    products = [line for line in jaxpr.eqns if line.primitive.name == "dot_general"]
    highest = jax.lax.Precision.HIGHEST
    assert [line.params["precision"] for line in products] == [(highest, highest)]


def test_neighbours_equal_brute_force_near_the_boundary():
    # Euclidean distances would order these differently: 0.9 has nearer ones further out.
    radius = jnp.asarray([0.9, 0.0, 0.5, 0.97, 0.99, -0.2, -0.9])
    z = jnp.stack([radius, 0.1 * jnp.abs(1 - jnp.abs(radius))], -1)
    query = jnp.asarray([0, 2, 6])
    found = neighbourhood.nearest_neighbours(z, query, c=0.9, k=4)
    every = np.array(poincare.pairwise_distance(z[query], z, c=0.9))
    every[np.arange(3), query] = np.inf
    np.testing.assert_array_equal(found.neighbour, np.argsort(every, axis=-1)[:, :4])
    np.testing.assert_allclose(found.distance, np.sort(every, axis=-1)[:, :4], rtol=1e-5)


def test_dimension_leaves_out_coincident_points():
    # Ratios e² and e⁴ of two queries: 2 / (2 + 4). The third coincides with a point.
    distance = jnp.asarray([[1.0, np.e**2], [0.5, 0.5 * np.e**4], [0.0, 3.0]])
    neighbours = Neighbours(jnp.zeros(3, int), jnp.zeros((3, 2), int), distance)
    assert float(neighbourhood.intrinsic_dimension(neighbours)) == pytest.approx(1 / 3, rel=1e-5)
    none = Neighbours(jnp.zeros(1, int), jnp.zeros((1, 2), int), jnp.zeros((1, 2)))
    assert float(neighbourhood.intrinsic_dimension(none)) == 0.0


def test_consistency_and_its_ceiling():
    # Levels 2, 0, 1, 0: only items 1 and 3 share one, so that one of three neighbours can.
    query, neighbour = jnp.asarray([0, 1]), jnp.asarray([[1, 2, 3], [0, 2, 3]])
    neighbours = Neighbours(query, neighbour, jnp.zeros((2, 3)))
    found = neighbourhood.neighbour_level_consistency(neighbours, tree=TREE)
    assert float(found) == pytest.approx(1 / 6)
    ceiling = neighbourhood.neighbour_level_consistency_ceiling(TREE, k=3)
    assert ceiling == pytest.approx(2 / 12)


def test_richness_is_the_population_variance_over_all_levels():
    radius, level = jnp.asarray([1.0, 3.0, 7.0]), jnp.asarray([0, 0, 2])
    # Variance 1 of one level of three.
    assert float(hierarchy.richness(radius, level, tree=TREE)) == pytest.approx(1 / 3)
    assert hierarchy.hierarchy_ceiling(TREE) == pytest.approx(-np.sqrt(1 - 6 / 60))


def test_pairs_read_the_row_of_the_first_end():
    matrix = jnp.arange(9).reshape(3, 3)
    sample = PairSample(jnp.asarray([3, 0, 1]), jnp.asarray([0, 2]), jnp.asarray([1, 0]))
    assert sample.of_matrix(matrix).tolist() == [1, 6]
    assert sample.level_gap(TREE).tolist() == [2, 0]
    pairs = all_pairs(jnp.arange(4))
    assert (pairs.i != pairs.j).all()


def test_triplets_of_three_points_are_the_six_orders():
    triplets = sample_triplets(jax.random.key(0), n_points=3, n_triplets=600)
    found, counts = np.unique(np.stack(triplets), axis=1, return_counts=True)
    assert found.shape == (3, 6)
    assert counts.min() > 60
    assert all(len(set(column)) == 3 for column in found.T.tolist())


def test_fidelity_is_highest_where_near_in_the_tree_is_near():
    sample = all_pairs(jnp.arange(4))
    level = np.asarray(TREE.pair_level(sample.items[sample.i], sample.items[sample.j]))
    matrix = np.zeros((4, 4), np.float32)
    matrix[sample.i, sample.j] = 2.0 - level
    distance = jnp.asarray(matrix)
    assert float(tree.tree_fidelity(distance, sample, tree=TREE)) == pytest.approx(1.0)
    further = jnp.asarray(np.where(matrix > 0, 3.0 - matrix, 0.0))
    assert float(tree.tree_fidelity(further, sample, tree=TREE)) == pytest.approx(-1.0)


def test_ceilings_of_four_items():
    # Of six pairs 4 and 2 have the pair levels 0 and 1; 1, 3 and 2 are 0, 1 and 2 levels apart.
    assert tree.tree_fidelity_ceiling(TREE) == pytest.approx(np.sqrt(1 - (60 + 6) / 210))
    quick = np.sqrt(1 - (24 + 6) / 210)
    assert tree.dist_corr_quick_ceiling(TREE) == pytest.approx(quick)
    assert tree.q_ceiling(TREE) == pytest.approx(quick + 1.5 * np.sqrt(1 - 6 / 60))


def test_equal_distances_have_no_correlation():
    sample = all_pairs(jnp.arange(4))
    assert float(tree.dist_corr_quick(jnp.ones(4), sample, tree=TREE)) == 0.0
    assert float(tree.q(jnp.float32(0.5), jnp.float32(-0.8))) == pytest.approx(1.7)


@pytest.mark.parametrize(("n", "share"), [(99, 0.5), (100, 1.0)])
def test_concordance_needs_a_hundred_triplets_with_different_levels(n, share):
    # Item 0 is nearer to 2 than to 1, in the tree and here; 0, 1, 3 have one pair level.
    distance = jnp.asarray([[0.0, 2.0, 1.0, 3.0]] * 4)
    ends = [[0] * (n + 50), [2] * n + [1] * 50, [1] * n + [3] * 50]
    triplets = Triplets(*(jnp.asarray(end) for end in ends))
    items = jnp.arange(4)
    strict = tree.triplet_concordance(distance, items, triplets, tree=TREE)
    assert float(strict) == pytest.approx(share)
    # Loose, the fifty ties count, and are wrong because the second is nearer.
    loose = tree.triplet_concordance(distance, items, triplets, tree=TREE, strict=False)
    assert float(loose) == pytest.approx(n / (n + 50))


def test_triangles_are_ultrametric_if_their_longest_sides_agree():
    def share(*sides):
        matrix = jnp.zeros((3, 3)).at[[0, 1, 0], [1, 2, 2]].set(jnp.asarray(sides))
        corners = Triplets(jnp.asarray([0]), jnp.asarray([1]), jnp.asarray([2]))
        return float(tree.ultrametric_compliance(matrix, corners))

    assert share(1.0, 5.0, 4.6) == 1.0
    assert share(4.0, 5.0, 4.0) == 0.0  # the two shortest agree
    assert share(5.0, 4.501, 1.0) == 1.0  # a tenth of the longest, not of the second


def test_scores_of_an_embedding_and_one_coordinate_that_is_not_finite():
    items = PadicTree(2, 3)
    measure = functools.partial(
        embedding.embedding_metrics,
        c=1.0,
        items=items,
        draw_pairs=lambda _: all_pairs(jnp.arange(8)),
        pair_measures={},
    )
    z = 0.3 * jax.random.normal(jax.random.key(1), (2, 8, 2)).clip(-1, 1)
    found = jax.jit(jax.vmap(measure, in_axes=(0, None)))(
        z.at[1, 5, 0].set(jnp.nan), jax.random.key(0)
    )
    strength = 1.5 * abs(float(found["hierarchy"][0]))
    assert abs(found["dist_corr_quick"][0] - found["dist_corr_comprehensive"][0]) > 0.01
    for name in ("quick", "comprehensive"):
        wanted = float(found[f"dist_corr_{name}"][0]) + strength
        assert float(found[f"q_{name}"][0]) == pytest.approx(wanted, rel=1e-5)
    assert all(jnp.isfinite(value[0]) and jnp.isnan(value[1]) for value in found.values())
