"""Batches of the affine walk: every count exact, pair valuations equal to brute force."""

import jax
import numpy as np
import pytest

from tvae.domains.operations import affine_walk, bands
from tvae.geometry import padic

N, LEVEL = padic.count(), bands.valuations()
BLOCK, ROOTS = 243, 81


def batches(seed):
    return np.asarray(affine_walk.walk_batches(jax.random.key(seed), block=BLOCK, roots=ROOTS))


@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_visits_every_operation_once(seed):
    index = batches(seed)
    assert index.shape == (81, BLOCK + ROOTS)
    assert index.dtype == np.int32
    np.testing.assert_array_equal(np.sort(index[:, :BLOCK].ravel()), np.arange(N))


@pytest.mark.parametrize("seed", range(5))
def test_every_block_has_exact_level_counts(seed):
    for block in batches(seed)[:, :BLOCK]:
        np.testing.assert_array_equal(np.sort(block % BLOCK), np.arange(BLOCK))
        np.testing.assert_array_equal(np.bincount(LEVEL[block])[:5], [162, 54, 18, 6, 2])


def test_roots_are_the_operations_of_highest_valuation():
    roots = batches(0)[:, BLOCK:]
    np.testing.assert_array_equal(np.sort(roots[0]), np.flatnonzero(LEVEL >= 5))
    np.testing.assert_array_equal(roots, np.tile(roots[:1], (81, 1)))


@pytest.mark.parametrize("seed", range(3))
def test_pair_valuations_of_a_block_are_static(seed):
    pairs = affine_walk.block_pairs(block=BLOCK, anchors=27)
    for block in batches(seed)[::20, :BLOCK]:
        by_hand = padic.pair_valuation(block[:27, None], block[None, :])
        np.testing.assert_array_equal(pairs.valuation, by_hand)


def test_epochs_differ_by_their_key():
    assert (batches(0) != batches(1)).any()


def test_pair_weights():
    pairs = affine_walk.block_pairs(block=BLOCK, anchors=27)
    own = np.arange(27)
    for weight in (pairs.by_valuation, pairs.uniform):
        np.testing.assert_allclose(weight.sum(), 1.0, rtol=1e-6)
        assert (weight[own, own] == 0).all()
    # Each anchor meets 162, 54, 18, 6, 2 others of valuation 0..4: five valuations, 0.2 each.
    for level in range(5):
        weight = pairs.by_valuation[pairs.valuation == level]
        np.testing.assert_allclose(weight, 0.2 / (27 * (162, 54, 18, 6, 2)[level]), rtol=1e-6)
    np.testing.assert_allclose(pairs.uniform[0, 1:], 1 / (27 * 242), rtol=1e-6)


def test_expected_rows_are_the_mean_over_an_epoch():
    rows = np.bincount(LEVEL[batches(3)].ravel(), minlength=10) / 81
    expected = affine_walk.expected_level_rows(block=BLOCK, roots=ROOTS)
    np.testing.assert_allclose(expected, rows, rtol=1e-6)


def test_level_weights_give_each_level_its_share():
    weight = np.asarray(affine_walk.level_weights(block=BLOCK, roots=ROOTS, even_share=0.25))
    total = weight[LEVEL[batches(4)]].sum(dtype=np.float64) / 81
    np.testing.assert_allclose(total, 1.0, rtol=1e-6)
    # Level 0: 162 rows share 0.75 * 2/3 + 0.025.
    np.testing.assert_allclose(weight[0], (0.5 + 0.025) / 162, rtol=1e-6)
