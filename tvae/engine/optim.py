"""The optimizer: a complete map of parameters to groups, and one transformation per group."""

import dataclasses
from collections.abc import Callable, Mapping, Set
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tvae.engine import frames, riemannian
from tvae.engine.balancing import STATIC, Balancing
from tvae.engine.rows import path_name
from tvae.engine.task import Hparams
from tvae.errors import UserError

Factor = jax.Array | float
"""A number, traced or not."""

FROZEN = "frozen"
"""The group that is never updated: no gradient, no decay, no moments."""


def label_groups(params: Any, group_of: Callable[[str], str]) -> Any:
    """Label each parameter with its optimizer group.

    Args:
      params: parameter tree.
      group_of: parameter path -> group name; a KeyError says that the path has none.

    Returns:
      A tree of strings of the same structure.

    Raises:
      ValueError: listing every parameter without a group.
    """
    left_out: list[str] = []

    def label(path: tuple[Any, ...], _: jax.Array) -> str:
        name = path_name(path)
        try:
            return group_of(name)
        except KeyError:
            left_out.append(name)
            return FROZEN

    labels = jax.tree_util.tree_map_with_path(label, params)
    if left_out:
        raise ValueError(f"expected an optimizer group for each of: {', '.join(left_out)}")
    return labels


def scale_by_traced_learning_rate() -> optax.GradientTransformationExtraArgs:
    """Multiply updates by minus the ``learning_rate`` given to ``update``: a traced value."""

    def update(
        updates: Any,
        state: optax.EmptyState,
        params: Any = None,
        *,
        learning_rate: jax.Array,
        **_: Any,
    ) -> tuple[Any, optax.EmptyState]:
        del params
        return jax.tree.map(lambda u: -learning_rate * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def close_gates(grads: Any, labels: Any, gates: Mapping[str, jax.Array]) -> Any:
    """Zero the gradients of the frozen group and of groups whose gate is closed."""

    def pass_or_zero(grad: jax.Array, label: str) -> jax.Array:
        if label == FROZEN:
            return jnp.zeros_like(grad)
        return jnp.where(gates[label], grad, 0.0) if label in gates else grad

    return jax.tree.map(pass_or_zero, grads, labels)


def clip_factor(norm: jax.Array, limit: jax.Array | float) -> jax.Array:
    """Factor that brings a gradient of a norm to at most the limit.

    With the 1e-6 of torch's ``clip_grad_norm_``, which the reference system uses.
    """
    return jnp.minimum(1.0, limit / (norm + 1e-6))


def global_norms(tree: Any, labels: Any) -> dict[str, jax.Array]:
    """Norm of each trainable group of gradients or parameters, and ``total`` over all of them.

    Args:
      tree: gradients or parameters.
      labels: from :func:`label_groups`.

    Returns:
      Group name -> norm, float32 scalars.
    """
    leaves: dict[str, list[jax.Array]] = {}
    for leaf, label in zip(jax.tree.leaves(tree), jax.tree.leaves(labels), strict=True):
        if label != FROZEN:
            leaves.setdefault(label, []).append(leaf.ravel())
    # One sum over a group: a sum for each small array would be a kernel for each.
    squares = {group: jnp.sum(jnp.concatenate(flat) ** 2) for group, flat in leaves.items()}
    total = sum(squares.values(), jnp.float32(0.0))
    return {group: jnp.sqrt(s) for group, s in squares.items()} | {"total": jnp.sqrt(total)}


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """Static settings of a step; fields as in ``config.optimizer`` and ``config.balancing``.

    Attributes:
      kind: "adamw" (decoupled decay), "adam_l2" (decay added to the gradient: torch's Adam), or
        "riemannian_adam" (Riemannian Adam for points of the Poincaré ball, "adam_l2" for the rest).
      b1: decay of the first moment.
      b2: decay of the second moment.
      eps: added to the root of the second moment.
      max_nonfinite_steps: steps in a row that may be skipped because their loss or gradient is not
        finite, before the run stops.
      balancing: how the gradients of the loss terms are combined.
    """

    kind: str
    b1: float
    b2: float
    eps: float
    max_nonfinite_steps: int
    balancing: Balancing = STATIC


def _descend(
    settings: OptimizerSettings, factor: Factor, weight_decay: jax.Array
) -> optax.GradientTransformationExtraArgs:
    """Adam with its decay, and the learning rate times a group's factor."""
    adam = optax.scale_by_adam(b1=settings.b1, b2=settings.b2, eps=settings.eps)
    decay = optax.add_decayed_weights(weight_decay)
    stages = (adam, decay) if settings.kind == "adamw" else (decay, adam)
    # As one vector: an update of each small array would be a kernel for each.
    return optax.flatten(optax.chain(*stages, optax.scale(factor), scale_by_traced_learning_rate()))


def _descend_in_ball(
    settings: OptimizerSettings, factor: Factor, weight_decay: jax.Array, c: jax.Array
) -> optax.GradientTransformationExtraArgs:
    """Riemannian Adam of :mod:`tvae.engine.riemannian` under the traced learning rate."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        riemannian.to_riemannian(c=c),
        riemannian.scale_by_riemannian_adam(settings.b1, settings.b2, settings.eps, c=c),
        optax.scale(factor),
        scale_by_traced_learning_rate(),
        riemannian.retract(c=c),
    )


def _descend_on_surface(
    settings: OptimizerSettings, factor: Factor, surface: frames.Surface
) -> optax.GradientTransformationExtraArgs:
    """Adam in the frames of points; these do not decay, and a group's factor is on the step."""
    inner = frames.adam_in_frames(surface, settings.b1, settings.b2, settings.eps)

    def update(
        updates: Any, state: Any, params: Any = None, *, learning_rate: jax.Array, **_: Any
    ) -> tuple[Any, Any]:
        return inner.update(updates, state, params, learning_rate=factor * learning_rate)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _gated(
    inner: optax.GradientTransformationExtraArgs, group: str
) -> optax.GradientTransformationExtraArgs:
    """Leave parameters, moments and count as they are while the group's gate is closed."""

    def is_open(step: jax.Array, *, gates: Mapping[str, jax.Array], **_: Any) -> jax.Array:
        del step
        return gates[group]

    return optax.conditionally_mask(inner, is_open, forward_extra_args=True)


Place = str | frames.Surface
"""Traced field with the curvature of a ball, a surface, or "" for flat parameters."""


def label_balls(params: Any, ball_of: Callable[[str], Place]) -> Any:
    """What each parameter is a point of; "" where it is flat."""
    return jax.tree_util.tree_map_with_path(lambda path, _: ball_of(path_name(path)), params)


def make_optimizer(
    labels: Any,
    groups: Mapping[str, Factor],
    gated: Set[str],
    settings: OptimizerSettings,
    hparams: Hparams,
    balls: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """One Adam per group; the frozen group is never touched.

    Made inside the traced step: what comes from ``groups`` and ``hparams`` may be traced.

    Args:
      labels: from :func:`label_groups`.
      groups: group -> factor on the learning rate.
      gated: groups with a run-time gate.
      settings: shared by all groups.
      hparams: ``optimizer.weight_decay`` (per unit of learning rate for "adamw", the L2 coefficient
        for the others), and the curvatures that ``balls`` names.
      balls: from :func:`label_balls`; None where all parameters are flat.

    Returns:
      A transformation whose ``update`` takes ``learning_rate`` and ``gates`` (for each gated
      group a bool scalar). Opening or closing a gate recompiles nothing. The clip is not in here:
      the step computes the norms anyway, to report them.

    Raises:
      UserError: for "riemannian_adam" where no parameter is a point of a ball.
    """
    if balls is None or settings.kind != "riemannian_adam":
        balls = jax.tree.map(lambda _: "", labels)
    curved = sorted({place for place in jax.tree.leaves(balls) if place}, key=str)
    if settings.kind == "riemannian_adam" and not curved:
        raise UserError(
            "config.optimizer.kind: 'riemannian_adam' has nothing to act on: no parameter of this "
            "model is a point of the ball; expected 'adam_l2' or 'adamw'"
        )
    decay = hparams["optimizer.weight_decay"]
    names = jax.tree.map(_in_ball, labels, balls)
    transforms: dict[str, Any] = {FROZEN: optax.set_to_zero()}
    for group, factor in groups.items():
        inner = {group: _descend(settings, factor, decay)}
        for place in curved:
            if isinstance(place, frames.Surface):
                tx = _descend_on_surface(settings, factor, place)
            else:
                tx = _descend_in_ball(settings, factor, decay, hparams[place])
            inner[_in_ball(group, place)] = tx
        gate = group in gated
        transforms |= {k: _gated(tx, group) if gate else tx for k, tx in inner.items()}
    used = set(jax.tree.leaves(names))
    return optax.multi_transform({k: tx for k, tx in transforms.items() if k in used}, names)


def _in_ball(group: str, place: Place) -> str:
    """Name of a group's transformation for points of a ball or surface."""
    return group if not place or group == FROZEN else f"{group} in the ball of {place}"
