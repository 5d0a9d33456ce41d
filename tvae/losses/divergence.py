"""Divergences between the posterior and the prior."""

import math

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import at_least
from tvae.losses.registry import term


def gaussian_kl(mu: jax.Array, logvar: jax.Array) -> jax.Array:
    r"""KL divergence of N(mu, exp logvar) from N(0, 1) per dimension, nats, of any shape.

    .. math:: -\tfrac12 (1 + \log\sigma^2 - \mu^2 - \sigma^2)

    >>> float(gaussian_kl(jnp.asarray(2.0), jnp.asarray(0.0)))
    2.0
    """
    return -0.5 * (1.0 + logvar - mu**2 - jnp.exp(logvar))


@term(
    "gaussian_kl",
    unit="nats",
    per="item",
    options={"free_bits": (at_least(0.0), "floor per sample and dimension, nats; 0 = no floor")},
    bounds=(0.0, jnp.inf),
    source="Kingma and Welling (2014), appendix B; floor: Kingma et al. (2016)",
    was={"KLDivergenceLoss": "same", "KLDivergenceLossComponent": "same"},
)
def free_bits_kl(
    mu: jax.Array, logvar: jax.Array, *, free_bits: jax.Array | float = 0.0
) -> jax.Array:
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


def gaussian_kl_between(
    mu: jax.Array, logvar: jax.Array, prior_mu: jax.Array, prior_logvar: jax.Array
) -> jax.Array:
    r"""KL divergence of two normal distributions per dimension, nats, of any one shape.

    .. math:: \tfrac12 \Big( \ln\frac{σ_0^2}{σ^2} + \frac{σ^2 + (μ - μ_0)^2}{σ_0^2} - 1 \Big)

    Args:
      mu: μ.
      logvar: ln σ².
      prior_mu: μ_0, a number or of the shape of ``mu``.
      prior_logvar: ln σ_0², likewise.

    >>> zero, one = jnp.asarray(0.0), jnp.asarray(1.0)
    >>> round(float(gaussian_kl_between(one, one, zero, one)), 4)  # 1/(2e)
    0.1839
    """
    ratio = logvar - prior_logvar
    return 0.5 * (jnp.exp(ratio) + jnp.square(mu - prior_mu) * jnp.exp(-prior_logvar) - 1 - ratio)


@term(
    "prior_kl",
    unit="nats",
    source="Kingma and Welling 2014, appendix B, for any diagonal prior",
    per="item",
    options={"free_bits": (at_least(0.0), "floor per row and dimension, nats; 0 = none")},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
)
def prior_kl(
    mu: jax.Array,
    logvar: jax.Array,
    prior_mu: jax.Array,
    prior_logvar: jax.Array,
    *,
    free_bits: Numeric = 0.0,
) -> jax.Array:
    """KL divergence of each row's posterior from its own diagonal prior, such as a learned one.

    Args:
      mu: ``(n, d)``.
      logvar: ``(n, d)``.
      prior_mu: ``(n, d)``.
      prior_logvar: ``(n, d)``.
      free_bits: floor of each row and dimension, below which no gradient passes.

    Returns:
      ``(n,)``, nats.

    >>> zeros = jnp.zeros((1, 3))
    >>> prior_kl(zeros, zeros, zeros, zeros, free_bits=0.5).tolist()
    [1.5]
    """
    chex.assert_equal_shape([mu, logvar, prior_mu, prior_logvar])
    kl = jax.nn.relu(gaussian_kl_between(mu, logvar, prior_mu, prior_logvar))  # but for rounding
    return jnp.maximum(kl, free_bits).sum(-1)


@term(
    "batch_free_bits_kl",
    unit="nats",
    source="Kingma et al. 2016, eq. 15",
    options={"free_bits": (at_least(0.0), "floor of each dimension's mean KL, nats")},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
)
def batch_free_bits_kl(
    mu: jax.Array,
    logvar: jax.Array,
    where: jax.Array | None = None,
    *,
    free_bits: Numeric = 0.25,
) -> jax.Array:
    r"""KL divergence from N(0, 1) with a floor of each dimension's mean over the batch.

    .. math:: \sum_j \max\big(λ, \overline{\mathrm{KL}_j}\big)

    Unlike :func:`free_bits_kl`, whose floor is of each row: here single rows may use a dimension
    that most do not, as long as the mean is below the floor.

    Args:
      mu: ``(n, d)``.
      logvar: ``(n, d)``.
      where: bool ``(n,)``, rows that count.
      free_bits: λ.

    Returns:
      A scalar, nats, at least d λ.

    >>> mu = jnp.asarray([[2.0, 0.0], [0.0, 0.0]])  # means 1 and 0
    >>> float(batch_free_bits_kl(mu, jnp.zeros((2, 2)), free_bits=0.5))
    1.5
    """
    chex.assert_equal_shape([mu, logvar])
    rows = jnp.ones(len(mu), bool) if where is None else where
    kl = jnp.where(rows[:, None], gaussian_kl(mu, logvar), 0).sum(0)
    mean = kl / jnp.maximum(rows.sum(), 1).astype(kl.dtype)
    return jnp.maximum(mean, free_bits).sum()
