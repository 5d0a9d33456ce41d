"""What is measured on a ternary VAE, over all operations; pure and jit-able.

``eval/coverage_ball`` is the honest one: the share of operations that the decoder reproduces from
A's point of the ball alone. ``eval/coverage_mu_a`` decodes the encoder's mean past the ball, which
a frozen autoencoder keeps at 1 whatever the ball holds; the original's 100 % is this one.
"""

import jax
import jax.numpy as jnp

from tvae.domains import latent_use
from tvae.domains.operations import coverage
from tvae.domains.operations.tree import embedding_metrics
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.engine.task import Metrics, Params
from tvae.geometry import padic

_SAMPLE_SEED = 0  # of the pairs that stand for the whole space: the same in every run


def measure(
    model: ProjectedVAE,
    params: Params,
    *,
    noise: tuple[jax.Array, jax.Array] | None,
) -> Metrics:
    """Both coverages, curvatures and all measures of both embeddings.

    Args:
      model: the module.
      params: its parameters.
      noise: standard normal noise ``(19683, latent_dim)`` of A and B: measures posterior samples,
        as the original does. None measures the means.

    Returns:
      ``eval/coverage_mu_a``, ``eval/coverage_ball``, ``eval/curvature_a`` and ``_b``, and
      ``eval/<measure>_a`` and ``_b`` for every measure of
      :func:`tvae.domains.operations.tree.embedding_metrics`.
    """
    index = jnp.arange(padic.count())
    digit = padic.digits(index)
    vae = model.bind({"params": params})
    noise_a, noise_b = (None, None) if noise is None else noise
    outputs = vae(padic.values(index), noise_a=noise_a, noise_b=noise_b)
    from_mu = vae.decode(outputs.latents.mu_a)
    from_ball = outputs.logits_a if model.decode_ball else vae.decode_points(outputs.ball_a.z)
    metrics = {
        "eval/coverage_mu_a": coverage.share(coverage.exact_match(from_mu, digit)),
        "eval/coverage_ball": coverage.share(coverage.exact_match(from_ball, digit)),
    }
    for encoder, ball in (("a", outputs.ball_a), ("b", outputs.ball_b)):
        metrics[f"eval/curvature_{encoder}"] = ball.c
        # A fresh key of the same seed: both embeddings are measured on the same pairs.
        measured = embedding_metrics(ball.z, jax.random.key(_SAMPLE_SEED), c=ball.c)
        metrics |= {f"eval/{name}_{encoder}": value for name, value in measured.items()}
    return metrics


def use_of_latents(model: ProjectedVAE, params: Params) -> Metrics:
    """``latent/*`` of both encoders' posteriors over all operations."""
    q = model.bind({"params": params}).encode(padic.values(jnp.arange(padic.count())))
    return latent_use.measure({"a": (q.mu_a, q.logvar_a), "b": (q.mu_b, q.logvar_b)})


def everything(model: ProjectedVAE, params: Params) -> Metrics:
    """The final evaluation, from the means: :func:`measure` and :func:`use_of_latents`."""
    return measure(model, params, noise=None) | use_of_latents(model, params)
