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
    """

    ball_margin: float
    artanh_margin: float
    min_gap: float


GUARDS = {
    # 4e-3, 1e-5 and 1e-7 are those of the reference system (geoopt 0.5.1); the gaps are half an
    # ulp of 1. In float64 the reference's 1e-7 would cut distances inside the ball, 1e-15 does not.
    jnp.dtype("float32"): Guards(ball_margin=4e-3, artanh_margin=1e-7, min_gap=2.0**-24),
    jnp.dtype("float64"): Guards(ball_margin=1e-5, artanh_margin=1e-15, min_gap=2.0**-53),
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
