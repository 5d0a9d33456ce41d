r"""Integrals over hyperbolic space of functions of one or two distances.

A density that depends on the distance r to one point integrates as a function of r against the area
of its sphere, :math:`\omega_d (\sinh(\sqrt c\,r)/\sqrt c)^{d-1}` with
:math:`\omega_d = 2\pi^{d/2}/\Gamma(d/2)`; with a second point at distance :math:`\delta`, the angle
between the two directions is needed too. Both integrals are smooth, and Gauss quadrature of a few
dozen nodes leaves errors of 1e-6, in any dimension, without samples.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from tvae.geometry.gyrovectors import Curvature
from tvae.geometry.wrapped_normal import log_sinh_ratio

N_RADII = 64
N_ANGLES = 32
# Standard deviations on either side of the mode; what lies beyond is below 1e-16.
REACH = 9.0
# Lengths beyond this in units of 1/√c add to a distance one by one: the rest is e^-40 of it.
_ASYMPTOTIC = 40.0


def log_sphere_area(radius: jax.Array, *, dimension: int, c: Curvature) -> jax.Array:
    r"""Log-area of the sphere of a hyperbolic radius, :math:`\omega_d (\sinh(√c r)/√c)^{d-1}`.

    >>> round(float(jnp.exp(log_sphere_area(jnp.float32(1.0), dimension=2, c=1.0))), 4)  # 2π sinh 1
    7.384
    """
    warp = jnp.log(radius) + log_sinh_ratio(jnp.sqrt(c) * radius)
    unit = math.log(2.0) + 0.5 * dimension * math.log(math.pi) - math.lgamma(0.5 * dimension)
    return unit + (dimension - 1) * warp


@functools.cache
def legendre(n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in (0, 1) and weights, of sum 1, of the Gauss-Legendre rule.

    >>> nodes, weights = legendre(4)
    >>> round(float((weights * nodes**7).sum()), 6)
    0.125
    """
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return 0.5 * (nodes + 1.0), 0.5 * weights


@functools.cache
def cosines(dimension: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Cosines of the angle between two directions, and weights, of sum 1, for uniform directions.

    The Gauss rule of the weight :math:`(1 - t^2)^{(d-3)/2}`, from the eigenvalues of its Jacobi
    matrix (Golub and Welsch 1969); in one dimension the cosine is 1 or -1.

    >>> t, weight = cosines(3)
    >>> round(float((weight * t**2).sum()), 6)  # 1 / d
    0.333333
    """
    if dimension == 1:
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    k, order = np.arange(1, N_ANGLES), 0.5 * (dimension - 2)
    with np.errstate(invalid="ignore"):
        square = k * (k + 2 * order - 1) / (4 * (k + order) * (k + order - 1))
    if dimension == 2:
        square[0] = 0.5  # the limit of 0 / 0
    beside = np.sqrt(square)
    nodes, vectors = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    return nodes, vectors[0] ** 2


def radii(mode: jax.Array, scale: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Nodes and log-weights of integrals over ``r > 0`` of log-concave bumps of known place.

    Args:
      mode: ``(...)`` the largest value's place, roughly.
      scale: ``(...)`` an upper bound of the standard deviation.

    Returns:
      Two arrays ``(..., N_RADII)``; gradients do not move the nodes, so that derivatives of the
      integrand become derivatives of the integral.

    >>> r, log_weight = radii(jnp.float32(2.0), jnp.float32(1.0))
    >>> bell = jnp.exp(log_weight - 0.5 * (r - 2.0) ** 2)
    >>> round(float(bell.sum()), 3)  # sqrt(2 pi) less the part below 0
    2.45
    """
    mode, scale = jax.lax.stop_gradient((mode[..., None], scale[..., None]))
    low, high = jnp.maximum(mode - REACH * scale, 0.0), mode + REACH * scale
    nodes, weights = (
        jnp.asarray(x, mode.dtype).reshape((1,) * (mode.ndim - 1) + (N_RADII,))
        for x in legendre(N_RADII)
    )
    return low + (high - low) * nodes, jnp.log((high - low) * weights)


def third_side(
    radius: jax.Array, distance: jax.Array, cosine: jax.Array, *, c: Curvature
) -> jax.Array:
    r"""Third side of a triangle with two sides and the cosine of their angle; all broadcast.

    .. math:: \sinh^2 \tfrac{\sqrt c\,s}{2} = \sinh^2\tfrac{a - b}{2}
              + \sinh a \sinh b\,\tfrac{1 - t}{2}, \quad a, b = \sqrt c\,r, \sqrt c\,\delta.

    >>> three, two, t = jnp.float32(3.0), jnp.float32(2.0), jnp.asarray([1.0, -1.0])
    >>> third_side(three[None], two[None], t, c=1.0).round(4).tolist()
    [1.0, 5.0]
    """
    root = jnp.sqrt(c)
    a, b = root * radius, root * distance
    near_a, near_b = jnp.minimum(a, _ASYMPTOTIC), jnp.minimum(b, _ASYMPTOTIC)
    square = jnp.square(jnp.sinh(0.5 * (near_a - near_b)))
    square += jnp.sinh(near_a) * jnp.sinh(near_b) * (0.5 * (1.0 - cosine))
    positive = square > jnp.finfo(square.dtype).tiny
    half = jnp.where(positive, jnp.arcsinh(jnp.sqrt(jnp.where(positive, square, 1.0))), 0.0)
    return (2.0 * half + (a - near_a) + (b - near_b)) / root
