"""The wrapped normal: its density integrates to 1, and the sampled KL is unbiased."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import poincare, wrapped_normal


def test_log_sinh_ratio_equals_float64():
    r = np.array([1e-3, 0.1, 1.0, 10.0, 80.0])
    expected = np.log(np.sinh(r) / r)
    value = wrapped_normal.log_sinh_ratio(jnp.asarray(r, jnp.float32))
    np.testing.assert_allclose(value, expected, atol=3e-6, rtol=1e-6)


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_density_integrates_to_one(c):
    """In 2-D the volume of a ring is 2 pi sinh(sqrt(c) r) / sqrt(c) dr."""
    scale = 0.7
    r = np.linspace(1e-3, 8.0, 4000)
    log_density = wrapped_normal.log_density(
        jnp.asarray((r / scale) ** 2, jnp.float32),
        jnp.asarray(r, jnp.float32),
        jnp.full(r.shape, 2 * np.log(scale)),
        dimension=2,
        c=c,
    )
    density = np.exp(np.asarray(log_density, np.float64)) / (2 * np.pi)
    ring = 2 * np.pi * np.sinh(np.sqrt(c) * r) / np.sqrt(c)
    np.testing.assert_allclose(np.trapezoid(density * ring, r), 1.0, atol=1e-4)


def test_kl_by_hand():
    """One sample with d = 2: squares, log scales and warps added up in float64."""
    noise, logvar = np.array([0.3, -0.4]), np.array([-2.0, -1.0])
    radius, prior = 1.5, 0.8
    length = 0.5
    q = -0.5 * (0.09 * np.exp(2.0) + 0.16 * np.exp(1.0)) + 1.5 - np.log(np.sinh(length) / length)
    p = -0.5 * (radius / prior) ** 2 - 2 * np.log(prior) - np.log(np.sinh(radius) / radius)
    value = wrapped_normal.sampled_kl(
        jnp.asarray(noise, jnp.float32),
        jnp.asarray(logvar, jnp.float32),
        jnp.float32(radius),
        prior_scale=prior,
        c=1.0,
    )
    np.testing.assert_allclose(value, q - p, rtol=1e-5)


def test_kl_of_equal_distributions_at_the_origin_is_zero_for_every_sample():
    noise = 0.8 * jax.random.normal(jax.random.key(0), (100, 16))
    logvar = jnp.full((100, 16), 2 * np.log(0.8))
    radius = jnp.linalg.norm(noise, axis=-1)
    kl = wrapped_normal.sampled_kl(noise, logvar, radius, prior_scale=0.8, c=1.0)
    np.testing.assert_allclose(kl, 0.0, atol=2e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e-8, 1e-4, 1.0, 5.0])
def test_gradients_are_finite(scale):
    noise = jnp.full((1, 16), scale)

    def kl(noise, logvar, radius):
        value = wrapped_normal.sampled_kl(noise, logvar, radius, prior_scale=0.8, c=1.0)
        return value.sum()

    logvar, radius = jnp.full((1, 16), -10.0), jnp.full((1,), scale)
    for gradient in jax.grad(kl, (0, 1, 2))(noise, logvar, radius):
        assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_a_sample_is_as_far_away_as_its_vector_is_long(c):
    z = jnp.asarray([[0.0, 0.0], [0.3, -0.2], [0.0, 0.0]])
    v = jnp.asarray([[0.6, 0.8], [-0.3, 0.4], [0.0, 11.0 / np.sqrt(c)]])
    apart = poincare.distance(z, wrapped_normal.wrap(z, v, c=c), c=c)
    # The last one lies far beyond the sphere to which the ball's maps project, radius 6.2.
    np.testing.assert_allclose(apart, [1.0, 0.5, 11.0 / np.sqrt(c)], rtol=5e-3)
