"""The cheap generator of a step's noise: uniform, and without relation between keys and entries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.models import prng

N = 2**16


def fresh():
    return prng.mixing_key(jax.random.key(3))


def bits_of(key, n=N):
    """Bits ``(n, 32)`` of the words of a key, as 0 and 1."""
    words = np.asarray(jax.random.bits(key, (n,), jnp.uint32))
    return (words[:, None] >> np.arange(32, dtype=np.uint32)) & 1


def assert_fair(bits):
    """Each column is 0 and 1 alike, to five standard deviations."""
    deviation = np.abs(bits.mean(0) - 0.5) * 2.0 * np.sqrt(len(bits))
    assert deviation.max() < 5.0


def test_every_bit_is_fair_and_independent_of_the_others_and_of_its_neighbours():
    bits = bits_of(fresh())
    assert_fair(bits)
    for shift in range(1, 32):
        assert_fair(bits ^ np.roll(bits, shift, axis=1))
    for lag in (1, 2, 16, 64, 256, 4096):
        assert_fair(bits[lag:] ^ bits[:-lag])


@pytest.mark.parametrize("near", ["folded", "split", "seeded"])
def test_keys_that_follow_each_other_give_unrelated_words(near):
    keys = {
        "folded": [jax.random.fold_in(fresh(), i) for i in range(4)],
        "split": list(jax.random.split(fresh(), 4)),
        "seeded": [jax.random.key(i, impl=prng.MIXING) for i in range(4)],
    }[near]
    bits = [bits_of(key) for key in (*keys, fresh())]
    for i, one in enumerate(bits):
        for other in bits[:i]:
            assert_fair(one ^ other)


def test_derived_keys_differ():
    derived = [
        *jax.random.split(fresh(), 500),
        *(jax.random.fold_in(fresh(), i) for i in range(50)),
    ]
    assert len({tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in derived}) == 550


def test_normal_noise_has_the_moments_of_one():
    noise = np.asarray(jax.random.normal(fresh(), (N,)), np.float64)
    for power, expected in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        spread = (noise**power).std() / np.sqrt(N)
        assert abs((noise**power).mean() - expected) < 5.0 * spread


@pytest.mark.parametrize("width", [8, 16])
def test_narrow_words_are_the_upper_bits(width):
    narrow = jax.random.bits(fresh(), (100,), jnp.dtype(f"uint{width}"))
    words = jax.random.bits(fresh(), (100,), jnp.uint32)
    np.testing.assert_array_equal(narrow, words >> (32 - width))


def test_a_batch_of_keys_draws_what_each_draws():
    keys = jax.random.split(fresh(), 3)
    together = jax.vmap(lambda key: jax.random.bits(key, (5,)))(keys)
    np.testing.assert_array_equal(together, [jax.random.bits(key, (5,)) for key in keys])
