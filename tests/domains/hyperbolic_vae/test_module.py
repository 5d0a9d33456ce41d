"""The hyperbolic VAE: samples lie where the noise says, decoding sees the ball alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import load_config
from tvae.domains.hyperbolic_vae import task as hyperbolic_vae
from tvae.domains.hyperbolic_vae.module import HyperbolicVAE
from tvae.geometry import padic, poincare
from tvae.geometry.wrapped_normal import wrap
from tvae.models.encoders import Encoder

INDEX = jnp.arange(0, 19683, 500)
X = padic.values(INDEX)


@pytest.fixture(scope="module")
def model_and_params():
    model = hyperbolic_vae.make_model(load_config("v6"))
    variables = jax.jit(model.init)(jax.random.key(0), X, jnp.zeros((X.shape[0], 16)))
    return model, variables["params"]


def test_parameter_count(model_and_params):
    """9-256-128-64 and two heads; two nets of two layers; 16-32-64-27."""
    _, params = model_and_params
    count = {name: sum(x.size for x in jax.tree.leaves(part)) for name, part in params.items()}
    encoder = 10 * 256 + 257 * 128 + 129 * 64 + 2 * 65 * 16
    direction = 17 * 64 + 65 * 64 + 2 * 2 * 64 + 65 * 16
    radius = 17 * 32 + 33 * 32 + 33
    decoder = 17 * 32 + 33 * 64 + 65 * 27
    assert count == {"encoder": encoder, "projection": direction + radius, "decoder": decoder}
    assert sum(count.values()) == 58_380


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_samples_lie_at_the_distance_of_their_noise(c):
    z_key, v_key = jax.random.split(jax.random.key(1))
    z = 0.6 / np.sqrt(c) * jax.random.normal(z_key, (50, 16)) / 4
    v = 0.25 * jax.random.normal(v_key, (50, 16))
    distance = poincare.distance(z, wrap(z, v, c=c), c=c)
    np.testing.assert_allclose(distance, jnp.linalg.norm(v, axis=-1), rtol=1e-4)


def test_samples_equal_the_exponential_map_of_the_transported_vector():
    z_key, v_key = jax.random.split(jax.random.key(2))
    z = jax.random.normal(z_key, (50, 16)) / 8
    v = 0.2 * jax.random.normal(v_key, (50, 16))
    # In the ball's coordinates at the origin a vector is half as long as its hyperbolic length.
    moved = poincare.parallel_transport(jnp.zeros_like(z), z, v / 2, c=1.0)
    np.testing.assert_allclose(wrap(z, v, c=1.0), poincare.exp_map(z, moved, c=1.0), atol=1e-6)


def test_wide_posteriors_keep_their_reach():
    """A sample 12 away is measured as 12 away, where the usual margin would say 6.2."""
    v = jnp.zeros((1, 16)).at[0, 0].set(12.0)
    radius = poincare.hyperbolic_radius(wrap(jnp.zeros((1, 16)), v, c=1.0), c=1.0)
    np.testing.assert_allclose(radius, 12.0, rtol=0.01)


@pytest.mark.parametrize("length", [0.0, 1e-12, 1.0, 20.0, 100.0])
def test_gradients_of_a_sample_are_finite(length):
    v = jnp.full((3, 16), length / 4)
    for z in (jnp.zeros((3, 16)), jnp.full((3, 16), 0.2374)):
        for gradient in jax.grad(lambda z, v: wrap(z, v, c=1.0).sum(), (0, 1))(z, v):
            assert jnp.isfinite(gradient).all()


def test_without_noise_the_embedding_itself_is_decoded(model_and_params):
    model, params = model_and_params
    vae = model.bind({"params": params})
    outputs = vae(X, jnp.zeros((X.shape[0], 16)))
    np.testing.assert_allclose(outputs.logits, vae.decode(outputs.ball.z), atol=2e-5)
    np.testing.assert_allclose(outputs.sample_radius, outputs.ball.hyperbolic_radius, rtol=1e-4)
    assert outputs.logits.shape == (X.shape[0], 9, 3)


def test_decoding_uses_the_scaled_logarithm(model_and_params):
    model, params = model_and_params
    z = jnp.full((1, 16), 0.2)
    tangent = 3.0 * poincare.log_map_origin(z, c=1.0)
    expected = model.decoder.apply({"params": params["decoder"]}, tangent)
    logits = model.apply({"params": params}, z, method=HyperbolicVAE.decode)
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


def test_the_posterior_starts_narrow():
    encoder = Encoder(activation=nn.silu, logvar_start=-4.0)
    variables = encoder.init(jax.random.key(0), X)
    _, logvar = encoder.apply(variables, X)
    assert jnp.abs(logvar + 4.0).max() < 0.2
    assert not variables["params"]["logvar"]["bias"].any()
