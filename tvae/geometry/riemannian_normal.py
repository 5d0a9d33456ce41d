r"""The radial law of the Riemannian normal distribution: normaliser and samples.

The density with respect to the volume, :math:`e^{-d(x, \mu)^2 / 2\sigma^2} / Z`, is the one of
largest entropy for its mean square distance. Z and the law of the distance depend on
:math:`\sigma`, the dimension and the curvature only:

.. math:: Z = \int_0^\infty e^{-r^2 / 2\sigma^2}\,\omega_d
          \Big(\frac{\sinh \sqrt c\,r}{\sqrt c}\Big)^{d-1} dr.

The closed form of Z, a sum of alternating signs (Mathieu et al. 2019, appendix B.4), cancels in
float32 from four dimensions on; the quadrature here does not.

Source: Pennec, *Intrinsic statistics on Riemannian manifolds* (2006); Said et al., *Riemannian
Gaussian distributions on the space of symmetric positive definite matrices* (2017); Mathieu et al.,
*Continuous hierarchical representations with Poincaré variational auto-encoders* (2019).
"""

import functools

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from tvae.geometry import radial_quadrature
from tvae.geometry.gyrovectors import Curvature

_GRID = 512


def log_radial_weight(
    radius: jax.Array, scale: jax.Array, *, dimension: int, c: Curvature
) -> jax.Array:
    """Log-density of the distance to the mean, without its constant ``-log Z``.

    >>> one = jnp.float32(1.0)
    >>> round(float(log_radial_weight(one, one, dimension=1, c=1.0)), 4)  # log 2 - 1/2
    0.1931
    """
    area = radial_quadrature.log_sphere_area(radius, dimension=dimension, c=c)
    return area - 0.5 * jnp.square(radius / scale)


def mode_of_radius(scale: jax.Array, *, dimension: int, c: Curvature) -> jax.Array:
    r"""Most likely distance to the mean, where :math:`r = (d-1)\sqrt c\,\sigma^2\coth \sqrt c\,r`.

    Newton's method from a lower bound; from there it only rises. Of ``scale`` of any shape, whose
    gradient is not needed where this is used and is not passed on.

    >>> r = mode_of_radius(jnp.float32(1.0), dimension=3, c=1.0)
    >>> round(float(r * jnp.tanh(r)), 4)
    2.0
    """
    if dimension == 1:
        return jnp.zeros_like(scale)
    root, scale = jnp.sqrt(c), jax.lax.stop_gradient(scale)
    pull = (dimension - 1) * root * jnp.square(scale)
    radius = jnp.maximum(pull, jnp.sqrt(pull / root))
    for _ in range(5):
        coth = 1.0 / jnp.tanh(root * radius)
        slope = 1.0 + pull * root * (jnp.square(coth) - 1.0)
        radius += (pull * coth - radius) / slope
    return radius


@functools.partial(jax.jit, static_argnames="dimension")
def log_normalizer(scale: jax.Array, *, dimension: int, c: Curvature) -> jax.Array:
    r"""Log of the normaliser Z, of the shape of ``scale``, to float rounding.

    Its derivative by :math:`\sigma` is the mean square distance over :math:`\sigma^3`.

    Args:
      scale: σ ``(...)``, hyperbolic length.
      dimension: of the space (static).
      c: curvature magnitude.

    >>> round(float(log_normalizer(jnp.float32(0.01), dimension=2, c=1.0)), 4)  # log 2πσ² = -7.3725
    -7.372...
    """
    mode = mode_of_radius(scale, dimension=dimension, c=c)
    radius, log_weight = radial_quadrature.radii(mode, scale)
    value = log_radial_weight(radius, scale[..., None], dimension=dimension, c=c)
    return logsumexp(value + log_weight, axis=-1)


@functools.partial(jax.jit, static_argnames=("n_samples", "dimension"))
def sample_radius(
    key: jax.Array, scale: jax.Array, *, n_samples: int, dimension: int, c: Curvature
) -> jax.Array:
    r"""Distances to the mean by inversion of their distribution function, reparameterised.

    The quantile of a uniform number is read off a table; its gradients are those of the exact
    quantile function, :math:`\partial r = -\partial F(r) / f(r)`.

    Args:
      key: random key.
      scale: σ ``(n,)``, hyperbolic length.
      n_samples: of each row (static).
      dimension: of the space (static).
      c: curvature magnitude.

    Returns:
      ``(n, n_samples)``, hyperbolic length.

    >>> scale = jnp.full((1,), 0.5)
    >>> r = sample_radius(jax.random.key(0), scale, n_samples=1000, dimension=1, c=1.0)
    >>> bool(jnp.abs((r**2).mean() - 0.25) < 0.03)
    True
    """
    uniform = jax.random.uniform(key, (*scale.shape, n_samples), scale.dtype)
    return _quantile(uniform, scale, dimension=dimension, c=c)


def _quantile(uniform: jax.Array, scale: jax.Array, *, dimension: int, c: Curvature) -> jax.Array:
    """Quantiles ``(n, n_samples)`` of the distance for probabilities of that shape."""
    low, high = _support(scale, dimension=dimension, c=c)
    grid = jnp.linspace(low, high, _GRID + 1, axis=-1)
    inner = jnp.maximum(grid, 0.5 * grid[..., 1:2])  # the law vanishes at 0, its log is infinite
    log_density = log_radial_weight(inner, scale[..., None], dimension=dimension, c=c)
    density = jnp.exp(log_density - log_density.max(-1, keepdims=True))
    mass = jnp.cumsum(0.5 * (density[..., 1:] + density[..., :-1]), -1)
    total = jnp.pad(mass / mass[..., -1:], ((0, 0), (1, 0)))
    radius = jax.lax.stop_gradient(jax.vmap(jnp.interp)(uniform, total, grid))
    return radius + _implicit(radius, scale, dimension=dimension, c=c)


def _support(scale: jax.Array, *, dimension: int, c: Curvature) -> tuple[jax.Array, jax.Array]:
    """Radii between which the law lies."""
    mode = mode_of_radius(scale, dimension=dimension, c=c)
    reach = radial_quadrature.REACH * jax.lax.stop_gradient(scale)
    return jnp.maximum(mode - reach, 0.0), mode + reach


def _implicit(radius: jax.Array, scale: jax.Array, *, dimension: int, c: Curvature) -> jax.Array:
    """0, with the gradient that quantiles ``(n, m)`` have by scale and curvature.

    The logarithm of the smaller tail is differentiated, whose rounding error is relative.
    """
    low, high = (x[:, None] for x in _support(scale, dimension=dimension, c=c))
    upper = radius > mode_of_radius(scale, dimension=dimension, c=c)[:, None]
    start = jnp.where(upper, radius, low)
    width = jnp.maximum(jnp.where(upper, high, radius) - start, 1e-6 * (high - low))
    nodes, weights = (
        jnp.asarray(x, radius.dtype)[None, None, :]
        for x in radial_quadrature.legendre(radial_quadrature.N_ANGLES)
    )
    at = start[..., None] + width[..., None] * nodes

    def log_weight(r: jax.Array) -> jax.Array:
        sigma = scale.reshape(-1, *[1] * (r.ndim - 1))
        return log_radial_weight(r, sigma, dimension=dimension, c=c)

    tail = logsumexp(log_weight(at) + jnp.log(weights), axis=-1) + jnp.log(width)
    share = tail - log_normalizer(scale, dimension=dimension, c=c)[:, None]
    hazard = jnp.exp(tail - log_weight(jnp.maximum(radius, 1e-6 * high)))
    moved = jnp.where(upper, 1.0, -1.0) * jax.lax.stop_gradient(hazard) * share
    return moved - jax.lax.stop_gradient(moved)
