r"""The Poincaré ball of curvature :math:`-c`: points with :math:`\sqrt c\,\|x\| < 1`.

Points and tangent vectors are ``(..., d)``, of one dtype, float32 or float64. The curvature
magnitude ``c > 0`` is a Python float or a traced scalar; gradients reach it. Every gradient is
finite in the closed ball: at the origin, at coincident points and at the boundary.

Source: Ungar, *Analytic Hyperbolic Geometry* (2005); Ganea et al., *Hyperbolic Neural Networks*
(2018), section 2; guards after geoopt 0.5.1. Formulas: see :mod:`tvae.geometry.gyrovectors`.
"""

import jax
import jax.numpy as jnp

from tvae.geometry import gyrovectors, numerics
from tvae.geometry.gyrovectors import Curvature, gap, gyration, mobius_add, mobius_scale


def project(x: jax.Array, *, c: Curvature, max_norm: Curvature | None = None) -> jax.Array:
    r"""Pull points outside back to the outermost sphere that the dtype resolves.

    Args:
      x: ``(..., d)``; points inside are returned unchanged.
      c: curvature magnitude.
      max_norm: Euclidean norm of that sphere; by default :math:`(1-\epsilon)/\sqrt c` with
        ``ball_margin`` for :math:`\epsilon`.

    >>> project(jnp.asarray([0.0, 4.0]), c=1.0, max_norm=0.5).tolist()
    [0.0, 0.5]
    """
    if max_norm is None:
        max_norm = (1.0 - numerics.guards(x.dtype).ball_margin) / jnp.sqrt(c)
    norm = numerics.safe_norm(x, keepdims=True)
    outside = norm > max_norm
    return jnp.where(outside, x * (max_norm / jnp.where(outside, norm, 1.0)), x)


def conformal_factor(x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Conformal factor :math:`\lambda_x = 2 / (1 - c\|x\|^2)`, ``(...)``, at least 2.

    >>> float(conformal_factor(jnp.zeros(3), c=1.0))
    2.0
    """
    return 2.0 / gap(x, c)[..., 0]


def distance(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Geodesic distance ``(...)`` of points of the same rank; gradient 0 at coincident points.

    .. math:: d(x, y) = \frac{2}{\sqrt c}\,
        \mathrm{arsinh}\frac{\sqrt c\,\|x - y\|}{\sqrt{g_x g_y}}
        = \frac{2}{\sqrt c}\,\mathrm{artanh}(\sqrt c\,\|(-x) \oplus y\|).

    >>> round(float(distance(jnp.asarray([-0.5, 0.0]), jnp.asarray([0.5, 0.0]), c=1.0)), 4)
    2.1972
    """
    gaps = (gap(x, c) * gap(y, c))[..., 0]
    return _distance_of(numerics.safe_norm(x - y), gaps, c)


def _distance_of(difference: jax.Array, gaps: jax.Array, c: Curvature) -> jax.Array:
    """Distance from the Euclidean norm of a difference and the product of the two gaps."""
    root = jnp.sqrt(c)
    return 2.0 / root * jnp.arcsinh(root * difference / jnp.sqrt(gaps))


def hyperbolic_radius(x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Distance to the origin, :math:`\frac{2}{\sqrt c}\,\mathrm{artanh}(\sqrt c\,\|x\|)`.

    The gradient at the origin is 0.

    >>> round(float(hyperbolic_radius(jnp.asarray([0.0, 0.95]), c=1.0)), 4)
    3.6636
    """
    return radius_of_norm(numerics.safe_norm(x), c=c)


def radius_of_norm(euclidean_norm: jax.Array, *, c: Curvature) -> jax.Array:
    """Hyperbolic radius of points with a given Euclidean norm, any shape.

    >>> round(float(radius_of_norm(jnp.float32(0.5), c=1.0)), 4)
    1.0986
    """
    root = jnp.sqrt(c)
    return 2.0 / root * numerics.artanh(root * euclidean_norm)


def norm_of_radius(radius: jax.Array, *, c: Curvature) -> jax.Array:
    """Euclidean norm of points with a given hyperbolic radius; inverts :func:`radius_of_norm`.

    >>> round(float(norm_of_radius(jnp.float32(1.0986), c=1.0)), 4)
    0.5
    """
    root = jnp.sqrt(c)
    return jnp.tanh(root / 2.0 * radius) / root


def pairwise_lengths(x: jax.Array, y: jax.Array, *, c: Curvature) -> tuple[jax.Array, jax.Array]:
    """Euclidean and geodesic distance of every ``x`` to every ``y``, with ``(n, m)`` memory only.

    The squares of the differences are accumulated coordinate by coordinate, so that near pairs
    are as accurate as in :func:`distance`; gradients go through two matrix products.

    Args:
      x: points ``(n, d)``.
      y: points ``(m, d)``.
      c: curvature magnitude.

    Returns:
      Two ``(n, m)`` arrays; the gradient of coincident pairs is 0.
    """
    square = numerics.squared_differences(x, y)
    apart = square > jnp.finfo(square.dtype).tiny
    chord = jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)
    return chord, _distance_of(chord, gap(x, c) * gap(y, c).T, c)


def pairwise_distance(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    """Geodesic distance of every ``x`` to every ``y``: the second of :func:`pairwise_lengths`.

    >>> points = jnp.asarray([[0.0, 0.0], [0.0, 0.5]])
    >>> pairwise_distance(points, points, c=1.0).round(4).tolist()
    [[0.0, 1.098...], [1.098..., 0.0]]
    """
    return pairwise_lengths(x, y, c=c)[1]


def exp_map_origin(v: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Exponential map at the origin, :math:`\tanh(\sqrt c\,\|v\|)\,v / (\sqrt c\,\|v\|)`.

    A vector of Euclidean length ``l`` lands at hyperbolic radius ``2 l`` (the conformal factor at
    the origin is 2); projected into the ball.

    >>> exp_map_origin(jnp.asarray([0.0, 0.5493]), c=1.0).round(4).tolist()
    [0.0, 0.5]
    """
    return project(gyrovectors.exp_origin(v, c), c=c)


def log_map_origin(x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Logarithm at the origin, :math:`\mathrm{artanh}(\sqrt c\,\|x\|)\,x / (\sqrt c\,\|x\|)`.

    Its length is half the hyperbolic radius.

    >>> log_map_origin(jnp.asarray([0.0, 0.5]), c=1.0).round(4).tolist()
    [0.0, 0.549...]
    """
    return numerics.artanh_ratio(c * numerics.squared_norm(x, keepdims=True)) * x


def exp_map(x: jax.Array, v: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Exponential map :math:`\exp_x(v) = x \oplus \exp_0(\lambda_x v / 2)`, projected.

    >>> exp_map(jnp.asarray([0.5, 0.0]), jnp.zeros(2), c=1.0).tolist()
    [0.5, 0.0]
    """
    step = gyrovectors.exp_origin(v / gap(x, c), c)
    return project(mobius_add(x, step, c=c), c=c)


def log_map(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Logarithm :math:`\log_x(y) = \frac{2}{\lambda_x} \log_0((-x) \oplus y)`, a vector at ``x``.

    >>> log_map(jnp.asarray([0.5, 0.0]), jnp.asarray([0.5, 0.0]), c=1.0).tolist()
    [0.0, 0.0]
    """
    return gap(x, c) * log_map_origin(mobius_add(-x, y, c=c), c=c)


def parallel_transport(x: jax.Array, y: jax.Array, v: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Parallel transport of ``v`` from ``x`` to ``y``, which keeps its Riemannian length.

    .. math:: P_{x \to y}(v) = \frac{\lambda_x}{\lambda_y}\,\mathrm{gyr}[y, -x] v

    >>> parallel_transport(jnp.zeros(2), jnp.zeros(2), jnp.asarray([1.0, 2.0]), c=1.0).tolist()
    [1.0, 2.0]
    """
    return gyration(y, -x, v, c=c) * (gap(y, c) / gap(x, c))


def geodesic(t: jax.Array | float, x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Point at ``t`` of the geodesic from ``x`` (0) to ``y`` (1).

    .. math:: \gamma(t) = x \oplus (t \otimes ((-x) \oplus y))

    Args:
      t: any real number, or an array that broadcasts against ``x`` at its rank.
      x: points ``(..., d)``.
      y: points.
      c: curvature magnitude.

    >>> geodesic(0.0, jnp.asarray([-0.5, 0.0]), jnp.asarray([0.5, 0.0]), c=1.0).tolist()
    [-0.5, 0.0]
    """
    return mobius_add(x, mobius_scale(t, mobius_add(-x, y, c=c), c=c), c=c)


def centroids(weight: jax.Array, x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Weighted centroids of points, in closed form: Möbius gyromidpoints.

    .. math:: \tfrac12 \otimes \frac{\sum_i w_i \lambda_i x_i}{\sum_i w_i (\lambda_i - 1)}

    They minimise :math:`\sum_i w_i (\cosh \sqrt c\,d(x_i, m) - 1)` and move with the isometries of
    the ball. On the hyperboloid: the weighted sum of the points, scaled.

    Args:
      weight: ``(m, n)``, at least 0.
      x: points ``(n, d)``.
      c: curvature magnitude.

    Returns:
      ``(m, d)``; the origin where all weights are 0.

    Source: Ungar (2005), section 6.22; Law et al., *Lorentzian distance learning for hyperbolic
    representations* (2019), theorem 3.

    >>> points = jnp.asarray([[0.5, 0.0], [-0.5, 0.0], [0.5, 0.0]])
    >>> centroids(jnp.asarray([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), points, c=1.0).round(4).tolist()
    [[0.0, 0.0], [0.5, 0.0]]
    """
    factor = 2.0 / gap(x, c)
    total = weight @ (factor - 1.0)
    some = total > 0.0
    mean = (weight @ (factor * x)) / jnp.where(some, total, 1.0)
    return mean / (1.0 + jnp.sqrt(gap(mean, c)))
