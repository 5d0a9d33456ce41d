r"""Three geometries of one table: hyperboloid, Poincaré ball and Euclidean space.

A row of the table is a point in coordinates of its geometry: normal coordinates at the origin for
"lorentz" (hyperbolic radius times direction), a point of the unit ball for "poincare", itself for
"euclidean". All have curvature -1 here; distances are divided by :math:`\sqrt c` where they leave.

For distances, points of both curved geometries go to the ball, with the factor
:math:`f = \cosh^2(r/2) = 1/(1 - \|p\|^2)` beside them, which in float32 ``p`` does not determine:

.. math:: \cosh d - 1 = 2 f_x f_y \|p_x - p_y\|^2.

No term cancels, so that distances of near points are resolved to :math:`\epsilon e^r`: 0.005 at
radius 12, 0.04 at 14. The Lorentz product :math:`x_0 y_0 - \langle x, y\rangle` loses
:math:`\epsilon e^{2r}`, everything below distance 1 from radius 8 on.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tvae.engine.frames import Surface, flat_surface
from tvae.geometry import numerics, poincare, wrapped_normal

_NEAREST = 1e-12
"""Smallest excess or squared distance whose root is taken: its derivative stays finite."""

_SMALL = 1e-3
"""Radius or length below which sinh x is x, to 2e-7 of it."""
_TINY = 1e-12
"""Radius of the origin, where a direction is needed."""


class Placed(NamedTuple):
    r"""Points ready for distances.

    Attributes:
      point: ``(..., d)``, of the unit ball or of Euclidean space.
      factor: ``(..., 1)``, :math:`\cosh^2(r/2)`; 1 in Euclidean space.
    """

    point: jax.Array
    factor: jax.Array


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What a row of the table is.

    Attributes:
      curved: whether distances are hyperbolic.
      place: rows ``(..., d)`` -> :class:`Placed`.
      from_tangent: tangent vectors at the origin ``(..., d)``, hyperbolic length -> rows.
      to_tangent: rows -> such vectors.
      surface: largest radius -> how the optimizer moves rows.
    """

    curved: bool
    place: Callable[[jax.Array], Placed]
    from_tangent: Callable[[jax.Array], jax.Array]
    to_tangent: Callable[[jax.Array], jax.Array]
    surface: Callable[[float], Surface]

    def key(self, x: Placed, y: Placed) -> jax.Array:
        """A number that grows with the distance of each ``x`` to each ``y``, ``(n, m)``.

        It orders distances to one ``x``, and holds no root and no logarithm.
        """
        return numerics.squared_differences(x.point, y.point) * y.factor.T

    def pairwise(self, x: Placed, y: Placed) -> jax.Array:
        """Distances ``(n, m)`` of every ``x`` to every ``y``, for curvature -1."""
        return self._of_key(self.key(x, y), x.factor)

    def distance(self, x: Placed, y: Placed) -> jax.Array:
        """Distances ``(...)`` of points of the same rank, for curvature -1.

        >>> lorentz = GEOMETRIES["lorentz"]
        >>> x, y = (lorentz.place(jnp.asarray(v)) for v in ([3.0, 0.0], [-2.0, 0.0]))
        >>> round(float(lorentz.distance(x, y)), 4)
        5.0
        """
        key = numerics.squared_norm(x.point - y.point, keepdims=True) * y.factor
        return self._of_key(key, x.factor)[..., 0]

    def _of_key(self, key: jax.Array, factor: jax.Array) -> jax.Array:
        if not self.curved:
            return jnp.sqrt(jnp.maximum(key, _NEAREST))
        excess = jnp.maximum(2.0 * factor * key, _NEAREST)
        return jnp.log1p(excess + jnp.sqrt(excess * (excess + 2.0)))


def _radius(x: jax.Array) -> jax.Array:
    return numerics.safe_norm(x, keepdims=True)


def _to_ball(v: jax.Array) -> jax.Array:
    """Exponential map at the origin of the ball, without its usual margin at radius 6.2."""
    return 0.5 * numerics.tanh_ratio(0.25 * numerics.squared_norm(v, keepdims=True)) * v


def _place_normal(x: jax.Array) -> Placed:
    return Placed(_to_ball(x), jnp.square(jnp.cosh(0.5 * _radius(x))))


def _place_ball(x: jax.Array) -> Placed:
    return Placed(x, 0.5 * poincare.conformal_factor(x, c=1.0)[..., None])


def _place_flat(x: jax.Array) -> Placed:
    return Placed(x, jnp.ones_like(x[..., :1]))


@functools.cache
def normal_surface(max_radius: float) -> Surface:
    """Normal coordinates at the origin of the hyperboloid, points cut to a radius."""

    def to_frame(x: jax.Array, gradient: jax.Array) -> jax.Array:
        # Across the radius a coordinate is sinh(r)/r times as long as it is at the origin.
        radius = jnp.maximum(_radius(x), _TINY)
        grown = jnp.exp(radius)
        narrow = jnp.where(radius > _SMALL, 2.0 * radius / (grown - 1.0 / grown), 1.0)
        along = jnp.sum(x * gradient, -1, keepdims=True) / jnp.square(radius)
        return narrow * gradient + ((1.0 - narrow) * along) * x

    def follow(x: jax.Array, u: jax.Array) -> jax.Array:
        # The exponential map in the hyperboloid's space: as hyperboloid.wrap, by two exponentials
        # and a logarithm a row, for it moves the whole table at every step.
        # No step is longer than from one end to the other: its exponential stays finite.
        u = poincare.project(u, c=1.0, max_norm=2.0 * max_radius)
        radius, length = jnp.maximum(_radius(x), _TINY), _radius(u)
        grown, longer = jnp.exp(radius), jnp.exp(length)
        sinh, cosh = 0.5 * (grown - 1.0 / grown), 0.5 * (grown + 1.0 / grown)
        safe = jnp.where(length > _SMALL, length, 1.0)
        stretch = jnp.where(length > _SMALL, 0.5 * (longer - 1.0 / longer) / safe, 1.0)
        along = jnp.sum(x * u, -1, keepdims=True) / radius
        own = (0.5 * (longer + 1.0 / longer) * sinh + stretch * (cosh - 1.0) * along) / radius
        space = own * x + stretch * u
        norm = _radius(space)
        far = norm > _SMALL  # nearer, the logarithm would cancel
        reached = jnp.minimum(jnp.log(norm + jnp.sqrt(jnp.square(norm) + 1.0)), max_radius)
        return space * jnp.where(far, reached / jnp.where(far, norm, 1.0), 1.0)

    return Surface(f"hyperboloid to radius {max_radius:g}", to_frame, follow)


@functools.cache
def ball_surface(max_radius: float) -> Surface:
    """Points of the unit Poincaré ball, cut to a hyperbolic radius."""

    def to_frame(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return gradient / poincare.conformal_factor(x, c=1.0)[..., None]

    def follow(x: jax.Array, u: jax.Array) -> jax.Array:
        longest = poincare.norm_of_radius(jnp.float32(max_radius), c=1.0)
        return poincare.project(
            wrapped_normal.wrap(x, u, c=jnp.float32(1.0)), c=1.0, max_norm=longest
        )

    return Surface(f"ball to radius {max_radius:g}", to_frame, follow)


GEOMETRIES: dict[str, Geometry] = {
    "lorentz": Geometry(True, _place_normal, lambda v: v, lambda x: x, normal_surface),
    "poincare": Geometry(
        True,
        _place_ball,
        _to_ball,
        lambda x: 2.0 * poincare.log_map_origin(x, c=1.0),
        ball_surface,
    ),
    "euclidean": Geometry(False, _place_flat, lambda v: v, lambda x: x, lambda _: flat_surface()),
}
"""Name in ``config.model.geometry`` -> geometry."""
