"""Regularizers of a batch as a whole; ``where`` marks its real rows with 1 and padding with 0."""

import jax
import jax.numpy as jnp

from tvae.fields import above
from tvae.losses import blocks
from tvae.losses.registry import term


@term(
    "output_entropy",
    unit="nats",
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source="the reference system's EntropyRegularization, which minimises its negative",
    was={"EntropyRegularization": "same", "EntropyLossComponent": "same"},
)
def output_entropy(logits: jax.Array, where: jax.Array | None = None) -> jax.Array:
    r"""Entropy of the batch-mean class distribution: :math:`-\sum_{jc}\bar p_{jc}\ln\bar p_{jc}`.

    Of logits ``(batch, n_positions, n_classes)``; nats, at most ``n_positions * ln n_classes``.

    >>> round(float(output_entropy(jnp.zeros((4, 9, 3)), jnp.ones(4))), 4)
    9.8875
    """
    mask = jnp.ones(logits.shape[0]) if where is None else where.astype(logits.dtype)
    weight = mask[:, None, None] / jnp.maximum(mask.sum(), 1.0)
    mean = (jax.nn.softmax(logits) * weight).sum(0)
    return -(mean * jnp.log(mean + 1e-10)).sum()


@term(
    "repulsion",
    unit="1",
    options={"sigma": (above(0.0), "length scale, latent units")},
    bounds=(0.0, 1.0),
    invariances=("permutation", "rotation", "translation"),
    source="the reference system's RepulsionLoss",
    was={"RepulsionLoss": "same", "RepulsionLossComponent": "same"},
)
def repulsion(
    z: jax.Array, where: jax.Array | None = None, *, sigma: jax.Array | float = 0.5
) -> jax.Array:
    r"""Mean of :math:`e^{-\lVert z_i - z_j\rVert^2/\sigma^2}` over ordered pairs of distinct rows.

    Squared distances come from the Gram matrix, so no root meets the zero diagonal.

    Args:
      z: ``(batch, latent_dim)``.
      where: ``(batch,)``, rows that count; None for all.
      sigma: length scale in latent units.

    Returns:
      Scalar in [0, 1]; 0 for fewer than two real rows.

    >>> round(float(repulsion(jnp.asarray([[0.0], [0.5]]), jnp.ones(2), sigma=0.5)), 4)
    0.3679
    """
    mask = jnp.ones(z.shape[0]) if where is None else where.astype(z.dtype)
    norms = (z**2).sum(-1)

    def of_rows(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        squared = jnp.maximum(norms[i][:, None] + norms[None, :] - 2.0 * (z[i] @ z.T), 0.0)
        pair = (i[:, None] != jnp.arange(z.shape[0])[None, :]) * mask[i][:, None] * mask[None, :]
        return (jnp.exp(-squared / sigma**2) * pair).sum(-1), pair.sum(-1)

    total, count = blocks.map_rows(of_rows, z.shape[0])
    return total.sum() / jnp.maximum(count.sum(), 1.0)
