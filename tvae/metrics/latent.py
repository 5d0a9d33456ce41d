"""Use of a latent space: histogram entropy and active dimensions."""

import jax
import jax.numpy as jnp

HISTOGRAM_RANGE = 3.0
"""Values outside [-3, 3] are dropped from the histogram (v5.5)."""
HISTOGRAM_BINS = 50


def histogram_entropy(z: jax.Array, mask: jax.Array) -> jax.Array:
    """Entropy of each latent dimension's histogram, averaged over dimensions.

    Fifty equal bins on [-3, 3], upper edge included; values outside are dropped and the rest
    normalised. A dimension without any value in range counts as entropy 0.

    Args:
      z: latents ``(batch, latent_dim)``; no gradient passes.
      mask: ``(batch,)``, 1 for real rows and 0 for padding.

    Returns:
      Scalar in nats, at most ``ln 50 = 3.912``.

    >>> float(histogram_entropy(jnp.full((4, 2), 9.0), jnp.ones(4)))
    0.0
    """
    z = jax.lax.stop_gradient(z)
    position = (z + HISTOGRAM_RANGE) * (HISTOGRAM_BINS / (2.0 * HISTOGRAM_RANGE))
    inside = (jnp.abs(z) <= HISTOGRAM_RANGE) * mask[:, None]
    bins = jnp.clip(position.astype(jnp.int32), 0, HISTOGRAM_BINS - 1)
    member = bins[None] == jnp.arange(HISTOGRAM_BINS)[:, None, None]
    counts = (member * inside[None]).sum(1)
    share = counts / jnp.maximum(counts.sum(0, keepdims=True), 1.0)
    surprise = -jnp.log(jnp.where(share > 0, share, 1.0))
    return (share * surprise).sum(0).mean()


def active_dimensions(mu: jax.Array, *, threshold: float = 0.01) -> jax.Array:
    """Number of latent dimensions whose posterior mean varies (Burda et al. 2016, section 5.2).

    Args:
      mu: ``(n, latent_dim)``.
      threshold: a dimension is active if the variance of its mean exceeds this.
    """
    return (mu.var(0) > threshold).sum(dtype=jnp.int32)
