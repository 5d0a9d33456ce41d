"""Does the radius carry the valuation, and how much room do the levels leave inside?"""

import jax
import jax.numpy as jnp

from tvae.geometry import padic as ternary
from tvae.geometry.padic import N_DIGITS
from tvae.metrics.rank_correlation import spearman_with_classes, tie_ceiling

_N_LEVELS = N_DIGITS + 1


def hierarchy(radius: jax.Array, valuation: jax.Array) -> jax.Array:
    """Spearman correlation of valuation and radius, negative when deep operations lie inside.

    Any monotone transform of the radius gives the same value, so Euclidean norms do as well.

    Args:
      radius: ``(n,)``, ``>= 0``.
      valuation: int ``(n,)``.

    Returns:
      A scalar in [-1, 1]; NaN for constant radii. Ceiling: :func:`hierarchy_ceiling`.

    >>> v = jnp.asarray([0, 0, 1, 2])
    >>> round(float(hierarchy(jnp.asarray([0.9, 0.8, 0.5, 0.1]), v)), 4)
    -0.9487
    """
    return spearman_with_classes(radius, valuation, n_classes=_N_LEVELS)


def hierarchy_ceiling(*, n_digits: int = N_DIGITS, p: int = 3) -> float:
    r"""Strongest hierarchy over the whole space with tie-free radii.

    For many digits :math:`-\sqrt{1 - (p-1)^3 / (p^3 - 1)}`, for p = 3 that is
    :math:`-3/\sqrt{13}`.

    >>> round(hierarchy_ceiling(), 7)
    -0.8320503
    """
    return -tie_ceiling(ternary.level_counts(n_digits=n_digits, p=p))


def level_radii(radius: jax.Array, valuation: jax.Array) -> jax.Array:
    """Mean radius of each level.

    Args:
      radius: ``(n,)``.
      valuation: int ``(n,)`` in ``[0, 9]``.

    Returns:
      ``(10,)``; NaN where a level is absent.

    >>> mean = level_radii(jnp.asarray([1.0, 3.0, 0.5]), jnp.asarray([0, 0, 9]))
    >>> mean[0].item(), mean[9].item()
    (2.0, 0.5)
    """
    member = _members(valuation)
    return jnp.mean(jnp.broadcast_to(radius[:, None], member.shape), axis=0, where=member)


def richness(radius: jax.Array, valuation: jax.Array) -> jax.Array:
    r"""Spread of the radius inside the levels, :math:`\tfrac1{10} \sum_{v : n_v > 1} s_v^2`.

    Args:
      radius: ``(n,)``; hyperbolic in the published comprehensive figures (the published quick ones
        use Euclidean norms, four to five times smaller).
      valuation: int ``(n,)`` in ``[0, 9]``.

    Returns:
      A scalar of the squared unit: population variances, summed over levels with two or more
      members and divided by ten. It has no ceiling of its own, but bands that do not overlap
      bound it: ten bands of width w have at most w²/4 each.

    >>> v = jnp.asarray([0, 0, 1])
    >>> round(float(richness(jnp.asarray([1.0, 3.0, 7.0]), v)), 4)
    0.1
    """
    member = _members(valuation)
    n_rows = member.sum(0)
    mean = jnp.where(member, radius[:, None], 0).sum(0) / jnp.maximum(n_rows, 1)
    deviation = jnp.where(member, jnp.square(radius - mean[valuation])[:, None], 0)
    # A level of a single row has deviation 0 and drops out by itself.
    return (deviation.sum(0) / jnp.maximum(n_rows, 1)).sum() / _N_LEVELS


def _members(valuation: jax.Array) -> jax.Array:
    return valuation[:, None] == jnp.arange(_N_LEVELS, dtype=valuation.dtype)[None, :]
