r"""Gaussian process of one label on sequences and on the linear predictions of all labels.

The covariance of two isolates is

.. math::

    k = h_0 x x' + h_1 s s' + h_2 e(x, x'; h_3) + h_4 e(s, s'; h_5) + h_7 z z'
        + h_8 e(z, z'; h_9) + 1, \qquad e(u, v; l) = \exp(-|u - v|^2 / 2 l^2),

and the noise has the variance :math:`h_6`. ``x`` are the features, ``s`` the same scaled by the
size of the linear model's weights, so that letters without effect fall away, and ``z`` the
standardised linear predictions of all labels, by which one label informs another.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

PRIOR_CENTRE = (0.01, 0.1, 0.5, 3.0, 0.5, 1.0, 0.1, 0.05, 0.3, 1.5)
"""Medians of the log-normal priors of h_0 to h_9."""

PRIOR_VARIANCE = 2.0
"""Variance of the logarithms, so that a factor of four is one standard deviation."""

STEPS, STEP_SIZE = 40, 0.2
"""Steps of Adam on the logarithms of the hyperparameters."""

_NOISE = 6
_LEAST_NOISE = 1e-3  # of the label's variance; float32 needs it for 2,000 near-identical rows


class Inputs(NamedTuple):
    """What the covariance sees of ``n`` isolates.

    Attributes:
      x: features ``(n, f)``.
      s: scaled features ``(n, f)``.
      z: standardised linear predictions ``(n, d)``.
    """

    x: jax.Array
    s: jax.Array
    z: jax.Array


class Products(NamedTuple):
    """Inner products and squared distances of two sets of isolates, ``(n, m)`` each."""

    inner: tuple[jax.Array, ...]
    squared: tuple[jax.Array, ...]


class GaussianProcess(NamedTuple):
    """A fitted process; rows beyond the training rows are empty.

    Attributes:
      inputs: of ``m`` rows.
      scale: ``(f,)``, of the scaled features.
      coefficients: ``(m,)``, 0 for empty rows.
      hyperparameters: logarithms ``(10,)``.
      mean: of the label.
      deviation: of the label.
    """

    inputs: Inputs
    scale: jax.Array
    coefficients: jax.Array
    hyperparameters: jax.Array
    mean: jax.Array
    deviation: jax.Array


def feature_scale(weights: jax.Array) -> jax.Array:
    """Scale ``(f,)`` of features by the sizes of their linear weights ``(f,)``, in (0.03, 1]."""
    size = jnp.abs(weights)
    return jnp.sqrt(size / jnp.maximum(size.max(), 1e-12) + 1e-3)


def products(one: Inputs, other: Inputs) -> Products:
    """Inner products and squared distances of each part of the inputs."""
    inner = tuple(u @ v.T for u, v in zip(one, other, strict=True))
    squared = tuple(
        jnp.maximum((u**2).sum(1)[:, None] + (v**2).sum(1)[None, :] - 2 * g, 0)
        for u, v, g in zip(one, other, inner, strict=True)
    )
    return Products(inner, squared)


def covariance(log_h: jax.Array, terms: Products) -> jax.Array:
    """Covariance ``(n, m)`` without noise."""
    h = jnp.exp(log_h)
    (x, s, z), (x2, s2, z2) = terms
    smooth = (h[2], x2, h[3]), (h[4], s2, h[5]), (h[8], z2, h[9])
    nonlinear = sum(size * jnp.exp(-0.5 * d2 / length**2) for size, d2, length in smooth)
    return h[0] * x + h[1] * s + h[7] * z + nonlinear + 1


def _with_noise(log_h: jax.Array, terms: Products, filled: jax.Array) -> jax.Array:
    """Covariance of training rows with noise; an empty row is independent with variance 1."""
    both = filled[:, None] & filled[None, :]
    diagonal = jnp.where(filled, jnp.exp(log_h[_NOISE]) + _LEAST_NOISE, 1.0)
    return jnp.where(both, covariance(log_h, terms), 0) + jnp.diag(diagonal)


def _negative_log_posterior(
    log_h: jax.Array, terms: Products, y: jax.Array, filled: jax.Array
) -> jax.Array:
    """Minus the log marginal likelihood and log prior of the hyperparameters, but for constants."""
    factor = jnp.linalg.cholesky(_with_noise(log_h, terms, filled))
    white = jax.scipy.linalg.solve_triangular(factor, y, lower=True)
    prior = (log_h - jnp.log(jnp.asarray(PRIOR_CENTRE))) ** 2 / (2 * PRIOR_VARIANCE)
    return 0.5 * white @ white + jnp.log(jnp.diagonal(factor)).sum() + prior.sum()


@jax.jit
def find_hyperparameters(inputs: Inputs, y: jax.Array, filled: jax.Array) -> jax.Array:
    """The most probable hyperparameters given some rows.

    Args:
      inputs: of ``m`` rows; a few hundred are enough.
      y: ``(m,)``, of mean 0 and variance 1.
      filled: bool ``(m,)``, rows that count.

    Returns:
      Logarithms ``(10,)``.
    """
    terms = products(inputs, inputs)
    y = jnp.where(filled, y, 0)
    optimizer = optax.adam(optax.cosine_decay_schedule(STEP_SIZE, STEPS))
    start = jnp.log(jnp.asarray(PRIOR_CENTRE))

    def step(state: tuple, _: None) -> tuple[tuple, None]:
        log_h, moments = state
        gradient = jax.grad(_negative_log_posterior)(log_h, terms, y, filled)
        updates, moments = optimizer.update(gradient, moments)
        moved = optax.apply_updates(log_h, updates)
        return (jnp.where(jnp.isfinite(gradient).all(), moved, log_h), moments), None

    (log_h, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), None, length=STEPS)
    return log_h


@jax.jit
def condition(log_h: jax.Array, inputs: Inputs, y: jax.Array, filled: jax.Array) -> jax.Array:
    r"""Coefficients :math:`(K + h_6 I)^{-1} y` of the process given rows.

    Args:
      log_h: logarithms of hyperparameters ``(10,)``.
      inputs: of ``m`` rows.
      y: ``(m,)``, of mean 0 and variance 1.
      filled: bool ``(m,)``, rows that count.

    Returns:
      ``(m,)``, 0 for rows that do not count.
    """
    noisy = _with_noise(log_h, products(inputs, inputs), filled)
    return jax.scipy.linalg.solve(noisy, jnp.where(filled, y, 0), assume_a="pos")


@jax.jit
def predict(process: GaussianProcess, features: jax.Array, linear: jax.Array) -> jax.Array:
    """Mean predictions, in the label's unit.

    Args:
      process: the fitted process.
      features: ``(n, f)``.
      linear: standardised linear predictions ``(n, d)``.

    Returns:
      ``(n,)``.
    """
    new = Inputs(features, features * process.scale[None, :], linear)
    covariances = covariance(process.hyperparameters, products(new, process.inputs))
    return process.mean + process.deviation * (covariances @ process.coefficients)
