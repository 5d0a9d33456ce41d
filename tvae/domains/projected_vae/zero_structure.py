"""Losses on the zeros of an operation's truth table: kept for parity, off by default.

They pull operations whose leading entries are *zero* (digit 1) inwards, the hierarchy terms those
whose leading entries are *-1* (digit 0). The rank correlation of the two valuations is -0.48: the
published gap to the hierarchy's ceiling is almost wholly due to this conflict.
"""

import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.domains.operations.tree import TREE
from tvae.geometry import padic
from tvae.losses.levels import target_radius

# The reference system's guard against a constant number of zeros.
_STD_FLOOR = 1e-8


def zero_valuation(index: jax.Array) -> jax.Array:
    """Number of leading zero entries (digit 1) of an operation, from the least significant.

    The 3-adic valuation of the distance to the all-zero operation, index 9841; int32 in [0, 9].

    >>> zero_valuation(jnp.asarray([9841, 0, 4])).tolist()
    [9, 0, 2]
    """
    return padic.valuation(index - (padic.count() - 1) // 2)


def zero_count(index: jax.Array) -> jax.Array:
    """Number of zero entries (digit 1) of an operation, int32 in ``[0, 9]``.

    >>> zero_count(jnp.asarray([9841, 0, 4])).tolist()
    [9, 0, 2]
    """
    return (padic.digits(index) == 1).sum(-1, dtype=jnp.int32)


def zero_valuation_loss(
    radius: jax.Array, index: jax.Array, *, inner: Numeric, outer: Numeric, smooth: bool = True
) -> jax.Array:
    """Smooth L1 (or squared) distance of each radius from the target of :func:`zero_valuation`.

    Args:
      radius: ``(n,)`` hyperbolic, as the result.
      index: int ``(n,)``.
      inner: target radius of the all-zero operation.
      outer: target radius of an operation whose first entry is not zero.
      smooth: smooth L1 with its corner at 1, or the square when False (static).

    Source: the reference system's ZeroValuationLoss.

    >>> r = jnp.asarray([0.9, 0.18])
    >>> loss = zero_valuation_loss(r, jnp.asarray([0, 9841]), inner=0.08, outer=0.9)
    >>> round(float(loss.mean()), 6)
    0.0025
    """
    target = target_radius(zero_valuation(index), tree=TREE, inner=inner, outer=outer)
    error = radius - target.astype(radius.dtype)
    return optax.huber_loss(error) if smooth else jnp.square(error)


def zero_sparsity_loss(
    radius: jax.Array, index: jax.Array, *, target_correlation: Numeric = -0.3
) -> jax.Array:
    r"""Squared distance of the correlation of (number of zeros, radius) from a target.

    Radii and operations are ``(n,)``. The "correlation" is (n - 1)/n times Pearson's
    (unbiased deviations under a plain mean), and 0 where either side is constant, as one row is.

    Source: the reference system's ZeroSparsityLoss.

    >>> r = jnp.asarray([1.0, 0.5])
    >>> round(float(zero_sparsity_loss(r, jnp.asarray([0, 9841]))), 4)
    0.04
    """
    zeros = _standardise(zero_count(index).astype(radius.dtype))
    correlation = (zeros * _standardise(radius)).mean()
    return jnp.square(correlation - target_correlation)


def _standardise(x: jax.Array) -> jax.Array:
    centred = x - x.mean()
    variance = jnp.square(centred).sum() / max(x.shape[0] - 1, 1)
    # Double where: sqrt has an infinite gradient at 0.
    varies = variance > 0
    deviation = jnp.where(varies, jnp.sqrt(jnp.where(varies, variance, 1)), 0)
    return centred / (deviation + _STD_FLOOR)
