"""What can be asked of a model of v5.11 to v5.12: two encoders, two embeddings, one decoder."""

from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from tvae.domains.projected_vae import evaluation
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.domains.views import BALL, LATENT, Points, Posterior, Views
from tvae.engine.task import Metrics, Params
from tvae.geometry import padic as ternary


def make_views(model: ProjectedVAE, config: ConfigDict | None) -> Views:
    """Views of a ternary VAE; its module says everything, with or without a configuration.

    The prior is the standard normal of the autoencoder's latents, carried into A's ball where the
    decoder reads the ball: these models learn no prior of the ball's own.
    """
    del config
    latent_dim = model.encoder.latent_dim

    def encode(params: Params, x: jax.Array) -> Posterior:
        found = model.bind({"params": params}).encode(x)
        return Posterior(found.mu_a, found.logvar_a, found.mu_b, found.logvar_b)

    def embed_a(params: Params, x: jax.Array) -> Points:
        vae = model.bind({"params": params})
        found = vae.encode(x)
        ball, _ = vae.project(found.mu_a, found.mu_b)
        return Points(ball.z, ball.c)

    def embed_b(params: Params, x: jax.Array) -> Points:
        vae = model.bind({"params": params})
        found = vae.encode(x)
        _, ball = vae.project(found.mu_a, found.mu_b)
        return Points(ball.z, ball.c)

    def decode_ball(params: Params, z: jax.Array) -> jax.Array:
        return model.bind({"params": params}).decode_points(z)

    def decode_latent(params: Params, z: jax.Array) -> jax.Array:
        return model.bind({"params": params}).decode(z)

    def prior(params: Params, key: jax.Array, n: int) -> jax.Array:
        z = jax.random.normal(key, (n, latent_dim))
        if not model.decode_ball:
            return z
        return model.bind({"params": params}).project(z, z)[0].z

    def measure(params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        del key, recorded
        return evaluation.measure(model, params, noise=None)

    decoders = {BALL: {"a": decode_ball}, LATENT: {"a": decode_latent}}
    first = BALL if model.decode_ball else LATENT
    return Views(
        n_digits=ternary.N_DIGITS,
        latent_dim=latent_dim,
        encode=encode,
        embed={"a": embed_a, "b": embed_b},
        decode={first: decoders[first]} | decoders,
        prior=prior,
        measure=measure,
    )
