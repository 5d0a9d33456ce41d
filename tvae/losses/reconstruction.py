"""Reconstruction: how well logits predict the digits of an operation."""

import jax
import optax


def cross_entropy(logits: jax.Array, digit: jax.Array) -> jax.Array:
    r"""Cross-entropy of an operation, summed over its digits: :math:`-\sum_j \log p_{j, d_j}`.

    Args:
      logits: ``(..., n_digits, 3)``.
      digit: class of each digit, integers ``(..., n_digits)`` in {0, 1, 2}.

    Returns:
      ``(...)`` in nats per operation; uniform logits over nine digits give 9 ln 3 = 9.8875.

    >>> round(float(cross_entropy(jnp.zeros((9, 3)), jnp.zeros(9, jnp.int32))), 4)
    9.8875
    """
    return optax.softmax_cross_entropy_with_integer_labels(logits, digit).sum(-1)
