r"""The hyperboloid of curvature :math:`-c`: :math:`\langle x, x\rangle_L = -1/c` with time > 0.

The Lorentz product is :math:`\langle x, y\rangle_L = -x_0 y_0 + x_1 y_1 + \dots + x_d y_d`. A point
is ``(..., d + 1)``, its *time* ``x[..., 0]`` before its *space* ``x[..., 1:]``; so is a tangent
vector at a point, while one at the origin :math:`(1/\sqrt c, 0)` is ``(..., d)``, its space. Both
are float32 or float64; ``c > 0`` is a Python float or a traced scalar, and gradients reach it.

Time follows from space, and beyond :func:`lorentz_product` it is never read: the textbook formulas
multiply times of size :math:`e^r` and subtract, so that in float32 nothing is left of a distance at
radius 8. The formulas here equal them and keep what the coordinates resolve: radii and distances
along a ray to rounding, lengths across it to :math:`\epsilon e^r`, 1e-3 at radius 10 in float32.
A vector of length l fixes where it leads to :math:`\epsilon e^l` likewise. Points beyond
``max_radius`` (20 in float32) are pulled back to it.

Source: Nickel and Kiela, *Learning Continuous Hierarchies in the Lorentz Model* (2018), section 2;
Nagano et al., *A wrapped normal distribution on hyperbolic space* (2019), section 2.
"""

import jax
import jax.numpy as jnp

from tvae.geometry import numerics
from tvae.geometry.gyrovectors import Curvature, dot, gap


def space(x: jax.Array) -> jax.Array:
    """Space of points or vectors: ``(..., d + 1)`` to ``(..., d)``."""
    return x[..., 1:]


def lift(space: jax.Array, *, c: Curvature) -> jax.Array:
    r"""The point above a space: time :math:`\sqrt{1/c + \|s\|^2}` is put before it.

    Args:
      space: ``(..., d)``; beyond ``max_radius`` it is shortened.
      c: curvature magnitude.

    Returns:
      Points ``(..., d + 1)``.

    >>> lift(jnp.asarray([0.0, 0.75]), c=1.0).tolist()
    [1.25, 0.0, 0.75]
    """
    longest = jnp.sinh(numerics.guards(space.dtype).max_radius) / jnp.sqrt(c)
    norm = numerics.safe_norm(space, keepdims=True)
    outside = norm > longest
    space = jnp.where(outside, space * (longest / jnp.where(outside, norm, 1.0)), space)
    return jnp.concatenate([_cosh(space, c) / jnp.sqrt(c), space], axis=-1)


def _cosh(space: jax.Array, c: Curvature) -> jax.Array:
    """Time in units of the origin's, ``cosh(√c r)``; the last axis is kept."""
    return jnp.sqrt(1.0 + c * numerics.squared_norm(space, keepdims=True))


def lorentz_product(x: jax.Array, y: jax.Array) -> jax.Array:
    r"""Lorentz product ``(...)`` of points or vectors; of points :math:`-\cosh(\sqrt c\,d)/c`.

    A similarity of points, at most :math:`-1/c`. Its rounding error is that of products of times,
    :math:`\epsilon e^{2r}`: for near points of large radius see :func:`distance`.

    >>> x = lift(jnp.asarray([0.0, 0.75]), c=1.0)
    >>> float(lorentz_product(x, x))
    -1.0
    """
    return (dot(space(x), space(y)) - x[..., :1] * y[..., :1])[..., 0]


def pairwise_lorentz_product(x: jax.Array, y: jax.Array) -> jax.Array:
    """Lorentz product of every ``x`` ``(n, d + 1)`` with every ``y`` ``(m, d + 1)``: ``(n, m)``.

    >>> x = lift(jnp.asarray([[0.0, 0.75], [0.0, 0.0]]), c=1.0)
    >>> pairwise_lorentz_product(x, x).tolist()
    [[-1.0, -1.25], [-1.25, -1.0]]
    """
    return space(x) @ space(y).T - x[:, :1] * y[:, :1].T


def hyperbolic_radius(x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Distance ``(...)`` to the origin, :math:`\mathrm{arsinh}(\sqrt c\,\|s\|)/\sqrt c`.

    The gradient at the origin is 0.

    >>> round(float(hyperbolic_radius(lift(jnp.sinh(jnp.asarray([3.0])), c=1.0), c=1.0)), 4)
    3.0
    """
    root = jnp.sqrt(c)
    return jnp.arcsinh(root * numerics.safe_norm(space(x))) / root


def distance(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Geodesic distance ``(...)`` of points of the same rank; gradient 0 at coincident points.

    The law of cosines by half angles: with radii :math:`a, b` in units of :math:`1/\sqrt c`, and
    directions :math:`u, v`,

    .. math:: \sinh^2 \tfrac{\sqrt c\,d}{2}
              = \sinh^2 \tfrac{a - b}{2} + \sinh a \sinh b\,\tfrac{\|u - v\|^2}{4}.

    >>> x, y = lift(jnp.sinh(jnp.asarray([[3.0], [-2.0]])), c=1.0)
    >>> round(float(distance(x, y, c=1.0)), 4)
    5.0
    """
    x, y = space(x), space(y)
    (norm_x, u), (norm_y, v) = _polar(x), _polar(y)
    turn = numerics.squared_norm(u - v, keepdims=True)
    return _distance_of(norm_x, norm_y, turn, dot(x, y), c)[..., 0]


def pairwise_distance(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    """Geodesic distance of every ``x`` to every ``y``, with ``(n, m)`` memory only.

    Args:
      x: points ``(n, d + 1)``.
      y: points ``(m, d + 1)``.
      c: curvature magnitude.

    Returns:
      ``(n, m)``; the gradient of coincident pairs is 0.

    >>> points = lift(jnp.sinh(jnp.asarray([[3.0], [-2.0]])), c=1.0)
    >>> pairwise_distance(points, points, c=1.0).round(4).tolist()
    [[0.0, 5.0], [5.0, 0.0]]
    """
    x, y = space(x), space(y)
    (norm_x, u), (norm_y, v) = _polar(x), _polar(y)
    return _distance_of(norm_x, norm_y.T, numerics.squared_differences(u, v), x @ y.T, c)


def _polar(space: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Norms ``(..., 1)`` and directions ``(..., d)``, both 0 at the origin."""
    norm = numerics.safe_norm(space, keepdims=True)
    return norm, space / jnp.where(norm > 0.0, norm, 1.0)


def _distance_of(
    norm_x: jax.Array, norm_y: jax.Array, turn: jax.Array, inner: jax.Array, c: Curvature
) -> jax.Array:
    """Distance from norms of spaces, ``‖u - v‖²`` of their directions and their inner product."""
    root = jnp.sqrt(c)
    apart = jnp.sinh(0.5 * (jnp.arcsinh(root * norm_x) - jnp.arcsinh(root * norm_y)))
    # The origin has no direction. There the inner product, 0, provides the gradient.
    directed = (norm_x > 0.0) & (norm_y > 0.0)
    around = jnp.where(directed, 0.25 * norm_x * norm_y * turn, -0.5 * inner)
    square = jnp.square(apart) + c * around
    positive = square > jnp.finfo(square.dtype).tiny
    half = jnp.arcsinh(jnp.sqrt(jnp.where(positive, square, 1.0)))
    return jnp.where(positive, 2.0 / root * half, 0.0)


def exp_map_origin(v: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Exponential map at the origin: space :math:`\sinh(\sqrt c\,\|v\|)\,v / (\sqrt c\,\|v\|)`.

    Args:
      v: tangent vectors at the origin ``(..., d)``; their length is the hyperbolic radius.
      c: curvature magnitude.

    Returns:
      Points ``(..., d + 1)``.

    >>> exp_map_origin(jnp.asarray([0.0, 0.6931472]), c=1.0).round(4).tolist()
    [1.25, 0.0, 0.75]
    """
    return lift(numerics.sinh_ratio(c * numerics.squared_norm(v, keepdims=True)) * v, c=c)


def log_map_origin(x: jax.Array, *, c: Curvature) -> jax.Array:
    """Logarithm at the origin: the vectors ``(..., d)`` that :func:`exp_map_origin` takes to ``x``.

    >>> log_map_origin(jnp.asarray([1.25, 0.0, 0.75]), c=1.0).round(4).tolist()
    [0.0, 0.693...]
    """
    x = space(x)
    return numerics.arsinh_ratio(c * numerics.squared_norm(x, keepdims=True)) * x


def translate(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    """Move points ``y`` by the isometry that takes the origin to ``x`` along their geodesic.

    Points of the same rank; ``translate(inverse(x), x)`` is the origin exactly. It is the Möbius
    addition of the ball, which is a boost here.

    >>> x = lift(jnp.asarray([0.0, 0.75]), c=1.0)
    >>> translate(inverse(x), x, c=1.0).tolist(), translate(x, x, c=1.0).round(4).tolist()
    ([1.0, 0.0, 0.0], [2.125, 0.0, 1.875])
    """
    x, y = space(x), space(y)
    # Half the inverse gaps of the ball, (1 + cosh) / 2 = 1 / (1 - c‖p‖²), which are exact here.
    wide_x, wide_y = 0.5 * (1.0 + _cosh(x, c)), 0.5 * (1.0 + _cosh(y, c))
    p, q = 0.5 * x / wide_x, 0.5 * y / wide_y
    w = p + q
    square = c * numerics.squared_norm(w, keepdims=True)
    return lift(2.0 * wide_y * (wide_x * square * p + w), c=c)


def inverse(x: jax.Array) -> jax.Array:
    """The points opposite to ``x`` at the origin: the space changes its sign.

    >>> inverse(jnp.asarray([1.25, 0.45, 0.6])).tolist()
    [1.25, -0.449..., -0.600...]
    """
    return jnp.concatenate([x[..., :1], -space(x)], axis=-1)


def transport_from_origin(x: jax.Array, v: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Parallel transport :math:`P_{0 \to x} v` along the geodesic from the origin.

    .. math:: P_{0 \to x} v = \big(\sqrt c\,\langle s, v\rangle,\;
              v + \tfrac{c\,\langle s, v\rangle}{1 + \sqrt c\,x_0}\,s\big), \quad s = x_{1..d}.

    Args:
      x: points ``(..., d + 1)``.
      v: tangent vectors at the origin ``(..., d)``.
      c: curvature magnitude.

    Returns:
      Tangent vectors at ``x``, ``(..., d + 1)``.

    >>> transport_from_origin(jnp.asarray([1.25, 0.0, 0.75]), jnp.asarray([2.0, 1.0]), c=1.0)
    Array([0.75, 2.  , 1.25], dtype=float32)
    """
    x = space(x)
    along = dot(x, v)
    return jnp.concatenate(
        [jnp.sqrt(c) * along, v + (c * along / (1.0 + _cosh(x, c))) * x], axis=-1
    )


def transport_to_origin(x: jax.Array, u: jax.Array, *, c: Curvature) -> jax.Array:
    """Parallel transport of tangent vectors ``u`` at ``x`` to the origin: ``(..., d)``.

    The inverse of :func:`transport_from_origin`; keeps lengths and angles.

    >>> transport_to_origin(jnp.asarray([1.25, 0.0, 0.75]), jnp.asarray([0.75, 2.0, 1.25]), c=1.0)
    Array([2., 1.], dtype=float32)
    """
    x, u = space(x), space(u)
    cosh = _cosh(x, c)
    return u - (c * dot(x, u) / (cosh * (1.0 + cosh))) * x


def wrap(x: jax.Array, v: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Carry a tangent vector of the origin to a point and follow it: :math:`\exp_x(P_{0 \to x}v)`.

    The exponential map in an orthonormal frame: ``v`` has ``d`` entries, and its length is the
    distance from ``x`` to the result.

    Args:
      x: points ``(..., d + 1)``.
      v: vectors ``(..., d)`` at the origin, hyperbolic length.
      c: curvature magnitude.

    Returns:
      Points ``(..., d + 1)``.

    >>> x = lift(jnp.asarray([0.0, 0.75]), c=1.0)
    >>> y = wrap(x, jnp.asarray([0.5, 0.0]), c=1.0)
    >>> round(float(distance(x, y, c=1.0)), 4)
    0.5
    """
    return translate(x, exp_map_origin(v, c=c), c=c)


def unwrap(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    r"""The vectors ``(..., d)`` that :func:`wrap` at ``x`` takes to ``y``.

    They are :math:`P_{x \to 0} \log_x y`.

    >>> x = lift(jnp.asarray([0.0, 0.75]), c=1.0)
    >>> unwrap(x, wrap(x, jnp.asarray([0.5, 0.25]), c=1.0), c=1.0).round(4).tolist()
    [0.5, 0.25]
    """
    return log_map_origin(translate(inverse(x), y, c=c), c=c)


def exp_map(x: jax.Array, u: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Exponential map :math:`\exp_x(u)` of tangent vectors at ``x``, both ``(..., d + 1)``.

    Equals :math:`\cosh(\sqrt c\,\|u\|_L)\,x + \sinh(\sqrt c\,\|u\|_L)\,u / (\sqrt c\,\|u\|_L)`.
    The coordinates of ``u`` grow with the radius of ``x``, their rounding too: the frame of
    :func:`wrap` and :func:`unwrap` keeps ``d`` exact entries instead.

    >>> exp_map(jnp.asarray([1.0, 0.0]), jnp.asarray([0.0, 0.6931472]), c=1.0).round(4).tolist()
    [1.25, 0.75]
    """
    return wrap(x, transport_to_origin(x, u, c=c), c=c)


def log_map(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Logarithm :math:`\log_x(y)`, a tangent vector at ``x`` ``(..., d + 1)``; exactly 0 at ``x``.

    >>> log_map(jnp.asarray([1.0, 0.0]), jnp.asarray([1.25, 0.75]), c=1.0).round(4).tolist()
    [0.0, 0.693...]
    """
    return transport_from_origin(x, unwrap(x, y, c=c), c=c)


def riemannian_gradient(x: jax.Array, gradient: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Riemannian gradient at ``x`` in the frame of :func:`wrap`, from one by coordinates.

    A step of descent is ``wrap(x, -rate * riemannian_gradient(x, gradient, c=c), c=c)``.

    Args:
      x: points ``(..., d + 1)``.
      gradient: derivatives of a function by the coordinates of ``x``, ``(..., d + 1)``.
      c: curvature magnitude.

    Returns:
      Tangent vectors at the origin ``(..., d)``.

    >>> x = lift(jnp.asarray([0.0, 0.75]), c=1.0)
    >>> gradient = jax.grad(lambda x: hyperbolic_radius(x, c=1.0))(x)
    >>> riemannian_gradient(x, gradient, c=1.0).round(4).tolist()  # of length 1, outwards
    [0.0, 1.0]
    """
    time, along = gradient[..., :1], space(gradient)
    turned = transport_from_origin(x, along, c=c)
    return space(turned) + jnp.sqrt(c) * time * space(x)


def from_ball(x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Points of the Poincaré ball ``(..., d)`` on the hyperboloid of the same curvature.

    An isometry: the space is :math:`2x / (1 - c\|x\|^2)`.

    >>> from_ball(jnp.asarray([0.0, 0.5]), c=1.0).round(4).tolist()
    [1.666..., 0.0, 1.333...]
    """
    return lift(2.0 * x / gap(x, c), c=c)


def to_ball(x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Points of the hyperboloid in the Poincaré ball: :math:`x_{1..d} / (1 + \sqrt c\,x_0)`.

    The inverse of :func:`from_ball`. Near the boundary the ball's coordinates resolve radii as
    badly as the rest: to 1e-3 at radius 10 in float32, where the hyperboloid's keep 1e-6.

    >>> to_ball(jnp.asarray([1.25, 0.0, 0.75]), c=1.0).round(4).tolist()
    [0.0, 0.333...]
    """
    return space(x) / (1.0 + _cosh(space(x), c))
