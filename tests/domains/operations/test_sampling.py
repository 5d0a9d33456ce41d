"""Stratified batches: counts of the reference system, and uniformity within each level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import all_cases
from tvae.domains.operations.sampling import StratifiedCounts, stratified_counts, stratified_indices
from tvae.domains.operations.tree import TREE
from tvae.geometry.padic import PadicTree

COUNTS = stratified_counts(512, 0.25)


@pytest.mark.parametrize(
    "case", all_cases("metrics", "metrics/stratified_batches"), ids=lambda case: case.name
)
def test_counts_equal_the_original(case):
    counts = stratified_counts(case.params["batch_size"], case.params["high_v_ratio"])
    # The original lists the six deep levels first.
    drawn = case["out.samples_drawn_per_group_first_batch"].tolist()
    assert list(counts.levels) == drawn[6:] + drawn[:6]
    assert sum(counts.levels) == case["out.pool_before_trim_or_pad"]
    assert counts.batch_size == case["out.batch_length"][0]


def test_counts_of_v5_11():
    counts = stratified_counts(512, 0.20)
    assert counts == StratifiedCounts((276, 92, 30, 10, *(17,) * 6), 2)


def test_every_batch_has_its_counts():
    keys = jax.random.split(jax.random.key(0), 50)
    batches = jax.vmap(lambda key: stratified_indices(key, COUNTS))(keys)
    assert batches.dtype == jnp.int32
    assert batches.min() >= 0
    assert batches.max() < 19683
    levels = np.repeat(np.arange(10), COUNTS.levels)
    stratified = batches[:, : levels.size]
    expected = np.broadcast_to(levels, stratified.shape)
    np.testing.assert_array_equal(TREE.level(stratified), expected)


def test_uniform_within_a_level():
    """Valuation 5: 54 operations, each as likely as the others; the pad: all operations."""
    counts = StratifiedCounts((0, 0, 0, 0, 0, 54_000, 0, 0, 0, 0), 100_000)
    draws = np.asarray(stratified_indices(jax.random.key(1), counts))
    members, hits = np.unique(draws[:54_000], return_counts=True)
    np.testing.assert_array_equal(members, np.flatnonzero(TREE.level(jnp.arange(19683)) == 5))
    chi2 = ((hits - 1000) ** 2 / 1000).sum()
    assert chi2 < 53 + 5 * np.sqrt(2 * 53)
    pad = draws[54_000:]
    np.testing.assert_allclose(pad.mean(), 9841, atol=5 * 5682 / np.sqrt(pad.size))
    assert np.unique(pad).size > 19_400


def test_every_operation_can_be_drawn():
    counts = StratifiedCounts(tuple(20 * n for n in TREE.level_counts), 0)
    draws = np.unique(stratified_indices(jax.random.key(2), counts))
    # A member is missed with probability e^-20.
    np.testing.assert_array_equal(draws, np.arange(19683))


def test_other_trees():
    tree = PadicTree(2, 6)
    counts = stratified_counts(64, 0.5, tree=tree)
    index = stratified_indices(jax.random.key(0), counts, tree=tree)
    levels = np.repeat(np.arange(7), counts.levels)
    valuation = tree.level(index[: levels.size])
    np.testing.assert_array_equal(valuation, levels)


@pytest.mark.parametrize(("batch_size", "ratio", "depth"), [(8, 0.25, 9), (512, 0.25, 3)])
def test_impossible_counts_are_refused(batch_size, ratio, depth):
    with pytest.raises(ValueError, match=r"levels need|depth of 4"):
        stratified_counts(batch_size, ratio, tree=PadicTree(3, depth))
