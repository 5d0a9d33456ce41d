"""Ranks on device: average ranks and Spearman's correlation with static shapes."""

import jax
import jax.numpy as jnp


def average_ranks(x: jax.Array) -> jax.Array:
    """Ranks from 1, ties sharing the mean of theirs.

    Args:
      x: ``(n,)``.

    Returns:
      float32 ``(n,)``.

    >>> average_ranks(jnp.asarray([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = jnp.argsort(x)
    ordered = x[order]
    n = x.shape[0]
    place = jnp.arange(n)
    changes = ordered[1:] != ordered[:-1]
    starts = jnp.concatenate([jnp.ones(1, bool), changes])
    ends = jnp.concatenate([changes, jnp.ones(1, bool)])
    first = jax.lax.cummax(jnp.where(starts, place, 0))
    last = jax.lax.cummin(jnp.where(ends, place, n - 1), reverse=True)
    ranks = 0.5 * (first + last).astype(jnp.float32) + 1.0
    return jnp.zeros(n, jnp.float32).at[order].set(ranks)


def spearman(x: jax.Array, y: jax.Array) -> jax.Array:
    """Spearman's rank correlation with average ranks; it has no gradient.

    Args:
      x: ``(n,)``.
      y: ``(n,)``.

    Returns:
      float32 scalar in [-1, 1]; 0 where either is constant.

    >>> float(spearman(jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([9.0, 5.0, 1.0])))
    -1.0
    """
    middle = 0.5 * (x.shape[0] + 1)
    u, v = average_ranks(x) - middle, average_ranks(y) - middle
    square = jnp.sum(u * u) * jnp.sum(v * v)
    varies = square > 0.0
    rho = jnp.sum(u * v) / jnp.sqrt(jnp.where(varies, square, 1.0))
    return jax.lax.stop_gradient(jnp.where(varies, rho, 0.0))
