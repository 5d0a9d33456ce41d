"""Likelihoods: how well a decoder predicts its data."""

import jax
import jax.numpy as jnp

from tvae.fields import BOOLEAN
from tvae.losses.registry import term


@term(
    "cross_entropy",
    unit="nats",
    per="item",
    options={"per_position": (BOOLEAN, "divide by the number of positions")},
    bounds=(0.0, jnp.inf),
    source="Bishop (2006), Pattern Recognition and Machine Learning, eq. 4.108",
    was={"ReconstructionLoss": "same", "ReconstructionLossComponent": "same"},
)
def cross_entropy(logits: jax.Array, target: jax.Array, *, per_position: bool = False) -> jax.Array:
    r"""Cross-entropy of a string of classes, :math:`-\sum_j \log p_{j, k_j}` over positions j.

    Args:
      logits: ``(..., n_positions, n_classes)``.
      target: class at each position, integers ``(..., n_positions)``.
      per_position: mean over positions instead of their sum (static).

    Returns:
      ``(...)`` in nats.

    >>> round(float(cross_entropy(jnp.zeros((9, 3)), jnp.zeros(9, jnp.int32))), 4)  # 9 ln 3
    9.8875
    """
    # Shifted by the largest logit before the subtraction: a loss near 0 keeps its precision, which
    # `logsumexp(logits) - logits[label]` rounds away when logits reach 100.
    log_p = jax.nn.log_softmax(logits)
    rows = -jnp.take_along_axis(log_p, target[..., None], -1)[..., 0].sum(-1)
    return rows / target.shape[-1] if per_position else rows
