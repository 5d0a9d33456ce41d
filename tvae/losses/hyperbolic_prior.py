r"""Divergences of posteriors on the Poincaré ball from a prior around its origin, in three ways.

* :func:`wrapped_normal_kl`: wrapped normals with their volume term, the mean over samples;
* :func:`riemannian_normal_kl`: Riemannian normals, exact by quadrature;
* :func:`tangent_normal_kl`: normals of the tangent space at the origin, exact and cheap, but not a
  divergence of distributions on the ball: the volume is left out.

A prior that adapts to the radii of the batch is a state beside the optimizer's, updated after a
step: :class:`AdaptivePrior`.
"""

import dataclasses
import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above, at_least
from tvae.geometry import poincare
from tvae.geometry.distributions import RiemannianNormal, WrappedNormal
from tvae.losses.divergence import gaussian_kl_between
from tvae.losses.registry import term

# Keeps variances finite where the conformal factor is infinite; of the reference system.
_FLOOR = 1e-10

_SCALE = (above(0.0), "standard deviation of the prior, hyperbolic length")


@term(
    "tangent_normal_kl",
    unit="nats",
    source="the reference system's HyperbolicPrior",
    per="item",
    options={"scale": (above(0.0), "standard deviation of the prior, half a hyperbolic length")},
    invariances=("permutation",),
    was={"HyperbolicPrior": "same", "HomeostaticHyperbolicPrior": "same"},
)
def tangent_normal_kl(
    point: jax.Array, logvar: jax.Array, c: Numeric, *, scale: Numeric = 1.0
) -> jax.Array:
    r"""KL divergence of normals in the tangent space at the origin.

    .. math:: \mathrm{KL}\big(N(\log_0 z,\, \sigma^2 / \lambda_z^2)\,\|\, N(0, s^2)\big)

    The conformal factor :math:`\lambda_z` scales the posterior as if its variance were Euclidean.

    Args:
      point: z ``(n, d)`` in the ball.
      logvar: :math:`\ln\sigma^2` ``(n, d)``.
      c: curvature magnitude.
      scale: s.

    Returns:
      ``(n,)``, nats.

    >>> value = tangent_normal_kl(jnp.zeros((1, 2)), jnp.full((1, 2), math.log(4.0)), 1.0)
    >>> round(float(value[0]), 4)  # σ / λ = 1 = s
    0.0
    """
    chex.assert_equal_shape([point, logvar])
    factor = poincare.conformal_factor(point, c=c)[..., None]
    variance = jnp.exp(logvar) / (jnp.square(factor) + _FLOOR)
    tangent = poincare.log_map_origin(point, c=c)
    mean, prior = jnp.zeros_like(tangent), 2.0 * jnp.log(jnp.full_like(tangent, scale))
    return gaussian_kl_between(tangent, jnp.log(variance + _FLOOR), mean, prior).sum(-1)


@term(
    "wrapped_normal_kl",
    unit="nats",
    source="Nagano et al. 2019, equation 9",
    per="item",
    options={
        "scale": _SCALE,
        "n_samples": (at_least(1), "samples of each posterior"),
    },
    was={"HyperbolicPrior": "corrected"},
)
def wrapped_normal_kl(
    point: jax.Array,
    logvar: jax.Array,
    key: jax.Array,
    c: Numeric,
    *,
    scale: Numeric = 1.0,
    n_samples: int = 1,
) -> jax.Array:
    """KL divergence of a wrapped normal around each point from one around the origin, by samples.

    Unbiased; single values may be negative. Where the step has drawn the sample already:
    :func:`tvae.geometry.wrapped_normal.sampled_kl`.

    Args:
      point: centres ``(n, d)`` in the ball.
      logvar: log-variances ``(n, d)`` of the tangent vector, hyperbolic length squared.
      key: random key of the samples.
      c: curvature magnitude.
      scale: standard deviation of the prior.
      n_samples: of each row (static).

    Returns:
      ``(n,)``, nats.

    >>> zeros = jnp.zeros((1, 2))
    >>> wrapped_normal_kl(zeros, zeros, jax.random.key(0), 1.0).round(4).tolist()
    [0.0]
    """
    chex.assert_equal_shape([point, logvar])
    posterior = WrappedNormal(point, jnp.exp(0.5 * logvar), c)
    width = jnp.full((1, point.shape[-1]), scale, point.dtype)
    prior = WrappedNormal(jnp.zeros_like(point), width, c)
    return posterior.kl(prior, key=key, n_samples=n_samples)


@term(
    "riemannian_normal_kl",
    unit="nats",
    source="Mathieu et al. 2019, section 3.2; by quadrature",
    per="item",
    options={"scale": _SCALE},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    was={"HyperbolicPrior": "corrected"},
)
def riemannian_normal_kl(
    point: jax.Array, logvar: jax.Array, c: Numeric, *, scale: Numeric = 1.0
) -> jax.Array:
    r"""KL divergence of a Riemannian normal around each point from one around the origin.

    Args:
      point: centres ``(n, d)`` in the ball.
      logvar: ``(n, k)``; a Riemannian normal has one standard deviation, here the geometric mean,
        :math:`\ln \sigma^2 = \overline{\mathrm{logvar}}`, so that a head of any width serves.
      c: curvature magnitude.
      scale: standard deviation of the prior.

    Returns:
      ``(n,)``, nats, without sampling noise.

    >>> riemannian_normal_kl(jnp.zeros((1, 2)), jnp.zeros((1, 1)), 1.0).round(4).tolist()
    [0.0]
    """
    width = jnp.exp(0.5 * logvar.mean(-1, keepdims=True))
    prior = RiemannianNormal(jnp.zeros_like(point), jnp.full_like(width, scale), c)
    return jax.nn.relu(RiemannianNormal(point, width, c).kl(prior))  # but for rounding


class AdaptivePrior(NamedTuple):
    """State of a prior whose scale and curvature follow the batches; updated after a step.

    Start from :data:`ADAPTIVE_PRIOR`.

    Attributes:
      scale: standard deviation of the prior, for the option ``scale`` of the terms here.
      c: curvature magnitude.
      radius: running mean of the hyperbolic radius.
      kl: running mean of the divergence, nats.
    """

    scale: Numeric
    c: Numeric
    radius: Numeric
    kl: Numeric


ADAPTIVE_PRIOR = AdaptivePrior(scale=1.0, c=1.0, radius=0.5, kl=1.0)
"""The first state of the reference system."""


@dataclasses.dataclass(frozen=True)
class PriorAdaptation:
    """How an :class:`AdaptivePrior` moves; defaults of the reference system.

    Attributes:
      rate: of the scale per unit of radius; the curvature moves at a tenth of it per nat.
      memory: weight of the newest batch in the running means.
      target_radius: mean hyperbolic radius at which the scale rests.
      target_kl: divergence at which the curvature rests, nats.
      scales: least and largest scale.
      curvatures: least and largest curvature magnitude.

    >>> state = PriorAdaptation().update(ADAPTIVE_PRIOR, radius=1.5, kl=1.0)
    >>> round(float(state.scale), 4), float(state.c)  # 1 - 0.01 (0.6 - 0.5)
    (0.999, 1.0)
    """

    rate: float = 0.01
    memory: float = 0.1
    target_radius: float = 0.5
    target_kl: float = 1.0
    scales: tuple[float, float] = (0.3, 2.0)
    curvatures: tuple[float, float] = (0.5, 4.0)

    def update(self, state: AdaptivePrior, *, radius: Numeric, kl: Numeric) -> AdaptivePrior:
        """The state after a batch of mean hyperbolic radius and mean divergence; no gradients.

        Source: the reference system's HomeostaticHyperbolicPrior.
        """
        radius, kl = jax.lax.stop_gradient((jnp.asarray(radius), jnp.asarray(kl)))
        radius = state.radius + self.memory * (radius - state.radius)
        kl = state.kl + self.memory * (kl - state.kl)
        moved = self.shift(
            state,
            scale=-0.1 * (radius - self.target_radius),
            c=0.01 * (kl - self.target_kl),
        )
        return moved._replace(radius=radius, kl=kl)

    def shift(self, state: AdaptivePrior, *, scale: Numeric, c: Numeric) -> AdaptivePrior:
        """The state moved by a controller, in tenths of the rate."""
        return state._replace(
            scale=jnp.clip(state.scale + 10.0 * self.rate * scale, *self.scales),
            c=jnp.clip(state.c + 10.0 * self.rate * c, *self.curvatures),
        )
