"""Spearman against scipy, with ties of every kind and at every size that the metrics use."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.production_cases import FAST_COMPILE, kept
from tvae.domains.operations.tree import TREE
from tvae.geometry.padic import PadicTree
from tvae.metrics import hierarchy, rank_correlation
from tvae.metrics.rank_correlation import tie_ceiling

# Op by op the same programs would take a minute to compile.
FAST = partial(jax.jit, compiler_options=FAST_COMPILE)
average_ranks = FAST(rank_correlation.average_ranks)
spearman = FAST(rank_correlation.spearman)
spearman_with_classes = partial(FAST, static_argnames="n_classes")(
    rank_correlation.spearman_with_classes
)


def _scipy(x, y):
    return scipy.stats.spearmanr(np.asarray(x), np.asarray(y)).statistic


def test_recorded_correlations():
    (case,) = kept("metrics", "metrics/spearman")
    names = sorted({key.split(".")[1] for key in case.arrays if key.startswith("in.")})
    assert len(names) == 6
    for name in names:
        x, y = (jnp.asarray(case[f"in.{name}.{end}"], jnp.float32) for end in "xy")
        expected = case[f"out.{name}.spearman"]
        np.testing.assert_allclose(spearman(x, y), expected, atol=1e-6, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=16, max_size=16))
def test_ranks_and_correlation_equal_scipy(rows):
    # One length for all examples, so that one program serves them.
    x, y = (np.asarray(column, np.float32) for column in zip(*rows, strict=True))
    np.testing.assert_array_equal(average_ranks(jnp.asarray(x)), scipy.stats.rankdata(x))
    if np.ptp(x) > 0 and np.ptp(y) > 0:
        np.testing.assert_allclose(
            spearman(jnp.asarray(x), jnp.asarray(y)), _scipy(x, y), atol=1e-6
        )
        classes = spearman_with_classes(jnp.asarray(x), jnp.asarray(y, jnp.int32), n_classes=9)
        np.testing.assert_allclose(classes, _scipy(x, y), atol=1e-6)
    else:
        assert jnp.isnan(spearman(jnp.asarray(x), jnp.asarray(y)))


@pytest.mark.parametrize("snapped", [False, True])
def test_whole_space_to_1e_6(snapped):
    valuation = np.asarray(TREE.level(jnp.arange(19683)))
    noise = np.random.default_rng(0).normal(size=19683) * (0 if snapped else 0.3)
    radius = np.abs(1.5 - 0.1 * valuation + noise).astype(np.float32)
    expected = _scipy(radius, valuation)
    label = jnp.asarray(valuation)
    actual = spearman_with_classes(jnp.asarray(radius), label, n_classes=10)
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    np.testing.assert_allclose(
        spearman(jnp.asarray(radius), label.astype(jnp.float32)), expected, atol=1e-6
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_half_a_million_pairs_to_1e_5(scale):
    rng = np.random.default_rng(1)
    label = rng.choice(10, 500_000, p=[0.5, *(3.0 ** -np.arange(1, 9)), 0.5 * 3.0**-8])
    x = (scale * np.abs(label / 5 + rng.normal(size=label.size))).astype(np.float32)
    actual = spearman_with_classes(jnp.asarray(x), jnp.asarray(label), n_classes=10)
    np.testing.assert_allclose(actual, _scipy(x, label), atol=1e-5)


def test_any_number_of_classes():
    """A tree of 21 levels: more than a packed key holds."""
    tree = PadicTree(2, 20)
    item = (
        jax.random.randint(jax.random.key(0), (50_000,), 0, tree.n_leaves)
        .at[:21]
        .set(jnp.asarray([2**level % tree.n_leaves for level in range(21)]))
    )
    level = tree.level(item)
    assert level.max() == 20
    radius = jnp.exp(-0.2 * level + 0.3 * jax.random.normal(jax.random.key(1), level.shape))
    found = FAST(partial(hierarchy.hierarchy, tree=tree))(radius, level)
    np.testing.assert_allclose(found, _scipy(radius, level), atol=1e-6)
    # Within 16 classes the packed keys give the same.
    few = jnp.minimum(level, 15)
    packed = spearman_with_classes(radius, few, n_classes=16)
    np.testing.assert_allclose(packed, spearman_with_classes(radius, few, n_classes=17), atol=1e-6)


def test_bad_input_is_not_hidden():
    label = jnp.asarray([0, 1, 1, 2])
    for bad in (jnp.nan, jnp.inf):
        x = jnp.asarray([0.1, bad, 0.3, 0.4])
        assert jnp.isnan(spearman_with_classes(x, label, n_classes=3))
    assert jnp.isnan(spearman(jnp.asarray([1.0, jnp.nan]), jnp.asarray([1.0, 2.0])))
    assert jnp.isnan(spearman_with_classes(jnp.zeros(4), label, n_classes=3))
    assert jnp.isnan(spearman_with_classes(jnp.asarray([0.1, 1, 2, jnp.inf]), label, n_classes=17))


def test_tie_ceiling_is_reached_by_an_orderly_variable():
    counts = (7, 11, 2, 1)
    label = np.repeat(np.arange(4), counts)
    orderly = label + np.linspace(0, 0.9, label.size)
    np.testing.assert_allclose(tie_ceiling(counts), _scipy(orderly, label), atol=1e-12)


def test_one_program_ranks_a_population():
    x = jax.random.uniform(jax.random.key(0), (3, 50))
    label = jax.random.randint(jax.random.key(1), (3, 50), 0, 4)
    together = jax.vmap(lambda x, y: spearman_with_classes(x, y, n_classes=4))(x, label)
    for row in range(3):
        np.testing.assert_allclose(together[row], _scipy(x[row], label[row]), atol=1e-6)


def test_a_nan_of_either_side_is_not_hidden():
    good, bad = jnp.asarray([1.0, 2.0, 3.0, 4.0]), jnp.asarray([1.0, jnp.nan, 3.0, 4.0])
    assert jnp.isnan(spearman(good, bad))
    assert jnp.isnan(spearman(bad, good))
    assert float(spearman(good, good)) == 1.0


def test_close_lengths_keep_their_order():
    # 2^-20 apart at 1: within the 28 bits of a key, beyond those of half precision.
    x = 1.0 + jnp.asarray([3, 1, 2, 0]) * 2.0**-20
    found = spearman_with_classes(x, jnp.asarray([3, 1, 2, 0]), n_classes=4)
    assert float(found) == 1.0
