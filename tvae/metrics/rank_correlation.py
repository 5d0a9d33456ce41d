"""Spearman's rank correlation with average ranks for ties, in pure jax, and its ceiling.

Ranks of half a million pairs do not fit a float32 sum of squares, so ranks are centred and scaled
to [-1/2, 1/2] before they are multiplied, and sums are taken in blocks. No gradient passes.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

_BLOCK = 512
# A packed key is 28 bits of value and 4 bits of class in one uint32.
_VALUE_BITS, _CLASS_BITS = 28, 4


def average_ranks(x: jax.Array) -> jax.Array:
    """Ranks 1..n of ``(n,)`` with the average rank for ties; O(n log n).

    float32, exact up to n = 2^24; ``x`` must not hold a NaN.

    >>> average_ranks(jnp.asarray([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    n = x.shape[0]
    order = jnp.arange(n, dtype=jnp.int32)
    x_sorted, order = jax.lax.sort((x, order), num_keys=1)
    ranks = 0.5 * _tied_positions(x_sorted).astype(jnp.float32) + 1
    return jnp.zeros(n, jnp.float32).at[order].set(ranks, unique_indices=True)


def spearman(x: jax.Array, y: jax.Array) -> jax.Array:
    """Spearman correlation of two samples ``(n,)``.

    NaN where either side is constant or holds a NaN, as scipy's.

    >>> round(float(spearman(jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([1.0, 4.0, 4.0]))), 4)
    0.866
    """
    n = x.shape[0]
    u, v = (
        average_ranks(jax.lax.stop_gradient(values)) / n - 0.5 * (n + 1) / n for values in (x, y)
    )
    rho = _correlation(_block_mean(u * v), _block_mean(u * u), _block_mean(v * v))
    return jnp.where(jnp.isnan(x).any() | jnp.isnan(y).any(), jnp.nan, rho)


def spearman_with_classes(x: jax.Array, label: jax.Array, *, n_classes: int) -> jax.Array:
    """Spearman correlation of non-negative lengths with ordered classes.

    Up to 16 classes by one sort of 32-bit integers that carry the class in their low bits, five
    times faster than sorting floats with a payload: lengths are then compared at 2^-28 of the
    largest, which for those in the top four octaves is every bit of a float32. More classes by
    :func:`spearman`.

    Args:
      x: ``(n,)``, ``>= 0``.
      label: integers ``(n,)`` in ``[0, n_classes)``.
      n_classes: number of classes (static).

    Returns:
      A scalar in [-1, 1]; NaN where either side is constant or x is not finite.

    >>> x, label = jnp.asarray([0.5, 0.25, 0.25]), jnp.asarray([0, 3, 1])
    >>> round(float(spearman_with_classes(x, label, n_classes=4)), 4)
    -0.866
    """
    if n_classes > 2**_CLASS_BITS:
        rho = spearman(x, label)
    else:
        rho = _packed_spearman(x, label, n_classes)
    return jnp.where(jnp.isfinite(x).all(), rho, jnp.nan)


def _packed_spearman(x: jax.Array, label: jax.Array, n_classes: int) -> jax.Array:
    n = x.shape[0]
    key = jax.lax.sort((_fixed_point(x) << _CLASS_BITS) | label.astype(jnp.uint32))
    u = _centred(_tied_positions(key >> _CLASS_BITS), n)
    counts = jnp.zeros(n_classes, jnp.int32).at[label].add(1)
    score = _centred(2 * jnp.cumsum(counts) - counts - 1, n)
    v = score[key & (2**_CLASS_BITS - 1)]
    variance = (counts * jnp.square(score)).sum() / n
    return _correlation(_block_mean(u * v), _block_mean(u * u), variance)


def tie_ceiling(class_counts: Sequence[int]) -> float:
    r"""Largest Spearman correlation of a tie-free variable with one that has these tied classes.

    Where the tie-free variable respects the order of the classes, each class's average rank is the
    mean rank of its members, hence :math:`ρ = \sqrt{1 - \sum_k (n_k^3 - n_k) / (N^3 - N)}`. Ties in
    the other variable (radii snapped to their level) can exceed it, up to 1.

    >>> round(tie_ceiling([13122, 4374, 1458, 486, 162, 54, 18, 6, 2, 1]), 7)
    0.8320503
    """
    n = sum(class_counts)
    tied = sum(k**3 - k for k in class_counts)
    return math.sqrt(1 - tied / (n**3 - n))


def _centred(twice_position: jax.Array, n: int) -> jax.Array:
    """Positions to [-1/2, 1/2], exact in integers until the division."""
    return (twice_position - (n - 1)).astype(jnp.float32) / (2 * n)


def _fixed_point(x: jax.Array) -> jax.Array:
    _, exponent = jnp.frexp(jnp.max(x))
    return jnp.ldexp(x, _VALUE_BITS - exponent).astype(jnp.uint32)


def _tied_positions(x_sorted: jax.Array) -> jax.Array:
    """Twice the average 0-based position of each entry's tie group, int32."""
    n = x_sorted.shape[0]
    position = jnp.arange(n, dtype=jnp.int32)
    step = x_sorted[1:] != x_sorted[:-1]
    edge = jnp.ones(1, jnp.bool_)
    starts, ends = jnp.concatenate([edge, step]), jnp.concatenate([step, edge])
    first = jax.lax.cummax(jnp.where(starts, position, 0))
    last = jax.lax.cummin(jnp.where(ends, position, n - 1), reverse=True)
    return first + last


def _block_mean(x: jax.Array) -> jax.Array:
    """Mean of ``(n,)``, summed in blocks to keep float32 accurate."""
    padded = jnp.pad(x, (0, -x.shape[0] % _BLOCK))
    return padded.reshape(-1, _BLOCK).sum(-1).sum() / x.shape[0]


def _correlation(covariance: jax.Array, variance_u: jax.Array, variance_v: jax.Array) -> jax.Array:
    """Correlation from second moments, in [-1, 1]; NaN where a side does not vary."""
    scale = jnp.sqrt(variance_u * variance_v)
    varies = scale > 0
    return jnp.where(varies, jnp.clip(covariance / jnp.where(varies, scale, 1), -1, 1), jnp.nan)
