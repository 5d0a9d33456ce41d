"""Adam for points of a space that is given by frames and geodesics, one second moment a point.

:mod:`tvae.engine.riemannian` has the optimizers for the Poincaré ball, which transport moments.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from tvae.engine import riemannian
from tvae.geometry import numerics


@dataclasses.dataclass(frozen=True)
class Surface:
    """How points of a space move, in orthonormal frames that belong to the points.

    Compared by its functions: make one of each kind only.

    Attributes:
      name: for labels.
      to_frame: ``(x, gradient)`` -> the Riemannian gradient in the frame at ``x``.
      follow: ``(x, u)`` -> the point that the geodesic along ``u``, in that frame, leads to.
    """

    name: str
    to_frame: Callable[[jax.Array, jax.Array], jax.Array] = dataclasses.field(repr=False)
    follow: Callable[[jax.Array, jax.Array], jax.Array] = dataclasses.field(repr=False)


@functools.cache
def flat_surface() -> Surface:
    """Euclidean space."""
    return Surface("flat", lambda _, gradient: gradient, lambda x, u: x + u)


class FrameState(NamedTuple):
    """State of :func:`adam_in_frames`.

    Attributes:
      n_updates: number of updates, int32.
      mu: first moments, in the frames of their points.
      nu: second moments ``(..., 1)``, one number a point.
      last: the update in which a point was last moved, int32 ``(..., 1)``.
    """

    n_updates: jax.Array
    mu: optax.Updates
    nu: optax.Updates
    last: optax.Updates


def adam_in_frames(
    surface: Surface, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with one second moment a point, whose moments stay in the frames of their points.

    .. math:: m \leftarrow b_1 m + (1-b_1) h, \qquad v \leftarrow b_2 v + (1-b_2) \|h\|^2, \qquad
              x \leftarrow \exp_x\Big({-\eta}\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}\Big)

    with the gradient h in the frame at x. Frames are carried along rays from the origin, so that
    nothing is transported: beside parallel transport along a step, the moment turns by the area of
    the triangle of both points and the origin, less than the step's length.

    A point that takes part in an update only after k of them (:mod:`tvae.engine.rows`) has decays
    :math:`b_1^k, b_2^k` and a step :math:`(1-b_1^k)/(1-b_1)` times as long: so far its momentum
    would have carried it in the updates between.

    Args:
      surface: of the points, which are the last axis of every leaf.
      b1: decay of the first moment.
      b2: decay of the second moment.
      eps: added to the root.

    Returns:
      A transformation whose ``update`` needs ``params`` and a ``learning_rate``, the Riemannian
      length of a step. It returns differences of coordinates.

    >>> tx = adam_in_frames(flat_surface())
    >>> x = jnp.asarray([[0.5, 0.0]])
    >>> gradient = jnp.asarray([[2.0, 0.0]])
    >>> step, _ = tx.update(gradient, tx.init(x), x, learning_rate=0.1)
    >>> round(float(step[0, 0]), 4)
    -0.1
    """

    def init(params: optax.Params) -> FrameState:
        return FrameState(
            n_updates=jnp.zeros((), jnp.int32),
            mu=optax.tree.zeros_like(params),
            nu=jax.tree.map(lambda x: jnp.zeros_like(x[..., :1]), params),
            last=jax.tree.map(lambda x: jnp.zeros_like(x[..., :1], jnp.int32), params),
        )

    def update(
        updates: optax.Updates,
        state: FrameState,
        params: optax.Params | None = None,
        *,
        learning_rate: jax.Array | float,
        **_: object,
    ) -> tuple[optax.Updates, FrameState]:
        params = riemannian.required_params(params)
        count = optax.safe_increment(state.n_updates)
        h = jax.tree.map(surface.to_frame, params, updates)
        rest = jax.tree.map(lambda t: (count - t).astype(jnp.float32), state.last)
        mu = jax.tree.map(lambda g, m, k: b1**k * m + (1.0 - b1) * g, h, state.mu, rest)
        nu = jax.tree.map(
            lambda g, v, k: b2**k * v + (1.0 - b2) * numerics.squared_norm(g, keepdims=True),
            h,
            state.nu,
            rest,
        )
        mu_hat = optax.tree.bias_correction(mu, b1, count)
        nu_hat = optax.tree.bias_correction(nu, b2, count)

        def moved(x: jax.Array, m: jax.Array, v: jax.Array, k: jax.Array) -> jax.Array:
            length = learning_rate * (1.0 - b1**k) / (1.0 - b1)
            return surface.follow(x, -length * m / (jnp.sqrt(v) + eps)) - x

        steps = jax.tree.map(moved, params, mu_hat, nu_hat, rest)
        last = jax.tree.map(lambda t: jnp.full_like(t, count), state.last)
        return steps, FrameState(n_updates=count, mu=mu, nu=nu, last=last)

    return optax.GradientTransformationExtraArgs(init, update)
