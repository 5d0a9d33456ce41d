"""The optimizer: a complete map of parameters to groups, and one transformation per group."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

FROZEN = "frozen"
"""The group that is never updated: no gradient, no decay, no moments."""


def path_name(path: tuple[Any, ...]) -> str:
    """A key path as "encoder_a/hidden_0/kernel"."""
    return "/".join(str(getattr(entry, "key", entry)) for entry in path)


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


def scale_by_runtime_rate() -> optax.GradientTransformationExtraArgs:
    """Multiply updates by minus the ``learning_rate`` given to ``update``: a traced value."""

    def update(
        updates: Any, state: optax.EmptyState, params: Any = None, *, learning_rate: jax.Array
    ) -> tuple[Any, optax.EmptyState]:
        del params
        return jax.tree.map(lambda u: -learning_rate * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def make_optimizer(
    labels: Any, *, weight_decay: float, b1: float, b2: float, eps: float, grad_clip: float
) -> optax.GradientTransformationExtraArgs:
    """AdamW over all groups but the frozen one, clipped by their common gradient norm.

    Clipping happens inside the trainable part, so that gradients of frozen parameters cannot
    shrink the update.

    Args:
      labels: from :func:`label_groups`.
      weight_decay: decoupled decay per unit of learning rate, on every trainable parameter.
      b1: decay of the first moment.
      b2: decay of the second moment.
      eps: added to the root of the second moment.
      grad_clip: largest global norm of the trainable gradient.

    Returns:
      A transformation whose ``update`` takes ``learning_rate``.
    """
    trainable = optax.chain(
        optax.clip_by_global_norm(grad_clip),
        optax.scale_by_adam(b1=b1, b2=b2, eps=eps),
        optax.add_decayed_weights(weight_decay),
        scale_by_runtime_rate(),
    )
    split = jax.tree.map(lambda label: FROZEN if label == FROZEN else "trainable", labels)
    return optax.multi_transform({"trainable": trainable, FROZEN: optax.set_to_zero()}, split)


def clipped_norms(grads: Any, labels: Any, *, grad_clip: float) -> dict[str, jax.Array]:
    """Gradient norm of each trainable group, after the common clipping.

    Args:
      grads: gradient tree.
      labels: from :func:`label_groups`.
      grad_clip: largest global norm.

    Returns:
      ``grad_norm/<group>`` (after clipping) and ``grad_norm`` (all groups, before clipping).
    """
    squares: dict[str, jax.Array] = {}
    leaves = zip(jax.tree.leaves(grads), jax.tree.leaves(labels), strict=True)
    for grad, label in leaves:
        if label != FROZEN:
            squares[label] = squares.get(label, jnp.float32(0.0)) + jnp.sum(grad**2)
    total = jnp.sqrt(sum(squares.values(), jnp.float32(0.0)))
    scale = jnp.minimum(1.0, grad_clip / jnp.maximum(total, 1e-12))
    norms = {f"grad_norm/{group}": jnp.sqrt(s) * scale for group, s in squares.items()}
    return norms | {"grad_norm": total}
