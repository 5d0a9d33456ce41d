"""Views: what can be asked of a trained model, as a struct of pure functions.

The engine takes a :class:`~tvae.engine.task.Task`, the public :class:`~tvae.model.Model` takes a
:class:`Views`: each task's module ``*_views.py`` says what its models can do, so that nothing
above asks for a task by name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax

from tvae.engine.task import Metrics, Params

BALL, LATENT = "ball", "latent"
"""The spaces that a decoder can read: points of the Poincaré ball, or Euclidean latents."""


@flax.struct.dataclass
class Posterior:
    """Posterior parameters of the encoders, each ``(..., latent_dim)``.

    Attributes:
      mu_a: mean of encoder A; Euclidean, before any projection into the ball.
      logvar_a: log-variance of A.
      mu_b: mean of encoder B; None where the model has one encoder.
      logvar_b: log-variance of B; None where the model has one encoder.
    """

    mu_a: jax.Array
    logvar_a: jax.Array
    mu_b: jax.Array | None = None
    logvar_b: jax.Array | None = None


@flax.struct.dataclass
class Points:
    """Points of a Poincaré ball.

    Attributes:
      z: ``(..., latent_dim)``.
      c: curvature magnitude, a scalar.
    """

    z: jax.Array
    c: jax.Array


Embed = Callable[[Params, jax.Array], Points]
Decode = Callable[[Params, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Views:
    """What a kind of model can do. Every function is pure and takes the parameters first.

    Attributes:
      n_digits: digits of an operation.
      latent_dim: dimension of latents and of the ball.
      encode: ``(params, x) -> Posterior`` of operations ``(..., n_digits)``, float32 in [-1, 1].
      embed: name ("a", "b") -> ``(params, x) -> Points``; empty where there is no ball.
      decode: space -> name -> ``(params, z) -> logits (..., n_digits, 3)``. The first space is the
        one that the model's own forward pass decodes from.
      prior: ``(params, key, n) -> z`` ``(n, latent_dim)``, draws of the prior in that first space.
      measure: ``(params, key, recorded) -> metrics``, the final evaluation as far as parameters
        tell it; ``recorded`` are figures of the end of training. Compiles in parts: not for
        ``jit``.
    """

    n_digits: int
    latent_dim: int
    encode: Callable[[Params, jax.Array], Posterior]
    embed: Mapping[str, Embed]
    decode: Mapping[str, Mapping[str, Decode]]
    prior: Callable[[Params, jax.Array, int], jax.Array]
    measure: Callable[[Params, jax.Array, Mapping[str, Any]], Metrics]

    @property
    def space(self) -> str:
        """What the model's own forward pass decodes from: ``"ball"`` or ``"latent"``."""
        return next(iter(self.decode))
