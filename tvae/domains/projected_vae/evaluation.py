"""What is measured on a ternary VAE, over all operations; pure and jit-able.

``eval/coverage_ball`` is the honest one: the share of operations that the decoder reproduces from
A's point of the ball alone. ``eval/coverage_mu_a`` decodes the encoder's mean past the ball, which
a frozen autoencoder keeps at 1 whatever the ball holds; the original's 100 % is this one.
"""

import jax
import jax.numpy as jnp

from tvae.domains import latent_use
from tvae.domains.operations import coverage, data
from tvae.domains.operations.tree import embedding_metrics
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.engine.task import Metrics, Params
from tvae.models.projections import BallPoints

_SAMPLE_SEED = 0  # of the pairs that stand for the whole space: the same in every run


def measure(
    model: ProjectedVAE, params: Params, *, noise: tuple[jax.Array, jax.Array] | None
) -> Metrics:
    """Both coverages, and curvature and all :func:`embedding_metrics` of both embeddings.

    ``noise``, standard normal ``(19683, latent_dim)`` of A and B, measures posterior samples, as
    the reference system does; None measures the means.
    """
    vae = model.bind({"params": params})
    noise_a, noise_b = (None, None) if noise is None else noise
    outputs = vae(data.all_operations(), noise_a=noise_a, noise_b=noise_b)
    from_mu = vae.decode(outputs.latents.mu_a)
    from_ball = outputs.logits_a if model.decode_ball else vae.decode_points(outputs.ball_a.z)
    metrics = {
        "eval/coverage_mu_a": coverage.share(coverage.exact_operations(from_mu)),
        "eval/coverage_ball": coverage.share(coverage.exact_operations(from_ball)),
    }

    def measure_ball(ball: BallPoints) -> Metrics:
        # A fresh key of the same seed: both embeddings are measured on the same pairs.
        measured = embedding_metrics(ball.z, jax.random.key(_SAMPLE_SEED), c=ball.c)
        return {"curvature": ball.c} | measured

    # One after the other by one program: compiling it costs as much as measuring ten times.
    balls = jax.tree.map(lambda *leaves: jnp.stack(leaves), outputs.ball_a, outputs.ball_b)
    for name, values in jax.lax.map(measure_ball, balls).items():
        metrics |= {f"eval/{name}_a": values[0], f"eval/{name}_b": values[1]}
    return metrics


def use_of_latents(model: ProjectedVAE, params: Params) -> Metrics:
    """``latent/*`` of both encoders' posteriors over all operations."""
    posterior = model.bind({"params": params}).encode(data.all_operations())
    return latent_use.measure(posterior.by_encoder())


def everything(model: ProjectedVAE, params: Params) -> Metrics:
    """The final evaluation, from the means: :func:`measure` and :func:`use_of_latents`."""
    return measure(model, params, noise=None) | use_of_latents(model, params)
