"""Use of the latent space: posterior collapse and number of informative dimensions.

The same measures for every model whose items are a finite set: see :data:`DEFINITIONS`.
"""

import math

import jax
import jax.numpy as jnp

from tvae.domains.views import Gaussians
from tvae.engine.task import Metrics
from tvae.losses import divergence
from tvae.metrics import latent
from tvae.metrics.definitions import Entry

COLLAPSED = 0.01
"""A dimension whose KL is below this, in nats, carries nothing to the decoder."""


def use(mean: jax.Array, logvar: jax.Array) -> Metrics:
    """Measures of one encoder's posteriors ``(n, latent_dim)``, by their bare names."""
    kl = divergence.gaussian_kl(mean, logvar).mean(0)
    return {
        "kl": kl.sum(),
        "kl_per_dimension": kl,
        "informed_dimensions": (kl > COLLAPSED).sum(dtype=jnp.int32),
        "active_dimensions": latent.active_dimensions(mean),
        "entropy": latent.histogram_entropy(mean, jnp.ones(mean.shape[0])),
    }


def measure(posteriors: Gaussians) -> Metrics:
    """Measure posteriors ``(n_items, latent_dim)`` in units in which the prior is standard normal.

    Returns:
      ``latent/<measure>_<encoder>`` -> scalar, or vector ``(latent_dim,)``.
    """
    return {
        f"latent/{name}_{encoder}": value
        for encoder, (mean, logvar) in posteriors.items()
        for name, value in use(mean, logvar).items()
    }


_POSTERIORS = "posteriors of all items, in units of the prior"
_FLAT = "In a ball that of the tangent Gaussians, which neglects its curvature."
_SIZE = "At most latent_dim."
_KL = Entry("KL divergence from the prior, nats", _POSTERIORS, better="neither", note=_FLAT)

DEFINITIONS = {
    "latent/kl": _KL,
    "latent/kl_per_dimension": _KL._replace(text=f"{_KL.text}, by latent dimension"),
    "latent/informed_dimensions": Entry(
        "latent dimensions with a KL above 0.01 nats: the others have collapsed",
        _POSTERIORS,
        note=_SIZE,
    ),
    "latent/active_dimensions": Entry(
        "latent dimensions whose mean has a variance above 0.01", _POSTERIORS, note=_SIZE
    ),
    "latent/entropy": Entry(
        "mean entropy of the latent dimensions' histograms over [-3, 3], nats",
        _POSTERIORS,
        math.log(latent.HISTOGRAM_BINS),
    ),
}
"""Metric key without the suffix of an encoder -> entry."""
