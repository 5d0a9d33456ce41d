r"""The wrapped normal distribution of the Poincaré ball: sampling, density, and a sampled KL.

A normal vector at the origin, in units of hyperbolic length, is carried to a point and wrapped
around the ball by the exponential map there. Its density with respect to the ball's volume is

.. math:: \log \mathcal N(v; 0, \Sigma) - (d - 1) \log\frac{\sinh(\sqrt c\,\|v\|)}{\sqrt c\,\|v\|}.

Source: Nagano et al., *A wrapped normal distribution on hyperbolic space* (2019), equation 9.
"""

import jax
import jax.numpy as jnp

from tvae.geometry import gyrovectors, poincare

_SMALLEST = 1e-4  # below this the logarithm of sinh(r)/r, r²/6, is 0 in float32
# Of a sample, in units of the ball's radius: hyperbolic radius 14.5, as far as float32 goes. The
# usual margin (radius 6.2) would hide the reach of wide posteriors from the KL, which then widen
# until all samples lie on that sphere.
_MAX_SAMPLE_NORM = 1.0 - 1e-6


def wrap(z: jax.Array, v: jax.Array, *, c: jax.Array) -> jax.Array:
    r"""Sample around a point: carry a tangent vector of the origin there and follow it.

    :math:`\exp_z(P_{0 \to z} v) = z \oplus \exp_0(v / 2)`: in the ball's coordinates a vector at
    the origin is half as long as its hyperbolic length.

    Args:
      z: points ``(..., d)``.
      v: vectors in an orthonormal frame, hyperbolic length, ``(..., d)``.
      c: curvature magnitude.

    Returns:
      Points ``(..., d)`` at hyperbolic distance ``‖v‖`` from ``z``, up to a hyperbolic radius of
      14.5 (for c = 1).

    >>> origin, v = jnp.zeros(2), jnp.asarray([0.0, 1.5])
    >>> round(float(poincare.hyperbolic_radius(wrap(origin, v, c=1.0), c=1.0)), 4)
    1.5
    """
    point = gyrovectors.mobius_add(z, gyrovectors.exp_origin(0.5 * v, c), c=c)
    return poincare.project(point, c=c, max_norm=_MAX_SAMPLE_NORM / jnp.sqrt(c))


def unwrap(z: jax.Array, x: jax.Array, *, c: jax.Array | float) -> jax.Array:
    r"""The vectors ``(..., d)`` that :func:`wrap` at ``z`` takes to points ``x``.

    :math:`P_{z \to 0} \log_z x`, hyperbolic length, in an orthonormal frame.

    >>> z, v = jnp.asarray([0.3, -0.2]), jnp.asarray([0.5, 0.25])
    >>> unwrap(z, wrap(z, v, c=1.0), c=1.0).round(4).tolist()
    [0.5, 0.25]
    """
    return 2.0 * poincare.log_map_origin(gyrovectors.mobius_add(-z, x, c=c), c=c)


def log_sinh_ratio(r: jax.Array) -> jax.Array:
    r""":math:`\log(\sinh r / r)` for ``r >= 0``, without overflow; below 1e-4 the gradient is 0.

    >>> [round(float(log_sinh_ratio(jnp.float32(r))), 4) for r in (0.0, 1.0, 200.0)]
    [0.0, 0.1614, 194.0085]
    """
    r = jnp.maximum(r, _SMALLEST)
    # log sinh r = r + log(1 - e^-2r) - log 2.
    return r + jnp.log(-jnp.expm1(-2.0 * r)) - jnp.log(2.0 * r)


def log_density(
    square: jax.Array,
    length: jax.Array,
    log_scale: jax.Array,
    *,
    dimension: int,
    c: jax.Array | float,
) -> jax.Array:
    r"""Log-density of a wrapped normal without its constant :math:`-\tfrac d2 \log 2\pi`.

    Args:
      square: squared length of the tangent vector in units of its standard deviations, ``(...)``.
      length: hyperbolic length of the tangent vector, ``(...)``.
      log_scale: sum over dimensions of the log standard deviations, ``(...)``.
      dimension: of the ball (static).
      c: curvature magnitude.

    Returns:
      ``(...)`` in nats.

    >>> one, zero = jnp.float32(1.0), jnp.float32(0.0)
    >>> float(log_density(one, zero, zero, dimension=16, c=1.0))
    -0.5
    """
    warp = log_sinh_ratio(jnp.sqrt(c) * length)
    return -0.5 * square - log_scale - (dimension - 1) * warp


def sampled_kl(
    noise: jax.Array,
    logvar: jax.Array,
    sample_radius: jax.Array,
    *,
    prior_scale: jax.Array | float,
    c: jax.Array,
) -> jax.Array:
    """One-sample estimate of KL(q || p) of two wrapped normals, q around a point, p at the origin.

    Args:
      noise: the tangent vector that made the sample, hyperbolic length, ``(..., d)``.
      logvar: log-variance of its entries, ``(..., d)``.
      sample_radius: hyperbolic radius of the sample, ``(...)``.
      prior_scale: standard deviation of the prior in every direction, hyperbolic length.
      c: curvature magnitude.

    Returns:
      ``(...)`` in nats; negative values are estimates too, the mean over noise is not.

    >>> noise, logvar = jnp.zeros((1, 2)), jnp.zeros((1, 2))
    >>> sampled_kl(noise, logvar, jnp.zeros(1), prior_scale=1.0, c=1.0).tolist()
    [0.0]
    """
    dimension = noise.shape[-1]
    square = (noise * noise).sum(-1)
    # The root's gradient is infinite at 0, where log_sinh_ratio's is 0: their product would be NaN.
    length = jnp.sqrt(jnp.maximum(square, _SMALLEST**2))
    scaled = (noise * noise * jnp.exp(-logvar)).sum(-1)
    posterior = log_density(scaled, length, 0.5 * logvar.sum(-1), dimension=dimension, c=c)
    scaled, log_scale = jnp.square(sample_radius / prior_scale), dimension * jnp.log(prior_scale)
    return posterior - log_density(scaled, sample_radius, log_scale, dimension=dimension, c=c)
