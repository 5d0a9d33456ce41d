"""Views of a v6 model: one encoder, one embedding, a decoder of the ball."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.hyperbolic_vae import evaluation
from tvae.domains.hyperbolic_vae.module import HyperbolicVAE
from tvae.domains.hyperbolic_vae.task import learned_operations, make_model
from tvae.domains.operations.items import operation_views
from tvae.domains.views import BALL, Gaussians, Points, Posterior, Views, method_of
from tvae.engine.task import Metrics, Params
from tvae.geometry import padic, wrapped_normal


def make_views(config: ConfigDict) -> Views:
    """Views of a hyperbolic VAE.

    The posterior's log-variance is that of a tangent vector at the embedded point, in units of
    hyperbolic length; its mean is the latent before the projection.
    """
    model: HyperbolicVAE = make_model(config)
    scale, learned = config.model.prior_scale, learned_operations(config.data)
    latent_dim = model.encoder.latent_dim

    def encode(params: Params, x: jax.Array) -> Posterior:
        return Posterior(*model.bind({"params": params}).encoder(x))

    def embed(params: Params, x: jax.Array) -> Points:
        ball, _ = model.bind({"params": params}).embed(x)
        return Points(ball.z, ball.c)

    def posteriors(params: Params, x: jax.Array) -> Gaussians:
        return evaluation.posteriors(model, params, x, scale)

    def prior(params: Params, key: jax.Array, n: int) -> jax.Array:
        c = model.bind({"params": params}).projection.c()
        v = scale * jax.random.normal(key, (n, latent_dim))
        return wrapped_normal.wrap(jnp.zeros_like(v), v, c=c)

    def measure(params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        del recorded
        return evaluation.measure(model, params, key, learned=learned, prior_scale=scale)

    return Views(
        module=model,
        latent_dim=latent_dim,
        encode=encode,
        posteriors=posteriors,
        embed={"a": embed},
        decode={BALL: {"a": method_of(model, "decode")}},
        prior=prior,
        measure=measure,
        **operation_views(padic.N_DIGITS),
    )
