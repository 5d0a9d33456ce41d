"""Use of the latent space: posterior collapse and number of informative dimensions.

The same measures for every model whose items are a finite set, from the encoders' posteriors over
all of them, in units in which the prior is the standard normal distribution. Keys, with ``_a`` and
``_b`` for the encoders:

* ``latent/kl_per_dimension``: KL from the prior, nats, mean over the items, ``(latent_dim,)``;
* ``latent/kl``: its sum;
* ``latent/informed_dimensions``: dimensions of more than :data:`COLLAPSED` nats;
* ``latent/active_dimensions``: dimensions whose mean varies (Burda et al. 2016);
* ``latent/entropy``: histogram entropy of the means (v5.5's), nats, at most ln 50.
"""

import jax
import jax.numpy as jnp

from tvae.domains.views import Gaussians
from tvae.engine.task import Metrics
from tvae.losses import divergence
from tvae.metrics import latent

COLLAPSED = 0.01
"""A dimension whose KL is below this, in nats, carries nothing to the decoder."""


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


def measure(posteriors: Gaussians) -> Metrics:
    """Measure the use of a latent space.

    Args:
      posteriors: encoder -> mean and log-variance ``(n_items, latent_dim)``, in units in which the
        prior is the standard normal distribution.

    Returns:
      ``latent/<measure>_<encoder>`` -> scalar, or vector ``(latent_dim,)``.
    """
    return {
        f"latent/{name}_{encoder}": value
        for encoder, (mean, logvar) in posteriors.items()
        for name, value in use(mean, logvar).items()
    }
