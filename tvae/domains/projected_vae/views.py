"""Views of a model of v5.11 to v5.12: two encoders, two embeddings, one decoder."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from tvae.domains.operations.items import operation_views
from tvae.domains.projected_vae import evaluation
from tvae.domains.projected_vae.base import make_model
from tvae.domains.views import BALL, LATENT, Points, Posterior, Views, method_of
from tvae.engine.task import Metrics, Params
from tvae.geometry import padic


def make_views(config: ConfigDict) -> Views:
    """Views of a projected VAE.

    The prior is the standard normal of the autoencoder's latents, carried into A's ball where the
    decoder reads the ball: these models learn no prior of the ball's own.
    """
    model = make_model(config)
    latent_dim = model.encoder.latent_dim

    def encode(params: Params, x: jax.Array) -> Posterior:
        found = model.bind({"params": params}).encode(x)
        return Posterior(found.mu_a, found.logvar_a, found.mu_b, found.logvar_b)

    def embedding(which: int) -> Callable[[Params, jax.Array], Points]:
        def embed(params: Params, x: jax.Array) -> Points:
            vae = model.bind({"params": params})
            found = vae.encode(x)
            ball = vae.project(found.mu_a, found.mu_b)[which]
            return Points(ball.z, ball.c)

        return embed

    def prior(params: Params, key: jax.Array, n: int) -> jax.Array:
        z = jax.random.normal(key, (n, latent_dim))
        if not model.decode_ball:
            return z
        return model.bind({"params": params}).project(z, z)[0].z

    def measure(params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        del key, recorded
        return jax.jit(functools.partial(evaluation.everything, model))(params)

    decoders = {
        BALL: {"a": method_of(model, "decode_points")},
        LATENT: {"a": method_of(model, "decode")},
    }
    first = BALL if model.decode_ball else LATENT
    return Views(
        module=model,
        latent_dim=latent_dim,
        encode=encode,
        embed={"a": embedding(0), "b": embedding(1)},
        decode={first: decoders[first]} | decoders,
        prior=prior,
        measure=measure,
        **operation_views(padic.N_DIGITS),
    )
