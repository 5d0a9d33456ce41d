"""Projections: Euclidean latents to the Poincaré ball, by a direction and a radius."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from tvae.geometry import gyrovectors, numerics, poincare
from tvae.models.layers import Flag, Linear, hidden_layers

_MIN_NORM = 1e-12  # divisor of a direction, as in the reference system: latent 0 maps to the origin


@flax.struct.dataclass
class BallPoints:
    """Points of the ball in polar form.

    Attributes:
      z: points ``(..., d)``, ``euclidean_norm * direction``.
      direction: unit vectors ``(..., d)``.
      euclidean_norm: ``(...)``.
      hyperbolic_radius: distance to the origin ``(...)``, in closed form from the radius head: it
        needs no norm, so it stays exact and has a gradient at the origin too.
      c: curvature magnitude, a scalar.
    """

    z: jax.Array
    direction: jax.Array
    euclidean_norm: jax.Array
    hyperbolic_radius: jax.Array
    c: jax.Array


class DirectionNet(nn.Module):
    """Residual network ``z + D(z)``, normalised; the identity direction ``z/‖z‖`` at the start.

    Attributes:
      width: width of the hidden layers.
      n_layers: number of hidden layers.
      dropout: rate behind every hidden layer.
    """

    width: int = 64
    n_layers: int = 1
    dropout: float = 0.0

    @nn.compact
    def __call__(self, z: jax.Array, train: Flag = False) -> jax.Array:
        """Unit directions ``(..., d)`` of latents ``(..., d)``."""
        h = hidden_layers(
            z,
            (self.width,) * self.n_layers,
            activation=nn.silu,
            normalize=True,
            dropout=(self.dropout,) * self.n_layers,
            active=train,
        )
        shifted = z + Linear(z.shape[-1], kernel_scale=0.0, zero_bias=True, name="output")(h)
        return shifted / jnp.maximum(numerics.safe_norm(shifted, keepdims=True), _MIN_NORM)


class RadiusNet(nn.Module):
    """Network that places latents at a share of the largest norm, about a half at the start.

    Attributes:
      width: width of the hidden layers.
      n_layers: number of hidden layers.
      dropout: rate behind every hidden layer.
    """

    width: int = 32
    n_layers: int = 1
    dropout: float = 0.0

    @nn.compact
    def __call__(self, z: jax.Array, train: Flag = False) -> jax.Array:
        """Shares ``(...)`` in (0, 1) of latents ``(..., d)``."""
        h = hidden_layers(
            z,
            (self.width,) * self.n_layers,
            activation=nn.silu,
            dropout=(self.dropout,) * self.n_layers,
            active=train,
        )
        return nn.sigmoid(Linear(1, zero_bias=True, name="output")(h)[..., 0])


class Translation(nn.Module):
    r"""Left gyrotranslation :math:`x \mapsto p \oplus_c x` by a learned point, first the origin.

    The bias of a hyperbolic layer (Ganea, Bécigneul & Hofmann 2018, Hyperbolic Neural Networks). An
    isometry: distances between the translated points stay, distances to the origin change. ``p``
    is a point of the ball, for a Riemannian optimizer to move.

    Attributes:
      max_norm: largest Euclidean norm of the point in units of the ball's radius.
    """

    max_norm: jax.Array | float

    @nn.compact
    def __call__(self, points: BallPoints) -> BallPoints:
        """Translate points ``(..., d)``, to anywhere in the ball that the dtype resolves."""
        c = points.c
        point = self.param("point", nn.initializers.zeros, points.z.shape[-1:])
        inside = poincare.project(point, c=c, max_norm=self.max_norm / jnp.sqrt(c))
        inside = jnp.broadcast_to(inside, points.z.shape)
        z = poincare.project(gyrovectors.mobius_add(inside, points.z, c=c), c=c)
        norm = numerics.safe_norm(z)
        return BallPoints(
            z=z,
            direction=z / jnp.maximum(norm, _MIN_NORM)[..., None],
            euclidean_norm=norm,
            hyperbolic_radius=poincare.hyperbolic_radius(z, c=c),
            c=c,
        )


class HyperbolicProjection(nn.Module):
    r"""Polar projection.

    .. math:: z_{hyp} = \frac{r_{max}}{\sqrt c}\,\sigma(R(z))\,\frac{z + D(z)}{\|z + D(z)\|}

    8,178 parameters with two layers at latent dimension 16, 2,834 with one; one less each where
    the curvature is constant (the reference system stores it as a parameter in any case).

    Attributes:
      width: width of the direction net; the radius net has ``max(32, width // 2)``.
      n_layers: hidden layers of both nets (v5.11: 1, v5.12: 2).
      dropout: rate behind every hidden layer of both nets.
      max_norm: largest Euclidean norm in units of the ball's radius ``1/√c``, in (0, 1).
      curvature: curvature magnitude, may be traced; the initial one where it is learnable.
      learnable_curvature: make it a parameter, ``softplus(inverse_softplus_c)``. Everything that
        the projection returns, and everything computed from its ``c``, then has a gradient to it.
      translated: translate the output by a learned point; see :class:`Translation`.
    """

    width: int = 64
    n_layers: int = 1
    dropout: float = 0.0
    max_norm: jax.Array | float = 0.95
    curvature: jax.Array | float = 1.0
    learnable_curvature: bool = False
    translated: bool = False

    def setup(self) -> None:
        """Name the parts."""
        if isinstance(self.max_norm, float) and not 0.0 < self.max_norm < 1.0:
            raise ValueError(f"max_norm must lie in (0, 1), got {self.max_norm}")
        if isinstance(self.curvature, int | float) and self.curvature <= 0.0:
            raise ValueError(f"curvature must be positive, got {self.curvature}")
        self.direction = DirectionNet(self.width, self.n_layers, self.dropout)
        self.radius = RadiusNet(max(32, self.width // 2), self.n_layers, self.dropout)
        self.translation = Translation(self.max_norm) if self.translated else None
        if self.learnable_curvature:
            start = jnp.log(jnp.expm1(self.curvature))
            self.inverse_softplus_c = self.param(
                "inverse_softplus_c", nn.initializers.constant(start), ()
            )

    def c(self) -> jax.Array:
        """Curvature magnitude, a float32 scalar."""
        if self.learnable_curvature:
            return jax.nn.softplus(self.inverse_softplus_c)
        return jnp.asarray(self.curvature, jnp.float32)

    def directions(self, z: jax.Array, train: Flag = False) -> jax.Array:
        """Unit directions ``(..., d)`` of latents ``(..., d)``."""
        return self.direction(z, train)

    def __call__(
        self, z: jax.Array, train: Flag = False, *, direction: jax.Array | None = None
    ) -> BallPoints:
        """Project latents.

        Args:
          z: latents ``(..., d)``.
          train: whether dropout acts.
          direction: unit vectors ``(..., d)`` from another projection's :meth:`directions`; the
            own direction net then has no parameters.

        Returns:
          Points with Euclidean norm below ``max_norm / √c``, before the translation.
        """
        direction = self.directions(z, train) if direction is None else direction
        c = self.c()
        norm = self.max_norm * self.radius(z, train) / jnp.sqrt(c)
        points = BallPoints(
            z=direction * norm[..., None],
            direction=direction,
            euclidean_norm=norm,
            hyperbolic_radius=poincare.radius_of_norm(norm, c=c),
            c=c,
        )
        return points if self.translation is None else self.translation(points)
