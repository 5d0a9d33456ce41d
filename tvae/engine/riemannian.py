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


def required_params(params: optax.Params | None) -> optax.Params:
    """The parameters, without which points cannot move on their surface.

    Raises:
      ValueError: if there are none.
    """
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
            required_params(params),
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
        return jax.tree.map(step, updates, required_params(params))

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
        params = required_params(params)
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
        params = required_params(params)
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
