r"""The gyrovector space of the Poincaré ball: addition, scalar product and gyration.

The algebra beneath :mod:`tvae.geometry.poincare`, which holds the conventions and the sources.
The formulas are written in the gap :math:`g_x = 1 - c\|x\|^2` and in sums of points, so that
nothing cancels where points are opposite or approach the boundary; they equal the textbook forms.
"""

import jax
import jax.numpy as jnp

from tvae.geometry import numerics

Curvature = jax.Array | float
"""Curvature magnitude ``c > 0`` of a ball of curvature ``-c``, a scalar."""


def gap(x: jax.Array, c: Curvature) -> jax.Array:
    """``1 - c‖x‖²`` with the last axis kept, at least ``min_gap``."""
    gap = 1.0 - c * numerics.squared_norm(x, keepdims=True)
    return jnp.maximum(gap, numerics.guards(x.dtype).min_gap)


def dot(x: jax.Array, y: jax.Array) -> jax.Array:
    """Inner product along the last axis, which is kept."""
    return jnp.sum(x * y, axis=-1, keepdims=True)


def mobius_add(x: jax.Array, y: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Möbius addition of points of the same rank, not projected; ``(-x) ⊕ x`` is exactly 0.

    .. math:: x \oplus y = \frac{c\|w\|^2 x + g_x w}{c\|w\|^2 + g_x g_y}, \quad w = x + y.

    >>> mobius_add(jnp.asarray([0.5, 0.0]), jnp.asarray([-0.5, 0.0]), c=1.0).tolist()
    [0.0, 0.0]
    """
    w = x + y
    square = c * numerics.squared_norm(w, keepdims=True)
    gap_x = gap(x, c)
    return (square * x + gap_x * w) / (square + gap_x * gap(y, c))


def exp_origin(v: jax.Array, c: Curvature) -> jax.Array:
    """The exponential map at the origin without a projection."""
    return numerics.tanh_ratio(c * numerics.squared_norm(v, keepdims=True)) * v


def mobius_scale(t: jax.Array | float, x: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Möbius scalar product :math:`t \otimes x = \exp_0(t \log_0 x)` of points ``(..., d)``.

    ``t`` is a scalar, or an array that broadcasts against ``x`` at its rank.

    >>> round(float(mobius_scale(2.0, jnp.asarray([0.5, 0.0]), c=1.0)[0]), 4)
    0.8
    """
    return exp_origin(t * numerics.artanh_ratio(c * numerics.squared_norm(x, keepdims=True)) * x, c)


def gyration(x: jax.Array, y: jax.Array, v: jax.Array, *, c: Curvature) -> jax.Array:
    r"""Gyration :math:`\mathrm{gyr}[x, y] v = -(x \oplus y) \oplus (x \oplus (y \oplus v))`.

    A rotation of the vectors ``v``, linear in them; with :math:`w = x + y` and the gaps

    .. math:: v + 2c\,\frac{(c\|w\|^2\langle y, v\rangle + g_y\langle w, v\rangle)\,x
              + (g_x\langle y, v\rangle - \langle w, v\rangle)\,w}{c\|w\|^2 + g_x g_y}.

    >>> gyration(jnp.zeros(2), jnp.asarray([0.5, 0.0]), jnp.asarray([1.0, 2.0]), c=1.0).tolist()
    [1.0, 2.0]
    """
    w = x + y
    square = c * numerics.squared_norm(w, keepdims=True)
    gap_x, gap_y = gap(x, c), gap(y, c)
    along_y, along_w = dot(y, v), dot(w, v)
    turned = (square * along_y + gap_y * along_w) * x + (gap_x * along_y - along_w) * w
    return v + 2.0 * c * turned / (square + gap_x * gap_y)
