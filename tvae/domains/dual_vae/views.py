"""What can be asked of a v5.5 model: two encoders, two decoders of latents, no ball."""

from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from tvae.domains.dual_vae import evaluation
from tvae.domains.dual_vae.module import DualVAE
from tvae.domains.dual_vae.setup import make_split
from tvae.domains.views import LATENT, Posterior, Views
from tvae.engine.task import Metrics, Params


def make_views(model: DualVAE, config: ConfigDict | None) -> Views:
    """Views of a dual VAE.

    Args:
      model: the module.
      config: validated configuration; without it the split of the operations is unknown, and
        nothing is measured on its parts.
    """
    split = None if config is None else make_split(config)

    def encode(params: Params, x: jax.Array) -> Posterior:
        found = model.bind({"params": params}).encode(x)
        return Posterior(found.mu_a, found.logvar_a, found.mu_b, found.logvar_b)

    def decode_a(params: Params, z: jax.Array) -> jax.Array:
        return model.bind({"params": params}).decode_a(z)

    def decode_b(params: Params, z: jax.Array) -> jax.Array:
        return model.bind({"params": params}).decode_b(z)

    def prior(params: Params, key: jax.Array, n: int) -> jax.Array:
        del params
        return jax.random.normal(key, (n, model.latent_dim))

    def measure(params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        # The share of the other VAE's latent in the coupled pass is no parameter.
        rho = recorded.get("eval/rho")
        return evaluation.measure(model, params, key, rho=rho, split=split)

    return Views(
        n_digits=model.n_digits,
        latent_dim=model.latent_dim,
        encode=encode,
        embed={},
        decode={LATENT: {"a": decode_a, "b": decode_b}},
        prior=prior,
        measure=measure,
    )
