"""Floating-point guards of the geometry: one table by dtype, safe norms and inverse functions.

Every function here has a finite value and a finite gradient for every finite input.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Guards(NamedTuple):
    """How close to the boundary of the unit ball a dtype may go.

    Attributes:
      ball_margin: ``1 - s‖x‖`` of the outermost point that ``poincare.project`` returns.
      artanh_margin: distance of the largest argument of :func:`artanh` from 1.
      min_gap: smallest value taken for the gap ``1 - c‖x‖²``.
      max_radius: largest ``√c`` times hyperbolic radius of a point of the hyperboloid.
    """

    ball_margin: float
    artanh_margin: float
    min_gap: float
    max_radius: float


GUARDS = {
    # 4e-3, 1e-5 and 1e-7 are those of the reference system (geoopt 0.5.1); the gaps are half an
    # ulp of 1. In float64 the reference's 1e-7 would cut distances inside the ball, 1e-15 does not.
    # Beyond radius 17 (37) rounding moves a point of the hyperboloid by more than 1.
    jnp.dtype("float32"): Guards(
        ball_margin=4e-3, artanh_margin=1e-7, min_gap=2.0**-24, max_radius=20.0
    ),
    jnp.dtype("float64"): Guards(
        ball_margin=1e-5, artanh_margin=1e-15, min_gap=2.0**-53, max_radius=40.0
    ),
}
"""The one table of epsilons; every guard of the geometry comes from it."""

# Below this square the power series of artanh(√q)/√q and tanh(√q)/√q, to their cubic term, are
# exact in float64; above it the closed forms lose nothing.
_SERIES_BELOW = 1e-4


def guards(dtype: jnp.dtype) -> Guards:
    """The guards of float32 or float64.

    Raises:
      TypeError: for any other dtype; half precision cannot resolve the ball's boundary.

    >>> guards(jnp.float32).ball_margin
    0.004
    """
    try:
        return GUARDS[jnp.dtype(dtype)]
    except KeyError:
        raise TypeError(f"the geometry needs float32 or float64, got {jnp.dtype(dtype)}") from None


def squared_norm(x: jax.Array, *, keepdims: bool = False) -> jax.Array:
    """Squared Euclidean norm along the last axis: ``(..., d)`` to ``(...)`` or ``(..., 1)``."""
    return jnp.sum(x * x, axis=-1, keepdims=keepdims)


def safe_norm(x: jax.Array, *, keepdims: bool = False) -> jax.Array:
    """Euclidean norm along the last axis, with gradient 0 instead of NaN at the origin.

    Norms below 1e-19 (float32) count as 0, because their squares underflow.

    >>> jax.grad(safe_norm)(jnp.zeros(2)).tolist()
    [0.0, 0.0]
    """
    square = squared_norm(x, keepdims=keepdims)
    positive = square > jnp.finfo(square.dtype).tiny
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def artanh(x: jax.Array) -> jax.Array:
    """Inverse hyperbolic tangent, its argument clamped to ``±(1 - artanh_margin)``.

    At most 8.3 (float32) or 17.6 (float64) in magnitude; beyond the clamp the gradient is 0.

    >>> bool(jnp.isfinite(artanh(jnp.float32(1.0))))
    True
    """
    bound = 1.0 - guards(x.dtype).artanh_margin
    return jnp.arctanh(jnp.clip(x, -bound, bound))


def artanh_ratio(q: jax.Array) -> jax.Array:
    r""":math:`\mathrm{artanh}(\sqrt q)/\sqrt q`, a smooth function of the square ``q >= 0``.

    1 at 0, with gradient 1/3 there; 1 and beyond are clamped as in :func:`artanh`.

    >>> float(artanh_ratio(jnp.float32(0.0)))
    1.0
    """
    small = q < _SERIES_BELOW
    root = jnp.sqrt(jnp.where(small, 1.0 / 4, q))
    series = 1.0 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7)))
    return jnp.where(small, series, artanh(root) / root)


def tanh_ratio(q: jax.Array) -> jax.Array:
    r""":math:`\tanh(\sqrt q)/\sqrt q`, a smooth function of ``q >= 0``; 1 with gradient -1/3 at 0.

    >>> float(tanh_ratio(jnp.float32(0.0)))
    1.0
    """
    small = q < _SERIES_BELOW
    root = jnp.sqrt(jnp.where(small, 1.0 / 4, q))
    series = 1.0 - q * (1.0 / 3 - q * (2.0 / 15 - q * (17.0 / 315)))
    return jnp.where(small, series, jnp.tanh(root) / root)


def sinh_ratio(q: jax.Array) -> jax.Array:
    r""":math:`\sinh(\sqrt q)/\sqrt q`, a smooth function of ``q >= 0``; 1 with gradient 1/6 at 0.

    The root is cut at ``max_radius``: beyond it the hyperbolic sine no longer grows.

    >>> float(sinh_ratio(jnp.float32(0.0)))
    1.0
    """
    small = q < _SERIES_BELOW
    root = jnp.sqrt(jnp.where(small, 1.0 / 4, q))
    series = 1.0 + q * (1.0 / 6 + q * (1.0 / 120 + q * (1.0 / 5040)))
    return jnp.where(small, series, jnp.sinh(jnp.minimum(root, guards(q.dtype).max_radius)) / root)


def arsinh_ratio(q: jax.Array) -> jax.Array:
    r""":math:`\mathrm{arsinh}(\sqrt q)/\sqrt q`, smooth in ``q >= 0``; 1 with gradient -1/6 at 0.

    >>> float(arsinh_ratio(jnp.float32(0.0)))
    1.0
    """
    small = q < _SERIES_BELOW
    root = jnp.sqrt(jnp.where(small, 1.0 / 4, q))
    series = 1.0 - q * (1.0 / 6 - q * (3.0 / 40 - q * (5.0 / 112)))
    return jnp.where(small, series, jnp.arcsinh(root) / root)


def _add_coordinate(
    total: jax.Array, coordinate: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, None]:
    difference = coordinate[0][:, None] - coordinate[1][None, :]
    return total + difference * difference, None


@jax.custom_jvp
def squared_differences(x: jax.Array, y: jax.Array) -> jax.Array:
    """Squared Euclidean distances ``(n, m)`` of all pairs, without cancellation."""
    zeros = jnp.zeros((x.shape[0], y.shape[0]), jnp.result_type(x, y))
    return jax.lax.scan(_add_coordinate, zeros, (x.T, y.T))[0]


@squared_differences.defjvp
def _squared_differences_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """2 ⟨x - y, ẋ - ẏ⟩ multiplied out: its transpose needs no (n, m, d) array either."""
    x, y = primals
    u, v = tangents
    own = jnp.sum(x * u, -1, keepdims=True) + jnp.sum(y * v, -1, keepdims=True).T
    return squared_differences(x, y), 2.0 * (own - x @ v.T - u @ y.T)
