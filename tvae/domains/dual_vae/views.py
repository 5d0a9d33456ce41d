"""Views of a v5.5 model: two encoders, two decoders of latents, no ball."""

from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from tvae.domains.dual_vae import evaluation
from tvae.domains.dual_vae.module import make_model
from tvae.domains.dual_vae.task import make_split
from tvae.domains.operations.items import operation_views
from tvae.domains.views import LATENT, Posterior, Views, method_of
from tvae.engine.task import Metrics, Params


def make_views(config: ConfigDict) -> Views:
    """Views of a dual VAE; where not ``evaluation.by_split`` nothing is measured on its parts."""
    model = make_model(config)
    split = make_split(config) if config.evaluation.by_split else None

    def encode(params: Params, x: jax.Array) -> Posterior:
        found = model.bind({"params": params}).encode(x)
        return Posterior(found.mu_a, found.logvar_a, found.mu_b, found.logvar_b)

    def measure(params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        # rho, the share of the other VAE's latent in the coupled pass, is training state and not a
        # parameter, so it must be handed in.
        rho = recorded.get("eval/rho")
        return evaluation.measure(model, params, key, rho=rho, split=split)

    return Views(
        module=model,
        latent_dim=model.latent_dim,
        encode=encode,
        decode={LATENT: {"a": method_of(model, "decode_a"), "b": method_of(model, "decode_b")}},
        measure=measure,
        **operation_views(model.n_digits),
    )
