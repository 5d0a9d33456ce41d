r"""Normal distributions of hyperbolic space, on the Poincaré ball and on the hyperboloid.

Densities are with respect to the volume of the space, so that they are the same in both models.
Lengths and standard deviations are hyperbolic. A distribution is a pytree: it passes through
``jit``, ``vmap`` and ``grad``, and leading axes of ``loc`` are a batch.

* :class:`WrappedNormal`: a normal vector of the tangent space, wrapped around the space; any
  diagonal covariance, cheap. Nagano et al., *A wrapped normal distribution on hyperbolic space*
  (2019); Mathieu et al., *Continuous hierarchical representations with Poincaré variational
  auto-encoders* (2019).
* :class:`RiemannianNormal`: density :math:`e^{-d(x, \mu)^2 / 2\sigma^2} / Z`. Pennec, *Intrinsic
  statistics on Riemannian manifolds* (2006); Mathieu et al. (2019).

>>> prior = WrappedNormal(jnp.zeros(2), jnp.ones(1), c=1.0)
>>> x = prior.sample(jax.random.key(0), (5,))
>>> prior.log_prob(x).shape
(5,)
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tvae.errors import UserError
from tvae.geometry import (
    hyperboloid,
    numerics,
    poincare,
    radial_quadrature,
    riemannian_normal,
    wrapped_normal,
)
from tvae.geometry.gyrovectors import Curvature


class _Model(NamedTuple):
    """A model of hyperbolic space: maps of the frame at a point, distance, extra coordinates."""

    wrap: Callable[..., jax.Array]
    unwrap: Callable[..., jax.Array]
    distance: Callable[..., jax.Array]
    extra: int


_MODELS = {
    "ball": _Model(wrapped_normal.wrap, wrapped_normal.unwrap, poincare.distance, 0),
    "hyperboloid": _Model(hyperboloid.wrap, hyperboloid.unwrap, hyperboloid.distance, 1),
}

_register = functools.partial(
    jax.tree_util.register_dataclass, data_fields=["loc", "scale", "c"], meta_fields=["model"]
)


@dataclasses.dataclass(frozen=True)
class _Normal(abc.ABC):
    """A distribution around a point.

    Attributes:
      loc: points ``(..., d)`` of the ball or ``(..., d + 1)`` of the hyperboloid.
      scale: standard deviations, hyperbolic length: ``(..., d)`` of a wrapped normal with a
        diagonal covariance, or ``(..., 1)`` where all directions have the same.
      c: curvature magnitude.
      model: "ball" or "hyperboloid" (static).

    Raises:
      UserError: for another model, or a scale of another number of entries.
    """

    loc: jax.Array
    scale: jax.Array
    c: Curvature
    model: str = "ball"

    def __post_init__(self) -> None:
        """Check the model and the number of standard deviations."""
        if self.model not in _MODELS:
            raise UserError(f"model: expected 'ball' or 'hyperboloid', got {self.model!r}")
        allowed = self._entries_of_scale()
        shape = getattr(self.scale, "shape", None)
        if isinstance(shape, tuple) and (not shape or shape[-1] not in allowed):
            raise UserError(
                f"scale: expected {' or '.join(map(str, allowed))} entries on the last axis for "
                f"{self.dimension} dimensions, got shape {shape}"
            )

    def _entries_of_scale(self) -> tuple[int, ...]:
        """Allowed lengths of the scale's last axis."""
        return (1,)

    @property
    def dimension(self) -> int:
        """Dimension d of the space."""
        return self.loc.shape[-1] - _MODELS[self.model].extra

    @property
    def isotropic(self) -> bool:
        """Whether the density depends on the distance to ``loc`` only."""
        return self.scale.shape[-1] == 1

    def distance(self, x: jax.Array) -> jax.Array:
        """Distance ``(...)`` of points to ``loc``."""
        loc = jnp.broadcast_to(self.loc, x.shape)
        return _MODELS[self.model].distance(loc, x, c=self.c)

    def log_prob(self, x: jax.Array) -> jax.Array:
        """Log-density with respect to the volume, nats.

        Args:
          x: points; leading axes before those of ``loc`` are samples.

        Returns:
          ``(...)``, nats.
        """
        scale = jnp.broadcast_to(self.scale, x.shape[:-1] + self.scale.shape[-1:])
        return self._log_prob(x, scale)

    @abc.abstractmethod
    def _log_prob(self, x: jax.Array, scale: jax.Array) -> jax.Array:
        """Log-density with the scale at the rank of the points."""

    @abc.abstractmethod
    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Points of shape ``shape + loc.shape``, differentiable in ``loc``, ``scale`` and ``c``."""

    @abc.abstractmethod
    def log_prob_of_distance(self, distance: jax.Array, scale: jax.Array) -> jax.Array:
        """Log-density at a distance from ``loc``, for an isotropic one; the arrays broadcast."""

    @abc.abstractmethod
    def _mode_of_distance(self) -> jax.Array:
        """Most likely distance of a sample, ``(...)``."""

    def kl(
        self, other: "_Normal", *, key: jax.Array | None = None, n_samples: int = 64
    ) -> jax.Array:
        r"""Kullback-Leibler divergence :math:`\int q \log(q / p)` of this q from another p, nats.

        By quadrature over distance and angle where both are isotropic, else the mean over samples,
        which is unbiased and may be negative.

        Args:
          other: p, on the same model and of the same curvature.
          key: random key, for samples.
          n_samples: number of them.

        Returns:
          ``(...)``, nats.

        Raises:
          UserError: if the models differ, or samples are needed and there is no key.

        >>> q = RiemannianNormal(jnp.zeros(2), jnp.ones(1), c=1.0)
        >>> bool(abs(q.kl(q)) < 1e-5)
        True
        """
        if self.model != other.model:
            raise UserError(f"kl: the models differ, {self.model!r} and {other.model!r}")
        if self.isotropic and other.isotropic:
            return self._kl_by_quadrature(other)
        if key is None:
            raise UserError("kl: a scale for each dimension needs samples, and these a key")
        return self._kl_by_samples(other, key, n_samples)

    @jax.jit
    def _kl_by_quadrature(self, other: "_Normal") -> jax.Array:
        """The divergence of two isotropic distributions: ``(...)``."""
        apart = other.distance(self.loc)
        scale, other_scale = (
            jnp.broadcast_to(x, (*apart.shape, 1)) for x in (self.scale, other.scale)
        )
        mode = jnp.broadcast_to(self._mode_of_distance(), apart.shape)
        radius, log_weight = radial_quadrature.radii(mode, scale[..., 0])
        area = radial_quadrature.log_sphere_area(radius, dimension=self.dimension, c=self.c)
        own = self.log_prob_of_distance(radius, scale)
        cosine, share = (
            jnp.asarray(x, radius.dtype).reshape((1,) * radius.ndim + (-1,))
            for x in radial_quadrature.cosines(self.dimension)
        )
        side = radial_quadrature.third_side(
            radius[..., None], apart[..., None, None], cosine, c=self.c
        )
        theirs = other.log_prob_of_distance(side, other_scale[..., None])
        difference = own - (theirs * share).sum(-1)
        return (jnp.exp(own + area + log_weight) * difference).sum(-1)

    def _kl_by_samples(self, other: "_Normal", key: jax.Array, n_samples: int) -> jax.Array:
        """Mean over samples of the log-ratio of the densities: ``(...)``."""
        x = self.sample(key, (n_samples,))
        return (self.log_prob(x) - other.log_prob(x)).mean(0)


@_register
@dataclasses.dataclass(frozen=True)
class WrappedNormal(_Normal):
    r"""The wrapped normal :math:`x = \exp_\mu(P_{0\to\mu} v)`, :math:`v \sim N(0, \sigma^2)`.

    .. math:: \log p(x) = \log N(v; 0, \sigma^2)
              - (d - 1) \log\frac{\sinh(\sqrt c\,\|v\|)}{\sqrt c\,\|v\|}

    Source: Nagano et al. (2019), equation 9.

    >>> q = WrappedNormal(jnp.asarray([[0.3, 0.0]]), jnp.asarray([[0.5, 0.1]]), c=1.0)
    >>> q.log_prob(q.loc).round(4).tolist()  # -log(2 pi 0.5 0.1)
    [1.157...]
    """

    def _entries_of_scale(self) -> tuple[int, ...]:
        return (1, self.dimension)

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Points of shape ``shape + loc.shape``, differentiable in ``loc``, ``scale`` and ``c``."""
        full = shape + self.loc.shape
        noise = jax.random.normal(key, (*full[:-1], self.dimension), self.loc.dtype)
        v = noise * jnp.broadcast_to(self.scale, noise.shape)
        return _MODELS[self.model].wrap(jnp.broadcast_to(self.loc, full), v, c=self.c)

    def _log_prob(self, x: jax.Array, scale: jax.Array) -> jax.Array:
        v = _MODELS[self.model].unwrap(jnp.broadcast_to(self.loc, x.shape), x, c=self.c)
        square = numerics.squared_norm(v / scale)
        log_scale = jnp.log(jnp.broadcast_to(scale, v.shape)).sum(-1)
        return self._log_density(square, numerics.safe_norm(v), log_scale)

    def log_prob_of_distance(self, distance: jax.Array, scale: jax.Array) -> jax.Array:
        """Log-density at a distance from ``loc``, for an isotropic one; the arrays broadcast."""
        return self._log_density(
            jnp.square(distance / scale), distance, self.dimension * jnp.log(scale)
        )

    def _log_density(self, square: jax.Array, length: jax.Array, log_scale: jax.Array) -> jax.Array:
        value = wrapped_normal.log_density(
            square, length, log_scale, dimension=self.dimension, c=self.c
        )
        return value - 0.5 * self.dimension * math.log(2.0 * math.pi)

    def _mode_of_distance(self) -> jax.Array:
        return self.scale[..., 0] * math.sqrt(self.dimension - 1)

    def _kl_by_samples(self, other: _Normal, key: jax.Array, n_samples: int) -> jax.Array:
        # The density at a sample from the vector that made it: unwrapping would add rounding.
        full = (n_samples, *self.loc.shape)
        noise = jax.random.normal(key, (*full[:-1], self.dimension), self.loc.dtype)
        scale = jnp.broadcast_to(self.scale, noise.shape)
        v = noise * scale
        x = _MODELS[self.model].wrap(jnp.broadcast_to(self.loc, full), v, c=self.c)
        own = self._log_density(
            numerics.squared_norm(noise), numerics.safe_norm(v), jnp.log(scale).sum(-1)
        )
        return (own - other.log_prob(x)).mean(0)


@_register
@dataclasses.dataclass(frozen=True)
class RiemannianNormal(_Normal):
    r"""The Riemannian normal, :math:`\log p(x) = -d(x, \mu)^2 / 2\sigma^2 - \log Z(\sigma)`.

    Its scale has one entry. The mean square distance to :math:`\mu` is :math:`d\,\sigma^2` in flat
    space and larger in hyperbolic space, whose volume grows with the distance.

    Source: Pennec (2006); Mathieu et al. (2019), section 3.2.

    >>> q = RiemannianNormal(jnp.zeros(2), jnp.asarray([0.01]), c=1.0)
    >>> round(float(q.log_prob(q.loc)), 2)  # nearly flat: -log(2 pi 0.01^2)
    7.37
    """

    def sample(self, key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
        """Points of shape ``shape + loc.shape``, differentiable in ``loc``, ``scale`` and ``c``."""
        radius_key, direction_key = jax.random.split(key)
        batch = self.loc.shape[:-1]
        full = shape + batch
        n_samples = math.prod(shape)
        radius = riemannian_normal.sample_radius(
            radius_key,
            jnp.broadcast_to(self.scale[..., 0], batch).reshape(-1),
            n_samples=n_samples,
            dimension=self.dimension,
            c=self.c,
        )
        normal = jax.random.normal(direction_key, (*full, self.dimension), self.loc.dtype)
        v = radius.T.reshape(*full, 1) * normal / numerics.safe_norm(normal, keepdims=True)
        loc = jnp.broadcast_to(self.loc, shape + self.loc.shape)
        return _MODELS[self.model].wrap(loc, v, c=self.c)

    def _log_prob(self, x: jax.Array, scale: jax.Array) -> jax.Array:
        return self.log_prob_of_distance(self.distance(x)[..., None], scale)[..., 0]

    def log_prob_of_distance(self, distance: jax.Array, scale: jax.Array) -> jax.Array:
        """Log-density at a distance from ``loc``; the arrays broadcast."""
        normalizer = riemannian_normal.log_normalizer(scale, dimension=self.dimension, c=self.c)
        return -0.5 * jnp.square(distance / scale) - normalizer

    def _mode_of_distance(self) -> jax.Array:
        return riemannian_normal.mode_of_radius(
            self.scale[..., 0], dimension=self.dimension, c=self.c
        )
