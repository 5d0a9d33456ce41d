r"""Optimizers for parameters that are points of the Poincaré ball, as optax transformations.

The last axis of every leaf is a point; put Euclidean parameters into another group of
``optax.multi_transform``. A step is a chain: Euclidean gradient to Riemannian gradient, momentum
in the tangent space, learning rate, and last :func:`retract`, which turns the tangent step into
the difference of points that ``optax.apply_updates`` adds.

Momentum is kept with the point that it is tangent to and transported when the next gradient
arrives. Whatever stands behind it in the chain (learning rates, gates, rollbacks) may thus move
the parameters as it likes.

Source: Bécigneul and Ganea, *Riemannian Adaptive Optimization Methods* (2019); the order of
operations follows geoopt 0.5.1.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from tvae.geometry import numerics, poincare


class MomentumState(NamedTuple):
    """State of :func:`riemannian_trace`.

    Attributes:
      trace: accumulated tangent vectors at ``point``.
      point: parameters at the last update.
    """

    trace: optax.Updates
    point: optax.Params


class AdamState(NamedTuple):
    """State of :func:`scale_by_riemannian_adam`.

    Attributes:
      n_updates: number of updates, int32.
      mu: first moment, tangent vectors at ``point``.
      nu: second moment ``(..., 1)``: mean squared Riemannian length, one number a point.
      point: parameters at the last update.
    """

    n_updates: jax.Array
    mu: optax.Updates
    nu: optax.Updates
    point: optax.Params


def _required(params: optax.Params | None) -> optax.Params:
    if params is None:
        raise ValueError(
            "Riemannian transformations need params: call update(updates, state, params)"
        )
    return params


def _transported(
    vectors: optax.Updates, point: optax.Params, params: optax.Params, c: jax.Array | float
) -> optax.Updates:
    return jax.tree.map(
        lambda v, x, y: poincare.parallel_transport(x, y, v, c=c), vectors, point, params
    )


def to_riemannian(*, c: jax.Array | float = 1.0) -> optax.GradientTransformation:
    r"""Euclidean to Riemannian gradients: division by :math:`\lambda_x^2`.

    Args:
      c: curvature magnitude.

    Returns:
      A stateless transformation.
    """

    def update(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        return jax.tree.map(
            lambda g, x: g / poincare.conformal_factor(x, c=c)[..., None] ** 2,
            updates,
            _required(params),
        )

    return optax.stateless(update)


def retract(*, c: jax.Array | float = 1.0, exact: bool = False) -> optax.GradientTransformation:
    """Tangent steps to differences of points; the last link of the chain.

    Args:
      c: curvature magnitude.
      exact: follow the geodesic (exponential map); otherwise step straight and project back into
        the ball, which agrees to first order.

    Returns:
      A stateless transformation.
    """

    def step(u: jax.Array, x: jax.Array) -> jax.Array:
        moved = poincare.exp_map(x, u, c=c) if exact else poincare.project(x + u, c=c)
        return moved - x

    def update(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        return jax.tree.map(step, updates, _required(params))

    return optax.stateless(update)


def riemannian_trace(
    decay: float, *, nesterov: bool = False, c: jax.Array | float = 1.0
) -> optax.GradientTransformation:
    r"""Momentum :math:`m \leftarrow \mathrm{decay}\; P(m) + g`, with the transport :math:`P`.

    Args:
      decay: in [0, 1).
      nesterov: return ``g + decay * m`` instead of ``m``.
      c: curvature magnitude.

    Returns:
      A transformation of Riemannian gradients.
    """

    def init(params: optax.Params) -> MomentumState:
        return MomentumState(trace=optax.tree.zeros_like(params), point=params)

    def update(
        updates: optax.Updates, state: MomentumState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, MomentumState]:
        params = _required(params)
        carried = _transported(state.trace, state.point, params, c)
        trace = jax.tree.map(lambda g, m: g + decay * m, updates, carried)
        ahead = jax.tree.map(lambda g, m: g + decay * m, updates, trace) if nesterov else trace
        return ahead, MomentumState(trace=trace, point=params)

    return optax.GradientTransformation(init, update)


def scale_by_riemannian_adam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, *, c: jax.Array | float = 1.0
) -> optax.GradientTransformation:
    r"""Adam in the tangent space.

    .. math:: m \leftarrow b_1 P(m) + (1-b_1) g, \qquad
              v \leftarrow b_2 v + (1-b_2)\,\lambda_x^2 \|g\|^2, \qquad
              u = \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    Args:
      b1: decay of the first moment.
      b2: decay of the second moment, which is one number a point.
      eps: added to the root.
      c: curvature magnitude.

    Returns:
      A transformation of Riemannian gradients.
    """

    def init(params: optax.Params) -> AdamState:
        return AdamState(
            n_updates=jnp.zeros((), jnp.int32),
            mu=optax.tree.zeros_like(params),
            nu=jax.tree.map(lambda x: jnp.zeros_like(x[..., :1]), params),
            point=params,
        )

    def second_moment(g: jax.Array, v: jax.Array, x: jax.Array) -> jax.Array:
        factor = poincare.conformal_factor(x, c=c)[..., None]
        return b2 * v + (1.0 - b2) * factor**2 * numerics.squared_norm(g, keepdims=True)

    def update(
        updates: optax.Updates, state: AdamState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdamState]:
        params = _required(params)
        count = optax.safe_increment(state.n_updates)
        carried = _transported(state.mu, state.point, params, c)
        mu = jax.tree.map(lambda g, m: b1 * m + (1.0 - b1) * g, updates, carried)
        nu = jax.tree.map(second_moment, updates, state.nu, params)
        mu_hat = optax.tree.bias_correction(mu, b1, count)
        nu_hat = optax.tree.bias_correction(nu, b2, count)
        steps = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu_hat, nu_hat)
        return steps, AdamState(n_updates=count, mu=mu, nu=nu, point=params)

    return optax.GradientTransformation(init, update)


def riemannian_sgd(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.0,
    *,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    c: jax.Array | float = 1.0,
    exact: bool = False,
) -> optax.GradientTransformation:
    """Riemannian stochastic gradient descent.

    Args:
      learning_rate: a number or a schedule ``step -> value``.
      momentum: decay of the momentum; 0 for none.
      nesterov: Nesterov momentum.
      weight_decay: coupled L2, added to the Euclidean gradient.
      c: curvature magnitude.
      exact: see :func:`retract`.

    Returns:
      A transformation; its ``update`` needs ``params``.

    >>> tx = riemannian_sgd(0.1)
    >>> x = jnp.asarray([[0.5, 0.0]])
    >>> gradient = jnp.asarray([[1.0, 0.0]])
    >>> round(float(tx.update(gradient, tx.init(x), x)[0][0, 0]), 5)  # -0.1 * 0.75**2 / 4
    -0.01406
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        to_riemannian(c=c),
        riemannian_trace(momentum, nesterov=nesterov, c=c) if momentum else optax.identity(),
        optax.scale_by_learning_rate(learning_rate),
        retract(c=c, exact=exact),
    )


def riemannian_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    weight_decay: float = 0.0,
    c: jax.Array | float = 1.0,
    exact: bool = False,
) -> optax.GradientTransformation:
    """Riemannian Adam.

    Args:
      learning_rate: a number or a schedule ``step -> value``; the Riemannian length of a step.
      b1: decay of the first moment.
      b2: decay of the second moment.
      eps: added to the root of the second moment.
      weight_decay: coupled L2, added to the Euclidean gradient.
      c: curvature magnitude.
      exact: see :func:`retract`.

    Returns:
      A transformation; its ``update`` needs ``params``.

    >>> tx = riemannian_adam(0.1)
    >>> x = jnp.asarray([[0.5, 0.0]])
    >>> gradient = jnp.asarray([[1.0, 0.0]])
    >>> round(float(tx.update(gradient, tx.init(x), x)[0][0, 0]), 5)  # -0.1 * 0.75 / 2
    -0.0375
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        to_riemannian(c=c),
        scale_by_riemannian_adam(b1, b2, eps, c=c),
        optax.scale_by_learning_rate(learning_rate),
        retract(c=c, exact=exact),
    )


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
    """

    n_updates: jax.Array
    mu: optax.Updates
    nu: optax.Updates


def adam_in_frames(
    surface: Surface, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with one second moment a point, whose moments stay in the frames of their points.

    .. math:: m \leftarrow b_1 m + (1-b_1) h, \qquad v \leftarrow b_2 v + (1-b_2) \|h\|^2, \qquad
              x \leftarrow \exp_x\Big({-\eta}\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}\Big)

    with the gradient h in the frame at x. Frames are carried along rays from the origin, so that
    nothing is transported: beside parallel transport along a step, the moment turns by the area of
    the triangle of both points and the origin, less than the step's length.

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
        )

    def update(
        updates: optax.Updates,
        state: FrameState,
        params: optax.Params | None = None,
        *,
        learning_rate: jax.Array | float,
        **_: object,
    ) -> tuple[optax.Updates, FrameState]:
        params = _required(params)
        count = optax.safe_increment(state.n_updates)
        h = jax.tree.map(surface.to_frame, params, updates)
        mu = jax.tree.map(lambda g, m: b1 * m + (1.0 - b1) * g, h, state.mu)
        nu = jax.tree.map(
            lambda g, v: b2 * v + (1.0 - b2) * numerics.squared_norm(g, keepdims=True),
            h,
            state.nu,
        )
        mu_hat = optax.tree.bias_correction(mu, b1, count)
        nu_hat = optax.tree.bias_correction(nu, b2, count)

        def moved(x: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            return surface.follow(x, -learning_rate * m / (jnp.sqrt(v) + eps)) - x

        steps = jax.tree.map(moved, params, mu_hat, nu_hat)
        return steps, FrameState(n_updates=count, mu=mu, nu=nu)

    return optax.GradientTransformationExtraArgs(init, update)
