"""Regularizers of a batch as a whole; ``mask`` marks its real rows with 1 and padding with 0."""

import jax
import jax.numpy as jnp


def output_entropy(logits: jax.Array, mask: jax.Array) -> jax.Array:
    r"""Entropy of the batch-mean class distribution: :math:`-\sum_{jc}\bar p_{jc}\ln\bar p_{jc}`.

    Of logits ``(batch, n_positions, n_classes)``; nats, at most ``n_positions * ln n_classes``.

    >>> round(float(output_entropy(jnp.zeros((4, 9, 3)), jnp.ones(4))), 4)
    9.8875
    """
    weight = mask[:, None, None] / mask.sum()
    mean = (jax.nn.softmax(logits) * weight).sum(0)
    return -(mean * jnp.log(mean + 1e-10)).sum()


def repulsion(z: jax.Array, mask: jax.Array, *, sigma: jax.Array | float) -> jax.Array:
    r"""Mean of :math:`e^{-\lVert z_i - z_j\rVert^2/\sigma^2}` over ordered pairs of distinct rows.

    Squared distances come from the Gram matrix, so no root meets the zero diagonal.

    Args:
      z: ``(batch, latent_dim)``.
      mask: ``(batch,)``.
      sigma: length scale in latent units.

    Returns:
      Scalar in [0, 1]; 0 for fewer than two real rows.

    >>> round(float(repulsion(jnp.asarray([[0.0], [0.5]]), jnp.ones(2), sigma=0.5)), 4)
    0.3679
    """
    norms = (z**2).sum(-1)
    squared = jnp.maximum(norms[:, None] + norms[None, :] - 2.0 * (z @ z.T), 0.0)
    pair = (1.0 - jnp.eye(z.shape[0])) * mask[:, None] * mask[None, :]
    return (jnp.exp(-squared / sigma**2) * pair).sum() / jnp.maximum(pair.sum(), 1.0)
