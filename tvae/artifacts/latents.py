"""How the latent space of a model is used: is its posterior collapsed, how many dimensions speak.

The same measures for every task, from the encoders' posteriors over all operations, in units in
which the prior is the standard normal distribution. Keys, with ``_a`` and ``_b`` for the encoders:

* ``latent/kl_per_dimension``: KL from the prior, nats, mean over operations, ``(latent_dim,)``;
* ``latent/kl``: its sum;
* ``latent/informed_dimensions``: dimensions of more than :data:`COLLAPSED` nats;
* ``latent/active_dimensions``: dimensions whose mean varies (Burda et al. 2016);
* ``latent/entropy``: histogram entropy of the means (v5.5's), nats, at most ln 50.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tvae.geometry import poincare
from tvae.losses import divergence
from tvae.metrics import latent
from tvae.model import Model
from tvae.training import writers
from tvae.types import UserError

COLLAPSED = 0.01
"""A dimension whose KL is below this, in nats, tells the decoder nothing."""

Gaussians = dict[str, tuple[jax.Array, jax.Array]]
"""Encoder -> mean and log-variance, ``(n_operations, latent_dim)``, prior N(0, 1)."""


def _euclidean(model: Model, index: jax.Array) -> Gaussians:
    """The encoders' own posteriors."""
    q = model.encode(index)
    found = {"a": (q.mu_a, q.logvar_a)}
    if q.mu_b is not None and q.logvar_b is not None:
        found["b"] = (q.mu_b, q.logvar_b)
    return found


def _wrapped(model: Model, index: jax.Array) -> Gaussians:
    """The wrapped normal posterior in normal coordinates at the origin, over the prior's scale.

    Its KL is that of the tangent Gaussians, which neglects the ball's curvature: good enough to
    tell a dimension that speaks from one that does not.
    """
    points, logvar = model.embed(index), model.encode(index).logvar_a
    # log_0 in the ball's coordinates is half as long as the hyperbolic length.
    mean = 2.0 * poincare.log_map_origin(points, c=model.curvature())
    if model.config is None:  # v6 cannot be loaded without
        raise UserError(f"{model.description.path}: has no configuration")
    scale = model.config.model.prior_scale
    return {"a": (mean / scale, logvar - 2.0 * jnp.log(scale))}


POSTERIORS: dict[str, Callable[[Model, jax.Array], Gaussians]] = {
    "dual_vae": _euclidean,
    "hyperbolic_vae": _wrapped,
    "ternary_vae": _euclidean,
}


@jax.jit
def _use(mean: jax.Array, logvar: jax.Array) -> dict[str, jax.Array]:
    kl = divergence.gaussian_kl(mean, logvar).mean(0)
    return {
        "kl": kl.sum(),
        "kl_per_dimension": kl,
        "informed_dimensions": (kl > COLLAPSED).sum(dtype=jnp.int32),
        "active_dimensions": latent.active_dimensions(mean),
        "entropy": latent.histogram_entropy(mean, jnp.ones(mean.shape[0])),
    }


def measure(model: Model) -> dict[str, Any]:
    """Measure the use of a model's latent space.

    Args:
      model: of any task.

    Returns:
      ``latent/<measure>_<encoder>`` -> number, or list of numbers.
    """
    index = jnp.arange(model.n_operations)
    return {
        f"latent/{name}_{encoder}": value
        for encoder, (mean, logvar) in POSTERIORS[model.task](model, index).items()
        for name, value in writers.to_plain(_use(mean, logvar)).items()
    }
