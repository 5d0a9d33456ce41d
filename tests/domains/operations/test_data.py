"""Splits and batches: everything once, nothing twice, padding masked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.domains.operations import data


def test_split_sizes_and_disjointness():
    split = data.split(jax.random.key(0), n_digits=9, train_fraction=0.8, val_fraction=0.1)
    assert (split.train.size, split.val.size, split.test.size) == (15_746, 1_968, 1_969)
    everything = np.concatenate([split.train, split.val, split.test])
    np.testing.assert_array_equal(np.sort(everything), np.arange(19_683))


def test_another_key_gives_another_split():
    sizes = {"n_digits": 5, "train_fraction": 0.5, "val_fraction": 0.2}
    first, second = (data.split(jax.random.key(seed), **sizes) for seed in (0, 1))
    assert (np.asarray(first.train) != np.asarray(second.train)).any()


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (8, 4), (3, 4), (5, 1)])
def test_an_epoch_holds_every_index_once(n, batch_size):
    index = jnp.arange(100, 100 + n, dtype=jnp.int32)
    batches = data.shuffled_batches(jax.random.key(2), index, batch_size=batch_size)
    assert batches.index.shape == batches.mask.shape == (-(-n // batch_size), batch_size)
    real = np.asarray(batches.index)[np.asarray(batches.mask) == 1]
    np.testing.assert_array_equal(np.sort(real), index)
    assert (batches.mask[:-1] == 1).all()


def test_epochs_are_shuffled_differently():
    index = jnp.arange(50)
    orders = [
        data.shuffled_batches(jax.random.key(seed), index, batch_size=10).index for seed in (0, 1)
    ]
    assert (orders[0] != orders[1]).any()
    assert (orders[0].ravel() != index).any()
