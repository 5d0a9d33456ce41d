"""Spearman's rank correlation of lengths with a few ordered classes, and its ceiling."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from tvae.metrics.ranks import block_mean, correlation, tied_positions

# A packed key is 28 bits of value and 4 bits of class in one uint32.
_VALUE_BITS, _CLASS_BITS = 28, 4


def spearman_with_classes(x: jax.Array, label: jax.Array, *, n_classes: int) -> jax.Array:
    """Spearman correlation of non-negative lengths with a few ordered classes.

    One sort of 32-bit integers that carry the class in their low bits, five times faster than
    sorting floats with a payload. Lengths are compared at 2^-28 of the largest: for those in the
    top four octaves that is every bit of a float32.

    Args:
      x: ``(n,)``, ``>= 0``.
      label: integers ``(n,)`` in ``[0, n_classes)``.
      n_classes: at most 16 (static).

    Returns:
      A scalar in [-1, 1]; NaN where either side is constant or x is not finite.

    Raises:
      ValueError: if ``n_classes > 16``.

    >>> x, label = jnp.asarray([0.5, 0.25, 0.25]), jnp.asarray([0, 3, 1])
    >>> round(float(spearman_with_classes(x, label, n_classes=4)), 4)
    -0.866
    """
    if n_classes > 2**_CLASS_BITS:
        raise ValueError(f"expected at most {2**_CLASS_BITS} classes, got {n_classes}")
    n = x.shape[0]
    key = jax.lax.sort((_fixed_point(x) << _CLASS_BITS) | label.astype(jnp.uint32))
    u = _centred(tied_positions(key >> _CLASS_BITS), n)
    counts = jnp.zeros(n_classes, jnp.int32).at[label].add(1)
    score = _centred(2 * jnp.cumsum(counts) - counts - 1, n)
    v = score[key & (2**_CLASS_BITS - 1)]
    variance = (counts * jnp.square(score)).sum() / n
    rho = correlation(block_mean(u * v), block_mean(u * u), variance)
    return jnp.where(jnp.isfinite(x).all(), rho, jnp.nan)


def tie_ceiling(class_counts: Sequence[int]) -> float:
    r"""Largest Spearman correlation of a tie-free variable with one that has these tied classes.

    Where the tie-free variable respects the order of the classes, each class's average rank is the
    mean rank of its members, hence :math:`ρ = \sqrt{1 - \sum_k (n_k^3 - n_k) / (N^3 - N)}`. Ties in
    the other variable (radii snapped to their level) can exceed it, up to 1.

    Args:
      class_counts: sizes of the classes.

    Returns:
      A Python float in [0, 1].

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
