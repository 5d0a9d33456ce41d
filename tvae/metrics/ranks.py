"""Spearman's rank correlation with average ranks for ties, as scipy's, in pure jax.

Ranks of half a million pairs do not fit a float32 sum of squares, so ranks are centred and scaled
to [-1/2, 1/2] before they are multiplied, and sums are taken in blocks. No gradient passes.
"""

import jax
import jax.numpy as jnp

_BLOCK = 512


def average_ranks(x: jax.Array) -> jax.Array:
    """Ranks 1..n with the average rank for ties; O(n log n).

    Args:
      x: ``(n,)``, no NaN.

    Returns:
      float32 ``(n,)``; exact up to n = 2^24.

    >>> average_ranks(jnp.asarray([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    n = x.shape[0]
    order = jnp.arange(n, dtype=jnp.int32)
    x_sorted, order = jax.lax.sort((x, order), num_keys=1)
    ranks = 0.5 * tied_positions(x_sorted).astype(jnp.float32) + 1
    return jnp.zeros(n, jnp.float32).at[order].set(ranks, unique_indices=True)


def spearman(x: jax.Array, y: jax.Array) -> jax.Array:
    """Spearman correlation of two samples.

    Args:
      x: ``(n,)``.
      y: ``(n,)``.

    Returns:
      A scalar in [-1, 1]; NaN where either side is constant or holds a NaN, as scipy's.

    >>> round(float(spearman(jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([1.0, 4.0, 4.0]))), 4)
    0.866
    """
    n = x.shape[0]
    u, v = (
        average_ranks(jax.lax.stop_gradient(values)) / n - 0.5 * (n + 1) / n for values in (x, y)
    )
    rho = correlation(block_mean(u * v), block_mean(u * u), block_mean(v * v))
    return jnp.where(jnp.isnan(x).any() | jnp.isnan(y).any(), jnp.nan, rho)


def tied_positions(x_sorted: jax.Array) -> jax.Array:
    """Twice the average 0-based position of each entry's tie group, int32."""
    n = x_sorted.shape[0]
    position = jnp.arange(n, dtype=jnp.int32)
    step = x_sorted[1:] != x_sorted[:-1]
    edge = jnp.ones(1, jnp.bool_)
    starts, ends = jnp.concatenate([edge, step]), jnp.concatenate([step, edge])
    first = jax.lax.cummax(jnp.where(starts, position, 0))
    last = jax.lax.cummin(jnp.where(ends, position, n - 1), reverse=True)
    return first + last


def block_mean(x: jax.Array) -> jax.Array:
    """Mean of ``(n,)``, summed in blocks to keep float32 accurate."""
    padded = jnp.pad(x, (0, -x.shape[0] % _BLOCK))
    return padded.reshape(-1, _BLOCK).sum(-1).sum() / x.shape[0]


def correlation(covariance: jax.Array, variance_u: jax.Array, variance_v: jax.Array) -> jax.Array:
    """Correlation from second moments, in [-1, 1]; NaN where a side does not vary."""
    scale = jnp.sqrt(variance_u * variance_v)
    varies = scale > 0
    return jnp.where(varies, jnp.clip(covariance / jnp.where(varies, scale, 1), -1, 1), jnp.nan)
