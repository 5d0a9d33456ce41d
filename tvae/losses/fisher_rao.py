r"""Losses in the information geometry of diagonal Gaussians and Laplace distributions.

The Fisher metric of a family of distributions makes it a Riemannian manifold. One Gaussian
dimension is a hyperbolic plane, of metric :math:`(d\mu^2 + 2 d\sigma^2)/\sigma^2`; one Laplace
dimension too, :math:`(d\mu^2 + db^2)/b^2`; independent dimensions are a product of planes.

Source: Atkinson and Mitchell, *Rao's distance measure* (1981); Costa, Santos and Strapasson,
*Fisher information distance: a geometrical reading* (2015).
"""

import math

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above, at_least, one_of, within
from tvae.geometry import numerics
from tvae.losses.blocks import mean_over_pairs
from tvae.losses.divergence import gaussian_kl_between
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import Block, Pairs, distinct, ends
from tvae.losses.registry import term

# Smallest variance between two of the local form, which divides by it.
_SMALLEST_VARIANCE = 1e-8


def gaussian_distance(
    mu: jax.Array, logvar: jax.Array, other_mu: jax.Array, other_logvar: jax.Array
) -> jax.Array:
    r"""Fisher-Rao distance of diagonal Gaussians, in closed form.

    .. math:: \sqrt{\sum_j 2\,\mathrm{arcosh}^2\Big(1 +
              \frac{(\mu - \mu')^2 + 2(\sigma - \sigma')^2}{4\sigma\sigma'}\Big)}

    Args:
      mu: ``(..., d)``; all four arrays broadcast at one rank.
      logvar: :math:`\ln \sigma^2`.
      other_mu: :math:`\mu'`.
      other_logvar: :math:`\ln \sigma'^2`.

    Returns:
      ``(...)``, 1; gradient 0 where the two are equal.

    Source: Costa et al. (2015), equation 10.

    >>> mu, logvar = jnp.asarray([[0.0], [3.0]]), jnp.asarray([[0.0], [2.0]])
    >>> round(float(gaussian_distance(mu[0], logvar[0], mu[1], logvar[1])), 3)
    2.133
    """
    return _half_plane_distance(mu - other_mu, logvar, other_logvar, math.sqrt(2.0))


def laplace_distance(
    mu: jax.Array, logvar: jax.Array, other_mu: jax.Array, other_logvar: jax.Array
) -> jax.Array:
    r"""Fisher-Rao distance of independent Laplace distributions, in closed form.

    .. math:: \sqrt{\sum_j \mathrm{arcosh}^2\Big(1 +
              \frac{(\mu - \mu')^2 + (b - b')^2}{2 b b'}\Big)}, \quad \sigma^2 = 2 b^2

    Args and result as of :func:`gaussian_distance`.

    >>> zero = jnp.zeros(1)
    >>> round(float(laplace_distance(zero, zero, zero, zero + 2.0)), 4)  # |log b - log b'|
    1.0
    """
    # b = σ / √2: lengths in units of b are √2 times those in units of σ.
    return _half_plane_distance(math.sqrt(2.0) * (mu - other_mu), logvar, other_logvar, 1.0)


def _half_plane_distance(
    difference: jax.Array, logvar: jax.Array, other_logvar: jax.Array, scale: float
) -> jax.Array:
    """Norm over planes of ``scale arcosh(1 + 2 q)``, with means in units of ``scale σ``."""
    # arcosh(1 + 2q) = 2 arsinh √q: the slope of the left side is infinite at 0.
    across = jnp.square(difference / (2.0 * scale)) * jnp.exp(-0.5 * (logvar + other_logvar))
    q = across + jnp.square(jnp.sinh(0.25 * (logvar - other_logvar)))
    return 2.0 * scale * _root((q * jnp.square(numerics.arsinh_ratio(q))).sum(-1))


def _root(square: jax.Array) -> jax.Array:
    """Square root with gradient 0 at 0."""
    positive = square > jnp.finfo(square.dtype).tiny
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def local_gaussian_distance(
    mu: jax.Array, logvar: jax.Array, other_mu: jax.Array, other_logvar: jax.Array
) -> jax.Array:
    r"""The Fisher metric of Gaussians at the geometric mean of the variances, as a distance.

    .. math:: \sqrt{\sum_j \frac{(\mu - \mu')^2}{\sigma\sigma'}
              + \tfrac12 (\ln\sigma^2 - \ln\sigma'^2)^2}

    Equals :func:`gaussian_distance` between near distributions and where the means are equal, and
    exceeds it else: 2.305 for 2.133 in the example there.

    Args and result as of :func:`gaussian_distance`. Source: the reference system's
    FisherRaoDistance.

    >>> mu, logvar = jnp.asarray([[0.0], [3.0]]), jnp.asarray([[0.0], [2.0]])
    >>> round(float(local_gaussian_distance(mu[0], logvar[0], mu[1], logvar[1])), 3)
    2.305
    """
    variance = jnp.maximum(jnp.exp(0.5 * (logvar + other_logvar)), _SMALLEST_VARIANCE)
    squares = jnp.square(mu - other_mu) / variance + 0.5 * jnp.square(logvar - other_logvar)
    return _root(squares.sum(-1))


def local_laplace_distance(
    mu: jax.Array, logvar: jax.Array, other_mu: jax.Array, other_logvar: jax.Array
) -> jax.Array:
    r"""The reference system's distance of Laplace distributions, which doubles the scales' part.

    .. math:: \sqrt{\sum_j \frac{2 (\mu - \mu')^2}{\sigma\sigma'}
              + \tfrac12 (\ln\sigma^2 - \ln\sigma'^2)^2}

    The metric has :math:`\tfrac14` in place of the last :math:`\tfrac12`; for comparisons only.

    Args and result as of :func:`gaussian_distance`. Source: the reference system's
    FisherRaoDistance.

    >>> zero = jnp.zeros(1)
    >>> round(float(local_laplace_distance(zero, zero, zero, zero + 2.0)), 4)
    1.4142
    """
    variance = jnp.exp(0.5 * (logvar + other_logvar))
    squares = 2.0 * jnp.square(mu - other_mu) / variance + 0.5 * jnp.square(logvar - other_logvar)
    return _root(squares.sum(-1))


DISTANCES = {
    "gaussian": gaussian_distance,
    "laplace": laplace_distance,
    "local gaussian": local_gaussian_distance,
    "local laplace": local_laplace_distance,
}
"""Fisher-Rao distances by name: exact in closed form, or the metric at one place ("local")."""

_FAMILY = (one_of(*DISTANCES), "distance of two posteriors")


@term(
    "fisher_rao_prior",
    unit="1",
    source="Costa et al. 2015, equation 10",
    per="item",
    options={"family": _FAMILY},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    was={"FisherRaoDistance": "corrected", "FisherRaoLoss": "corrected"},
)
def fisher_rao_prior(mu: jax.Array, logvar: jax.Array, *, family: str = "gaussian") -> jax.Array:
    """Fisher-Rao distance of each posterior from the standard prior, N(0, 1) in each dimension.

    Args:
      mu: ``(n, d)``.
      logvar: ``(n, d)``.
      family: a name of :data:`DISTANCES` (static).

    Returns:
      ``(n,)``; it grows with the logarithm of mean and scale, where the KL divergence grows with
      their squares.

    >>> fisher_rao_prior(jnp.zeros((1, 2)), jnp.full((1, 2), 2.0)).round(4).tolist()  # 2 |log σ|
    [2.0]
    """
    chex.assert_equal_shape([mu, logvar])
    zero = jnp.zeros_like(mu)
    return DISTANCES[family](mu, logvar, zero, zero)


@term(
    "fisher_rao_spread",
    unit="1",
    source="the reference system's FisherRaoLoss, on exact distances",
    options={
        "family": _FAMILY,
        "target": (above(0.0), "wanted distance of two posteriors, by the square root of d"),
    },
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    was={"FisherRaoLoss": "corrected"},
)
def fisher_rao_spread(
    mu: jax.Array,
    logvar: jax.Array,
    pairs: Pairs | None = None,
    where: jax.Array | None = None,
    *,
    family: str = "gaussian",
    target: Numeric = 1.0,
) -> jax.Array:
    r"""Mean squared difference of the distances of pairs of posteriors from one wanted distance.

    .. math:: \overline{\big(d(q_i, q_j) - t \sqrt d\big)^2}

    One target for all pairs spreads posteriors like the corners of a simplex, whatever they encode.

    Args:
      mu: ``(n, d)``.
      logvar: ``(n, d)``.
      pairs: sampled pairs, or None for all.
      where: bool ``(n,)``, rows that count.
      family: a name of :data:`DISTANCES` (static).
      target: t.

    Returns:
      A scalar, 0 where no pair counts.

    >>> zeros = jnp.zeros((2, 4))
    >>> float(fisher_rao_spread(zeros, zeros))  # (0 - sqrt 4)^2
    4.0
    """
    chex.assert_equal_shape([mu, logvar])
    wanted = target * math.sqrt(mu.shape[-1])

    def penalty(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        i, j = ends(jnp.arange(len(mu)), pairs)
        length = DISTANCES[family](mu[i], logvar[i], mu[j], logvar[j])
        return jnp.square(length - wanted), distinct(len(mu), pairs, where)

    return mean_over_pairs(penalty, len(mu), pairs, width=mu.shape[-1])


@term(
    "variance_range",
    unit="1",
    source="the reference system's FisherRaoLoss, its curvature penalty",
    per="item",
    options={
        "least": (at_least(0.0), "variance below which a posterior is pushed up"),
        "largest": (above(0.0), "variance above which a posterior is pushed down"),
    },
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    was={"FisherRaoLoss": "same"},
)
def variance_range(
    logvar: jax.Array, *, least: Numeric = 1e-6, largest: Numeric = 10.0
) -> jax.Array:
    r"""Soft penalty on variances outside a range, mean over dimensions.

    .. math:: \ln(1 + e^{a - \sigma^2}) + \ln(1 + e^{\sigma^2 - b})

    Args:
      logvar: ``(n, d)``.
      least: a.
      largest: b.

    Returns:
      ``(n,)``, never 0: half a unit from either end it still pays half.

    >>> round(float(variance_range(jnp.zeros((1, 3)), least=1.0, largest=1.0)[0]), 4)  # 2 ln 2
    1.3863
    """
    variance = jnp.exp(logvar)
    return (jax.nn.softplus(least - variance) + jax.nn.softplus(variance - largest)).mean(-1)


@term(
    "fisher_kl",
    unit="nats",
    source="the reference system's FisherRaoKL, with the logarithm's sign of the KL divergence",
    per="item",
    options={"alpha": (within(0.0, 1.0), "share of the Fisher form, 0 = the KL divergence")},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    was={"FisherRaoKL": "corrected"},
)
def fisher_kl(
    mu: jax.Array,
    logvar: jax.Array,
    prior_mu: jax.Array | None = None,
    prior_logvar: jax.Array | None = None,
    *,
    alpha: Numeric = 1.0,
) -> jax.Array:
    r"""A blend of the KL divergence and its form with the means in the posterior's Fisher metric.

    .. math:: (1 - \alpha)\,\mathrm{KL} + \alpha \sum_j \Big[\frac{(\mu - \mu_0)^2}{\sigma^2}
              + \frac{\sigma^2}{\sigma_0^2} - 1 - \ln\frac{\sigma^2}{\sigma_0^2}\Big]

    Both are 0 at the prior only. The reference system adds the logarithm: its form has no least
    value, and rewards variances that vanish.

    Args:
      mu: ``(n, d)``.
      logvar: ``(n, d)``.
      prior_mu: :math:`\mu_0` ``(n, d)``; None = 0.
      prior_logvar: :math:`\ln\sigma_0^2` ``(n, d)``; None = 0.
      alpha: :math:`\alpha`.

    Returns:
      ``(n,)``, nats.

    >>> round(float(fisher_kl(jnp.ones((1, 1)), jnp.zeros((1, 1)), alpha=0.5)[0]), 4)  # (1/2 + 1)/2
    0.75
    """
    prior_mu = jnp.zeros_like(mu) if prior_mu is None else prior_mu
    prior_logvar = jnp.zeros_like(mu) if prior_logvar is None else prior_logvar
    chex.assert_equal_shape([mu, logvar, prior_mu, prior_logvar])
    kl = gaussian_kl_between(mu, logvar, prior_mu, prior_logvar)
    means = jnp.square(mu - prior_mu) * jnp.exp(-logvar)
    ratio = logvar - prior_logvar
    fisher = means + jnp.expm1(ratio) - ratio
    return ((1.0 - alpha) * kl + alpha * fisher).sum(-1)


@term(
    "natural_gradient",
    unit="1",
    source="the reference system's NaturalGradientRegularizer",
    options={
        "condition_number": (above(0.0), "largest ratio of a row's variances without penalty"),
        "least_variance": (at_least(0.0), "variance below which there is one"),
        "diversity": (at_least(0.0), "weight of the log-determinant of the means' covariance"),
    },
    invariances=("permutation",),
    was={"NaturalGradientRegularizer": "same"},
)
def natural_gradient(
    mu: jax.Array,
    logvar: jax.Array,
    where: jax.Array | None = None,
    *,
    condition_number: Numeric = 10.0,
    least_variance: Numeric = 0.01,
    diversity: Numeric = 0.1,
) -> jax.Array:
    r"""Keeps the Fisher information of posteriors well conditioned.

    .. math:: \overline{[\max_j \ln\sigma_j^2 - \min_j \ln\sigma_j^2 - \ln k]_+}
              + \overline{[s - \sigma^2]_+} - w \ln\det(\mathrm{cov}\,\mu + 0.01\,I)

    The last part is 0 for fewer than two rows. It has no least value: means that move apart lower
    it for ever, so that ``diversity`` needs a KL divergence against it.

    Args:
      mu: ``(n, d)``.
      logvar: ``(n, d)``.
      where: bool ``(n,)``, rows that count.
      condition_number: k.
      least_variance: s.
      diversity: w.

    Returns:
      A scalar.

    >>> logvar = jnp.asarray([[0.0, math.log(20.0)]])
    >>> round(float(natural_gradient(jnp.zeros((1, 2)), logvar)), 4)  # ln 2
    0.6931
    """
    chex.assert_equal_shape([mu, logvar])
    rows = jnp.ones(len(mu), bool) if where is None else where
    ratio = jax.nn.relu(logvar.max(-1) - logvar.min(-1) - jnp.log(condition_number))
    small = jax.nn.relu(least_variance - jnp.exp(logvar)).mean(-1)
    count = rows.sum().astype(mu.dtype)
    mean = jnp.where(rows[:, None], mu, 0).sum(0, keepdims=True) / jnp.maximum(count, 1)
    centred = jnp.where(rows[:, None], mu - mean, 0)
    covariance = centred.T @ centred / jnp.maximum(count - 1, 1)
    volume = jnp.linalg.slogdet(covariance + 0.01 * jnp.eye(mu.shape[-1]))[1]
    spread = jnp.where(count > 1, diversity * volume, 0.0)
    return masked_mean(ratio + small, rows) - spread
