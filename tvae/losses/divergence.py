"""Divergences between the posterior and the prior."""

import jax
import jax.numpy as jnp


def gaussian_kl(mu: jax.Array, logvar: jax.Array) -> jax.Array:
    r"""KL divergence of N(mu, exp logvar) from N(0, 1) per dimension, nats, of any shape.

    .. math:: -\tfrac12 (1 + \log\sigma^2 - \mu^2 - \sigma^2)

    >>> float(gaussian_kl(jnp.asarray(2.0), jnp.asarray(0.0)))
    2.0
    """
    return -0.5 * (1.0 + logvar - mu**2 - jnp.exp(logvar))


def free_bits_kl(mu: jax.Array, logvar: jax.Array, *, free_bits: jax.Array | float) -> jax.Array:
    """KL divergence with a floor per sample and dimension, summed over dimensions.

    The floor holds for each element, not for the batch mean as in Kingma et al. 2016, eq. 15: an
    element below it adds ``free_bits`` and passes no gradient.

    Args:
      mu: ``(..., latent_dim)``.
      logvar: ``(..., latent_dim)``.
      free_bits: floor in nats; 0 or less switches it off.

    Returns:
      ``(...)``, nats, at least ``latent_dim * free_bits``.

    >>> float(free_bits_kl(jnp.zeros(16), jnp.zeros(16), free_bits=0.5))
    8.0
    """
    kl = gaussian_kl(mu, logvar)
    return jnp.where(free_bits > 0.0, jnp.maximum(kl, free_bits), kl).sum(-1)
