"""The v5.5 terms against arithmetic worked by hand, and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.losses import divergence, levels, likelihood, regularizers

FULL = jnp.ones(4)


def test_cross_entropy_sums_digits():
    # Two digits, logits (ln 2, 0, 0): probabilities 1/2, 1/4, 1/4; truth 0 and 2: ln 2 + ln 4.
    logits = jnp.log(jnp.asarray([[2.0, 1.0, 1.0], [2.0, 1.0, 1.0]]))
    got = likelihood.cross_entropy(logits, jnp.asarray([0, 2]))
    assert got == pytest.approx(np.log(2) + np.log(4), rel=1e-6)


def test_kl_by_hand():
    # mu = 1, logvar = ln 2: -1/2 (1 + ln 2 - 1 - 2) = 1 - ln(2)/2.
    kl = divergence.gaussian_kl(jnp.float32(1.0), jnp.log(jnp.float32(2.0)))
    assert kl == pytest.approx(1 - np.log(2) / 2, rel=1e-6)


def test_free_bits_floor_is_elementwise_and_without_gradient():
    mu, logvar = jnp.asarray([2.0, 0.5]), jnp.zeros(2)
    # KLs are 2 and 0.125: the second is lifted to 0.5 and passes no gradient.
    assert divergence.free_bits_kl(mu, logvar, free_bits=0.5) == pytest.approx(2.5)
    assert divergence.free_bits_kl(mu, logvar, free_bits=0.0) == pytest.approx(2.125)
    grad = jax.grad(lambda m: divergence.free_bits_kl(m, logvar, free_bits=0.5))(mu)
    np.testing.assert_allclose(grad, [2.0, 0.0])


def test_output_entropy_of_certain_and_opposed_rows():
    # Two rows certain of different classes: the mean is 1/2, 1/2, 0 for each digit.
    logits = 50.0 * jax.nn.one_hot(jnp.asarray([[0] * 9, [1] * 9]), 3)
    got = regularizers.output_entropy(logits, jnp.ones(2))
    assert got == pytest.approx(9 * np.log(2), rel=1e-5)


def test_repulsion_by_hand():
    # Distances 0.5 between neighbours on a line of three: pairs at 0.5, 0.5 and 1.0, sigma 0.5.
    z = jnp.asarray([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0]])
    expected = (2 * np.exp(-1.0) + np.exp(-4.0)) / 3
    got = regularizers.repulsion(z, jnp.ones(3), sigma=0.5)
    assert got == pytest.approx(expected, rel=1e-6)


def test_repulsion_gradient_is_finite_at_coincident_points():
    grad = jax.grad(lambda z: regularizers.repulsion(z, FULL, sigma=0.5))(jnp.zeros((4, 3)))
    assert jnp.isfinite(grad).all()


def test_repulsion_of_a_single_row_is_zero():
    mask = jnp.asarray([1.0, 0.0, 0.0, 0.0])
    assert regularizers.repulsion(jnp.ones((4, 3)), mask, sigma=0.5) == 0.0


def test_padding_changes_nothing():
    key_z, key_l = jax.random.split(jax.random.key(0))
    z, logits = jax.random.normal(key_z, (4, 3)), jax.random.normal(key_l, (4, 9, 3))
    mask = jnp.asarray([1.0, 1.0, 0.0, 0.0])
    two = jnp.ones(2)
    np.testing.assert_allclose(
        regularizers.repulsion(z, mask, sigma=2.0),
        regularizers.repulsion(z[:2], two, sigma=2.0),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        regularizers.output_entropy(logits, mask),
        regularizers.output_entropy(logits[:2], two),
        rtol=1e-5,
    )
    np.testing.assert_allclose(levels.masked_mean(z[:, 0], mask), z[:2, 0].mean(), rtol=1e-5)


def test_a_small_cross_entropy_is_not_rounded_away():
    # ln(1 + 2 e^-14) beside a logit of 100, where float32 is spaced by 7.6e-6.
    logits = jnp.asarray([[100.0, 86.0, 86.0]])
    got = likelihood.cross_entropy(logits, jnp.asarray([0]))
    assert float(got) == pytest.approx(np.log1p(2 * np.exp(-14.0)), rel=0.1)


def test_entropy_of_classes_that_never_occur_is_zero():
    logits = jnp.asarray([[[200.0, -200.0, -200.0]]])
    value, gradient = jax.value_and_grad(regularizers.output_entropy)(logits, jnp.ones(1))
    assert float(value) == pytest.approx(0.0, abs=1e-6)
    assert jnp.isfinite(gradient).all()
