"""Properties beyond the goldens: all pairs, masks, traced weights, and finite gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import FAST_COMPILE
from tests.support.rich_hierarchy import rich_hierarchy
from tvae.domains.operations.tree import TREE
from tvae.domains.projected_vae import zero_structure
from tvae.geometry import poincare
from tvae.losses import distances, level_means, radial, ranking
from tvae.losses.levels import level_gaps, level_statistics, level_sum, masked_mean
from tvae.losses.pairs import Pairs, sample_pairs

ENDS = {"inner": 0.1, "outer": 0.9}
BOUNDS = {"tree": TREE, **ENDS}


def _batch(n=48, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    index = jax.random.randint(keys[0], (n,), 0, 19683).at[:4].set(jnp.asarray([0, 0, 729, 6561]))
    z = 0.2 * jax.random.normal(keys[1], (n, 4)) / 2.0
    return z, index


def _every_pair(n):
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    return Pairs(jnp.asarray(i), jnp.asarray(j))


def test_level_statistics_equal_numpy():
    rng = np.random.default_rng(0)
    valuation = rng.choice([0, 1, 4, 9], 60)
    radius = rng.normal(size=60).astype(np.float32)
    statistics = level_statistics(jnp.asarray(radius), jnp.asarray(valuation), tree=TREE)
    for level in range(10):
        rows = radius[valuation == level]
        assert statistics.n_rows[level] == len(rows)
        if len(rows):
            np.testing.assert_allclose(statistics.mean[level], rows.mean(), rtol=1e-5)
            np.testing.assert_allclose(statistics.variance[level], rows.var(ddof=1), rtol=1e-5)
    gaps = level_gaps(statistics)
    np.testing.assert_array_equal(np.flatnonzero(gaps.mask), [1, 4, 9])
    np.testing.assert_array_equal(gaps.levels[gaps.mask], [1, 3, 5])
    means = np.asarray(statistics.mean)
    np.testing.assert_allclose(gaps.gap[4], means[1] - means[4], rtol=1e-6)


def test_level_sum_is_a_segment_sum():
    x = jax.random.normal(jax.random.key(0), (100,))
    valuation = jax.random.randint(jax.random.key(1), (100,), 0, 10)
    expected = jax.ops.segment_sum(x, valuation, num_segments=10)
    np.testing.assert_allclose(level_sum(x, valuation, tree=TREE), expected, atol=1e-5)


def test_masked_mean_of_nothing_is_zero_with_zero_gradient():
    value, gradient = jax.value_and_grad(masked_mean)(jnp.ones(3), jnp.zeros(3, bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, jnp.zeros(3))


def test_all_pairs_equal_an_explicit_list():
    z, index = _batch()
    valuation, listed = TREE.level(index), _every_pair(48)
    radius = poincare.hyperbolic_radius(z, c=1.0)
    for loss in (
        lambda pairs: ranking.global_rank(radius, valuation, temperature=0.1, pairs=pairs),
        lambda pairs: radial.radial_margin(radius, valuation, pairs=pairs, **BOUNDS),
        lambda pairs: distances.tree_geodesic(z, index, tree=TREE, c=1.3, pairs=pairs),
    ):
        both = jax.jit(lambda loss=loss: (loss(None), loss(listed)), compiler_options=FAST_COMPILE)
        np.testing.assert_allclose(*both(), rtol=1e-5)


def test_sampled_pairs_estimate_all_pairs():
    z, index = _batch(256)
    radius, valuation = poincare.hyperbolic_radius(z, c=1.0), TREE.level(index)
    pairs = sample_pairs(jax.random.key(3), batch_size=256, n_pairs=100_000)
    loss = jax.jit(partial(ranking.global_rank, temperature=0.1), compiler_options=FAST_COMPILE)
    sampled, exact = loss(radius, valuation, pairs=pairs), loss(radius, valuation)
    np.testing.assert_allclose(sampled, exact, rtol=0.02)


def test_pairs_are_uniform_over_rows():
    pairs = sample_pairs(jax.random.key(1), batch_size=10, n_pairs=50_000)
    counts = np.bincount(np.concatenate([pairs.i, pairs.j]), minlength=10)
    # Five standard deviations of a binomial count with mean 10,000.
    assert np.abs(counts - 10_000).max() < 500


def _everything(z, index, c, pairs):
    radius = poincare.hyperbolic_radius(z, c=c)
    valuation = TREE.level(index)
    return jnp.stack(
        [
            *rich_hierarchy(radius, valuation, jnp.ones_like(radius), **BOUNDS),
            radial.radial_hierarchy(radius, valuation, **BOUNDS).mean(),
            radial.radial_margin(radius, valuation, pairs=pairs, **BOUNDS),
            radial.radial_stratification(radius, valuation, **BOUNDS).mean(),
            level_means.monotonic_radial(radius, valuation, **BOUNDS),
            ranking.global_rank(radius, valuation, temperature=0.1, pairs=pairs),
            distances.tree_geodesic(z, index, tree=TREE, c=c, pairs=pairs),
            zero_structure.zero_valuation_loss(radius, index, **ENDS).mean(),
            zero_structure.zero_sparsity_loss(radius, index),
        ]
    )


@pytest.mark.parametrize("sampled", [False, True])
def test_gradients_are_finite_in_degenerate_batches(sampled):
    """All points at the origin, all coincident, all at the boundary, and norms in between."""
    index = jnp.asarray([0, 0, 1, 2, 3, 9841, 6561, 13122], jnp.int32)
    pairs = sample_pairs(jax.random.key(0), batch_size=8, n_pairs=64) if sampled else None
    direction = jnp.ones((8, 4)) / 2
    spread = jax.random.normal(jax.random.key(2), (8, 4))
    spread = spread / jnp.linalg.norm(spread, axis=1, keepdims=True)

    @partial(jax.jit, compiler_options=FAST_COMPILE)
    def value_and_jacobian(z, c):
        def values(z, c):
            return _everything(z, index, c, pairs)

        return values(z, c), *jax.jacrev(values, argnums=(0, 1))(z, c)

    for norm in (0.0, 1e-15, 1e-7, 0.5, 1 - 1e-3, 1 - 1e-7):
        for unit in (direction, spread):
            z = norm * unit
            for output in value_and_jacobian(z, 1.0):
                assert jnp.isfinite(output).all(), norm


def test_parameters_are_traced():
    """One compilation serves every temperature, bound and curvature."""
    z, index = _batch()
    traces = 0

    @jax.jit
    def loss(z, inner, outer, temperature, c):
        nonlocal traces
        traces += 1
        radius, valuation = poincare.hyperbolic_radius(z, c=c), TREE.level(index)
        terms = rich_hierarchy(radius, valuation, radius, tree=TREE, inner=inner, outer=outer)
        return sum(terms) + ranking.global_rank(radius, valuation, temperature=temperature)

    values = {float(loss(z, 0.1, outer, 0.1, c)) for outer in (0.5, 0.9) for c in (0.5, 1.0)}
    assert traces == 1
    assert len(values) == 4


def test_a_perfect_embedding_costs_nothing():
    index = jnp.asarray([1, 3, 9, 27, 81, 243, 729, 2187, 6561, 0])
    valuation = TREE.level(index)
    radius = 0.9 - valuation / 9 * 0.8
    rich = rich_hierarchy(radius, valuation, radius, **BOUNDS)
    assert max(float(term) for term in rich) < 1e-12
    assert radial.radial_hierarchy(radius, valuation, **BOUNDS).max() < 1e-12
    assert float(radial.radial_margin(radius, valuation, **BOUNDS)) == 0
    hard = level_means.monotonic_radial(radius, valuation, hard=True, **BOUNDS)
    assert float(hard) < 1e-6


def test_zero_structure_contradicts_the_hierarchy():
    """No operation is deep in both trees, which is why the term is off by default."""
    index = jnp.arange(19683)
    both = (TREE.level(index) > 0) & (zero_structure.zero_valuation(index) > 0)
    assert not both.any()
