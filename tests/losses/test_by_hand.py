"""Tree losses against arithmetic by hand, on a tree of two binary digits: levels 0, 1 and 2.

Its items 0 to 3 have the levels 2, 0, 1, 0; targets from 1.0 (level 0) to 0.0 (level 2) are 1.0,
0.5 and 0.0.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.rich_hierarchy import rich_hierarchy
from tvae.geometry import poincare
from tvae.geometry.padic import PadicTree
from tvae.losses import distances, level_means, levels, radial, ranking
from tvae.losses.pairs import Pairs, distinct, sample_pairs

TREE = PadicTree(2, 2)
ENDS = {"tree": TREE, "inner": 0.0, "outer": 1.0}


def test_targets_go_from_the_outer_to_the_inner_radius():
    targets = levels.target_radius(jnp.arange(3), tree=TREE, inner=0.2, outer=1.0)
    np.testing.assert_allclose(targets, [1.0, 0.6, 0.2], rtol=1e-6)


def test_statistics_of_three_levels():
    radius, level = jnp.asarray([1.0, 3.0, 0.5]), jnp.asarray([0, 0, 2])
    statistics = levels.level_statistics(radius, level, tree=TREE)
    np.testing.assert_allclose(statistics, [[2, 0, 1], [2, 0, 0.5], [2, 0, 0]])
    gaps = levels.level_gaps(statistics)
    np.testing.assert_array_equal(gaps.mask, [False, False, True])
    assert (float(gaps.gap[2]), float(gaps.levels[2])) == (1.5, 2.0)
    assert float(levels.masked_mean(radius, jnp.zeros(3))) == 0.0


@pytest.mark.parametrize(
    ("options", "order"),
    [
        # The means 0.8 and 0.2 are 0.6 apart over two levels, the margin is the larger of
        # ``min_margin`` and ``margin_scale`` times 1.0; 0.4 is missing.
        ({"hard": True}, 0.4),
        ({"hard": True, "margin_scale": 0.5}, 0.0),
        ({"hard": True, "margin_scale": 0.0, "min_margin": 0.7}, 0.1),
        ({"temperature": 0.2}, 0.2 * np.log1p(np.exp(0.4 / 0.2))),
    ],
)
def test_monotonic_radii(options, order):
    radius, level = jnp.asarray([0.8, 0.2]), jnp.asarray([0, 2])
    values = [
        float(level_means.monotonic_radial(radius, level, target_weight=w, **ENDS, **options))
        for w in (0.0, 1.0)
    ]
    assert values[0] == pytest.approx(order, rel=1e-5, abs=1e-6)
    assert values[1] - values[0] == pytest.approx((0.2**2 + 0.2**2) / 2, rel=1e-5)


def test_one_level_has_no_order_and_no_target():
    radius, level = jnp.asarray([0.8, 0.4]), jnp.asarray([1, 1])
    assert level_means.monotonic_radial(radius, level, **ENDS) == 0.0


def test_rich_hierarchy():
    # Means 0.75, 0.7, 0.0 with targets 1.0, 0.5, 0.0. The steps inwards are 0.05 and 0.7 long:
    # with a margin of 0.2 only the first lacks something.
    radius = jnp.asarray([0.5, 1.0, 0.6, 0.8, 0.0])
    level = jnp.asarray([0, 0, 1, 1, 2])
    reference = jnp.asarray([0.0, 1.0, 0.6, 0.8, 0.0])
    terms = rich_hierarchy(
        radius, level, reference, min_richness_ratio=0.75, separation_margin=0.2, **ENDS
    )
    assert float(terms.hierarchy) == pytest.approx((0.25**2 + 0.2**2) / 3, rel=1e-5)
    assert float(terms.separation) == pytest.approx(0.15, rel=1e-5)
    # Variances 1/8 of 1/2, and 1/50 of 1/50; a single row has none. (0.75 - 0.25)² over 3 levels.
    assert float(terms.richness) == pytest.approx(0.25 / 3, rel=1e-5)


def test_a_flat_reference_asks_for_nothing_and_has_a_gradient():
    level = jnp.asarray([0, 0])

    def richness(radius):
        flat = jnp.asarray([0.5, 0.5])
        return rich_hierarchy(radius, level, flat, **ENDS).richness

    value, gradient = jax.value_and_grad(richness)(jnp.asarray([0.4, 0.6]))
    assert value == 0.0
    assert jnp.isfinite(gradient).all()
    # All variances 0: the ratio is 0 of a share of nothing, a constant.
    assert float(richness(jnp.asarray([0.5, 0.5]))) == pytest.approx(0.25)


def test_radial_margin_over_pairs_of_falling_level():
    # Levels 0 and 2: the deeper row should be half of two levels, 0.5, nearer to the origin. It is
    # 0.1 nearer; pairs the other way round do not count, nor pairs of one level.
    radius, level = jnp.asarray([0.6, 0.5]), jnp.asarray([0, 2])
    assert float(radial.radial_margin(radius, level, **ENDS)) == pytest.approx(0.4, rel=1e-5)
    pairs = Pairs(jnp.asarray([1, 0, 1]), jnp.asarray([0, 1, 1]))
    margin = radial.radial_margin(radius, level, pairs=pairs, **ENDS)
    assert float(margin) == pytest.approx(0.4, rel=1e-5)


def test_weights_and_penalties_of_single_rows():
    level = jnp.asarray([0, 2])
    weight = radial.exponential_weight(level, growth=0.5)
    np.testing.assert_allclose(weight, [2.0, 1.0 + np.e], rtol=1e-6)
    radius = jnp.asarray([0.4, 3.0])  # 0.6 below its target and 3.0 above
    squares = radial.radial_hierarchy(radius, level, **ENDS)
    np.testing.assert_allclose(squares, [0.36, 9.0], rtol=1e-5)
    # Half the square below 1, the distance less 1/2 above it; twice for the deepest level.
    smooth = radial.radial_stratification(radius, level, **ENDS)
    np.testing.assert_allclose(smooth, [0.18, 5.0], rtol=1e-5)


def test_rank_counts_levels_of_pairs_of_different_level():
    # Levels 0, 2, 2 at radii 0.5, 0.4, 0.7. Of the six ordered pairs four join two levels: 0.1 in
    # order and 0.2 out of order, each twice, weight 2.
    radius, level = jnp.asarray([0.5, 0.4, 0.7]), jnp.asarray([0, 2, 2])
    value = ranking.global_rank(radius, level, temperature=0.1)
    wanted = 2 * (1 / (1 + np.exp(1.0)) + 1 / (1 + np.exp(-2.0))) / 2
    assert float(value) == pytest.approx(wanted, rel=1e-5)


def test_geodesic_distances_of_all_pairs():
    # Items 0 and 2 share one level, wanted at 3 e^(-1/2); they are as far apart as their radii.
    z, index = jnp.asarray([[0.5, 0.0], [-0.2, 0.0]]), jnp.asarray([0, 2])
    apart = 2 * (np.arctanh(0.5) + np.arctanh(0.2))
    error = apart - 3.0 * np.exp(-1 / 2)
    options = {"tree": TREE, "c": 1.0, "level_scale": 2.0}
    square = distances.tree_geodesic(z, index, smooth=False, **options)
    assert float(square) == pytest.approx(error**2, rel=1e-4)
    far = distances.tree_geodesic(z, index, max_distance=9.0, **options)
    assert float(far) == pytest.approx(9.0 * np.exp(-1 / 2) - apart - 0.5, rel=1e-4)
    assert float(poincare.distance(z[0], z[1], c=1.0)) == pytest.approx(apart, rel=1e-5)


def test_sampled_pairs_join_two_rows_of_the_batch():
    for batch_size in (2, 3, 7):
        pairs = sample_pairs(jax.random.key(batch_size), batch_size=batch_size, n_pairs=500)
        assert (pairs.i != pairs.j).all()
        for end in pairs:
            assert np.unique(end).tolist() == list(range(batch_size))
    np.testing.assert_array_equal(distinct(3, None), ~np.eye(3, dtype=bool))
