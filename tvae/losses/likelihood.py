"""Likelihoods: how well a decoder predicts its data."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, label: jax.Array) -> jax.Array:
    r"""Cross-entropy of a string of classes, :math:`-\sum_j \log p_{j, k_j}` over positions j.

    Args:
      logits: ``(..., n_positions, n_classes)``.
      label: class at each position, integers ``(..., n_positions)``.

    Returns:
      ``(...)`` in nats.

    >>> round(float(cross_entropy(jnp.zeros((9, 3)), jnp.zeros(9, jnp.int32))), 4)  # 9 ln 3
    9.8875
    """
    # Shifted by the largest logit before the subtraction: a loss near 0 keeps its precision, which
    # `logsumexp(logits) - logits[label]` rounds away when logits reach 100.
    log_p = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_p, label[..., None], -1)[..., 0].sum(-1)
