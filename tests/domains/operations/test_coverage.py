"""Coverage measures against decoders of given coverage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.domains.operations import coverage
from tvae.geometry import padic

N_DIGITS = 4
N_OPERATIONS = 81
RULES = [coverage.prior_coverage_categorical, coverage.prior_coverage_argmax]
SIZES = {"latent_dim": 4, "n_digits": N_DIGITS}


def constant_decoder(z):
    """Always the operation 7, with certainty."""
    digit = padic.digits(jnp.int32(7), n_digits=N_DIGITS)
    return jnp.broadcast_to(100.0 * jax.nn.one_hot(digit, 3), (z.shape[0], N_DIGITS, 3))


def uniform_decoder(z):
    """No preference between digits."""
    return jnp.zeros((z.shape[0], N_DIGITS, 3))


def sign_decoder(z):
    """Digit 0, 1 or 2 as the latent is in the lower, middle or upper third of the normal."""
    third = 0.4307273
    return jnp.stack([-z - third, jnp.zeros_like(z), z - third], -1)


@pytest.mark.parametrize("rule", RULES)
def test_a_constant_decoder_covers_one_operation(rule):
    got = rule(constant_decoder, jax.random.key(0), draws=700, chunk=300, **SIZES)
    assert got == pytest.approx(1 / N_OPERATIONS)


@pytest.mark.parametrize("draws", [50, 100, 250])
def test_uniform_draws_meet_the_baseline(draws):
    # The number of chunks does not divide the draws: the rest must not count.
    def one(key):
        return coverage.prior_coverage_categorical(
            uniform_decoder, key, draws=draws, chunk=40, **SIZES
        )

    got = jax.vmap(one)(jax.random.split(jax.random.key(1), 400)).mean()
    expected = coverage.uniform_baseline(draws, n_operations=N_OPERATIONS)
    # The standard error of the mean of 400 runs is below 0.003.
    assert got == pytest.approx(expected, abs=0.01)


def test_argmax_of_an_even_decoder_meets_the_baseline():
    def one(key):
        return coverage.prior_coverage_argmax(sign_decoder, key, draws=100, chunk=40, **SIZES)

    got = jax.vmap(one)(jax.random.split(jax.random.key(2), 400)).mean()
    assert got == pytest.approx(coverage.uniform_baseline(100, n_operations=81), abs=0.01)


def test_argmax_of_an_undecided_decoder_is_one_operation():
    got = coverage.prior_coverage_argmax(
        uniform_decoder, jax.random.key(0), draws=100, chunk=40, **SIZES
    )
    assert got == pytest.approx(1 / N_OPERATIONS)


def test_categorical_draws_follow_the_probabilities():
    # One digit with probabilities 1/2, 1/3, 1/6: draw it many times, one draw a run.
    logits = jnp.log(jnp.asarray([[[3.0, 2.0, 1.0]]]))
    covered = []

    def decode(z):
        return jnp.broadcast_to(logits, (z.shape[0], 1, 3))

    # Distinct digits among two draws: 1 - sum p² of the time two of three, else one.
    for_two = jax.vmap(
        lambda key: coverage.prior_coverage_categorical(
            decode, key, draws=2, latent_dim=1, n_digits=1, chunk=2
        )
    )(jax.random.split(jax.random.key(3), 4000))
    covered = float((3 * for_two).mean())
    expected = 1 + (1 - (1 / 4 + 1 / 9 + 1 / 36))
    assert covered == pytest.approx(expected, abs=0.03)


def test_each_digit_is_drawn_as_often_as_its_softmax():
    """Which digit it is: the coverage is the same for any relabelling of the digits."""
    share = np.asarray([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    logits = jnp.broadcast_to(jnp.log(share), (4000, 2, 3))
    digit = coverage.sample_digits(jax.random.key(0), logits)
    found = jax.nn.one_hot(digit, 3).mean(0)
    np.testing.assert_allclose(found, share, atol=0.03)  # four standard errors


def test_exact_match_needs_every_digit():
    digit = jnp.asarray([[0, 1, 2], [0, 1, 2]])
    logits = jax.nn.one_hot(jnp.asarray([[0, 1, 2], [0, 1, 1]]), 3)
    np.testing.assert_array_equal(coverage.exact_match(logits, digit), [True, False])
