"""Order and correlation losses: arithmetic by hand, scipy, and the special cases elsewhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tvae.geometry.padic import PadicTree
from tvae.losses import correlation, order, radial
from tvae.losses.pairs import Pairs

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("link", "penalty"),
    [
        ("hinge", lambda x: max(x, 0.0)),
        ("softplus", lambda x: 0.2 * np.log1p(np.exp(x / 0.2))),
        ("logistic", lambda x: 1 / (1 + np.exp(-x / 0.2))),
    ],
)
def test_links(link, penalty):
    # Levels 0, 2, 2: radii 0.5 > 0.4 in order by 0.1 and 0.7 out of order by 0.2, two levels apart.
    radius, level = jnp.asarray([0.5, 0.4, 0.7]), jnp.asarray([0, 2, 2])
    options = {"margin": 0.05, "margin_per_level": 0.1, "link": link, "temperature": 0.2}
    pair = Pairs(jnp.asarray([2, 1]), jnp.asarray([0, 2]))
    two = jnp.asarray([True, True, False])

    @jax.jit
    def losses(radius, level):
        of = functools.partial(order.level_order, radius, level, **options)
        return of(), of(pair), of(where=two)

    expected = [(penalty(0.25 - 0.1) + penalty(0.25 + 0.2)) / 2, penalty(0.45), penalty(0.15)]
    np.testing.assert_allclose(losses(radius, level), expected, rtol=1e-5)


def test_half_the_level_spacing_is_the_margin_loss_of_the_hierarchy():
    tree = PadicTree(2, 3)
    radius = jnp.asarray(RNG.uniform(size=9), jnp.float32)
    level = jnp.asarray(RNG.integers(0, 4, 9))
    margin = radial.radial_margin(radius, level, tree=tree, inner=0.1, outer=0.7)
    value = order.level_order(radius, level, margin_per_level=0.5 * 0.6 / 3)
    np.testing.assert_allclose(value, margin, rtol=1e-5)


def test_margin_ranking_counts_pairs_of_different_measurement():
    prediction, measured = jnp.asarray([0.0, 1.0, 0.2]), jnp.asarray([5.0, 5.0, 7.0])
    # The third should exceed the others by 0.5: it is 0.2 above one and 0.8 below the other.
    value = order.margin_ranking(prediction, measured, margin=0.5)
    assert float(value) == pytest.approx((0.3 + 1.3) / 2, rel=1e-5)
    assert float(order.margin_ranking(prediction, jnp.ones(3))) == 0.0


def test_correlations_equal_scipy():
    x, y = RNG.normal(size=(2, 12, 2)).astype(np.float32)
    expected = np.asarray([scipy.stats.pearsonr(x[:, k], y[:, k])[0] for k in (0, 1)])
    where = np.arange(12) % 3 != 0
    some = scipy.stats.pearsonr(x[where, 0], y[where, 0])[0]

    @jax.jit
    def measures(x, y):
        return (
            correlation.pearson(x, y),
            correlation.correlation_gap(x, y),
            correlation.target_correlation(x, y, target=0.4),
            correlation.pearson(x[:, 0], y[:, 0], where),
        )

    found = measures(x, y)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found[1], 1 - expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(found[2], np.square(expected - 0.4).mean(), rtol=1e-5)
    np.testing.assert_allclose(found[3], some, atol=1e-6)


@pytest.mark.parametrize("size", [0.0, 0.1, 1e4])
def test_a_constant_column_has_no_correlation(size):
    # The mean of numbers that float32 does not hold exactly differs from them by a rounding.
    constant = jnp.full(7, size)
    assert float(correlation.pearson(constant, jnp.arange(7.0))) == 0.0
    assert float(correlation.correlation_gap(jnp.arange(7.0), constant)) == 1.0
