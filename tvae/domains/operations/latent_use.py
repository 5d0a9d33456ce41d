"""How the latent space of a model is used: is its posterior collapsed, how many dimensions speak.

The same measures for every task, from the encoders' posteriors over all operations, in units in
which the prior is the standard normal distribution. Keys, with ``_a`` and ``_b`` for the encoders:

* ``latent/kl_per_dimension``: KL from the prior, nats, mean over operations, ``(latent_dim,)``;
* ``latent/kl``: its sum;
* ``latent/informed_dimensions``: dimensions of more than :data:`COLLAPSED` nats;
* ``latent/active_dimensions``: dimensions whose mean varies (Burda et al. 2016);
* ``latent/entropy``: histogram entropy of the means (v5.5's), nats, at most ln 50.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.domains.views import Views
from tvae.engine.task import Metrics, Params
from tvae.geometry import padic as ternary
from tvae.geometry import poincare
from tvae.losses import divergence
from tvae.metrics import latent

COLLAPSED = 0.01
"""A dimension whose KL is below this, in nats, tells the decoder nothing."""

Gaussians = dict[str, tuple[jax.Array, jax.Array]]
"""Encoder -> mean and log-variance, ``(n_operations, latent_dim)``, prior N(0, 1)."""


def _euclidean(views: Views, params: Params, x: jax.Array, config: ConfigDict) -> Gaussians:
    """The encoders' own posteriors."""
    del config
    q = views.encode(params, x)
    found = {"a": (q.mu_a, q.logvar_a)}
    if q.mu_b is not None and q.logvar_b is not None:
        found["b"] = (q.mu_b, q.logvar_b)
    return found


def _wrapped(views: Views, params: Params, x: jax.Array, config: ConfigDict) -> Gaussians:
    """The wrapped normal posterior in normal coordinates at the origin, over the prior's scale.

    Its KL is that of the tangent Gaussians, which neglects the ball's curvature: good enough to
    tell a dimension that speaks from one that does not.
    """
    points, logvar = views.embed["a"](params, x), views.encode(params, x).logvar_a
    # log_0 in the ball's coordinates is half as long as the hyperbolic length.
    mean = 2.0 * poincare.log_map_origin(points.z, c=points.c)
    scale = config.model.prior_scale
    return {"a": (mean / scale, logvar - 2.0 * math.log(scale))}


POSTERIORS: dict[str, Callable[[Views, Params, jax.Array, ConfigDict], Gaussians]] = {
    "dual_vae": _euclidean,
    "hyperbolic_vae": _wrapped,
    "projected_vae": _euclidean,
}


def use(mean: jax.Array, logvar: jax.Array) -> Metrics:
    """Measures of one encoder's posteriors against the standard normal prior.

    Args:
      mean: ``(n, latent_dim)``.
      logvar: the same shape.

    Returns:
      The measures of this module by their bare names.
    """
    kl = divergence.gaussian_kl(mean, logvar).mean(0)
    return {
        "kl": kl.sum(),
        "kl_per_dimension": kl,
        "informed_dimensions": (kl > COLLAPSED).sum(dtype=jnp.int32),
        "active_dimensions": latent.active_dimensions(mean),
        "entropy": latent.histogram_entropy(mean, jnp.ones(mean.shape[0])),
    }


def measure(views: Views, params: Params, config: ConfigDict) -> Metrics:
    """Measure the use of a model's latent space over all operations.

    Args:
      views: of the model.
      params: its parameters.
      config: its configuration.

    Returns:
      ``latent/<measure>_<encoder>`` -> scalar, or vector ``(latent_dim,)``; not for use inside
      ``jit``.
    """

    def measured(params: Params) -> Metrics:
        index = jnp.arange(ternary.count(n_digits=views.n_digits))
        x = ternary.values(index, n_digits=views.n_digits)
        posteriors = POSTERIORS[config.task](views, params, x, config)
        return {
            f"latent/{name}_{encoder}": value
            for encoder, (mean, logvar) in posteriors.items()
            for name, value in use(mean, logvar).items()
        }

    return jax.jit(measured)(params)
