"""Masked means and sums over levels: fixed shapes where the formulas speak of "those present"."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.geometry.padic import N_DIGITS

N_LEVELS = N_DIGITS + 1
"""Levels of the tree: valuations 0 (two thirds of all operations) to 9 (one operation)."""


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of ``x`` where ``mask`` holds; 0 (with a zero gradient) where it holds nowhere.

    Args:
      x: values of any shape, finite also where masked out.
      mask: booleans of the same shape.

    Returns:
      A scalar of ``x``'s dtype.

    >>> float(masked_mean(jnp.asarray([1.0, 5.0, 3.0]), jnp.asarray([True, False, True])))
    2.0
    """
    total = jnp.where(mask, x, 0).sum()
    return total / jnp.maximum(mask.sum(), 1).astype(x.dtype)


def level_sum(x: jax.Array, valuation: jax.Array) -> jax.Array:
    """Segment sum of ``x`` over the ten levels.

    A comparison with ten constants instead of a scatter: it fuses into one reduction and is several
    times faster for batches of hundreds on every backend.

    Args:
      x: ``(n,)``.
      valuation: int ``(n,)`` in ``[0, 9]``.

    Returns:
      ``(10,)``, 0 for absent levels.

    >>> level_sum(jnp.asarray([1.0, 2.0, 4.0]), jnp.asarray([0, 9, 0])).tolist()
    [5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]
    """
    levels = jnp.arange(N_LEVELS, dtype=valuation.dtype)
    return jnp.where(valuation[:, None] == levels[None, :], x[:, None], 0).sum(0)


class LevelStatistics(NamedTuple):
    """Radii of a batch, level by level; every field has shape ``(10,)``."""

    n_rows: jax.Array
    """Rows at the level (float)."""
    mean: jax.Array
    """Mean radius; 0 where the level is absent."""
    variance: jax.Array
    """Unbiased variance of the radius; 0 where the level has fewer than two rows."""

    @property
    def present(self) -> jax.Array:
        """Which levels have a row, bool ``(10,)``."""
        return self.n_rows > 0


def level_statistics(radius: jax.Array, valuation: jax.Array) -> LevelStatistics:
    """Count, mean and unbiased variance of the radius at each level.

    Args:
      radius: ``(n,)``, any unit of length.
      valuation: int ``(n,)`` in ``[0, 9]``.

    Returns:
      A :class:`LevelStatistics`; the variance is of the squared unit.

    >>> level_statistics(jnp.asarray([1.0, 3.0]), jnp.asarray([2, 2])).variance[2].item()
    2.0
    """
    n_rows = level_sum(jnp.ones_like(radius), valuation)
    mean = level_sum(radius, valuation) / jnp.maximum(n_rows, 1)
    # Two passes: E[x²] - E[x]² would lose all digits for the thin shells of a trained model.
    deviation = radius - mean[valuation]
    variance = level_sum(jnp.square(deviation), valuation) / jnp.maximum(n_rows - 1, 1)
    return LevelStatistics(n_rows, mean, variance)


class LevelGaps(NamedTuple):
    """Steps inwards between consecutive *present* levels; entry k is the step that ends in k."""

    gap: jax.Array
    """Mean radius of the level before minus that of this one; positive when well ordered."""
    levels: jax.Array
    """How many levels the step spans (1 where none is absent), same dtype as ``gap``."""
    mask: jax.Array
    """True where this level and one before it are present."""


def level_gaps(statistics: LevelStatistics) -> LevelGaps:
    """Gaps of the mean radius between each present level and the last present one before it.

    Args:
      statistics: from :func:`level_statistics`.

    Returns:
      A :class:`LevelGaps` of ``(10,)`` arrays.

    >>> gaps = level_gaps(level_statistics(jnp.asarray([5.0, 3.0]), jnp.asarray([0, 4])))
    >>> gaps.gap[4].item(), gaps.levels[4].item(), gaps.mask.sum().item()
    (2.0, 4.0, 1)
    """
    level = jnp.arange(N_LEVELS)
    last = jax.lax.cummax(jnp.where(statistics.present, level, -1))
    previous = jnp.concatenate([jnp.full((1,), -1, last.dtype), last[:-1]])
    mask = statistics.present & (previous >= 0)
    gap = statistics.mean[jnp.maximum(previous, 0)] - statistics.mean
    return LevelGaps(gap, (level - previous).astype(gap.dtype), mask)


def target_radius(valuation: jax.Array, *, inner: Numeric, outer: Numeric) -> jax.Array:
    r"""Radius that a level should have, linear in the valuation.

    .. math:: t_v = r_{out} - \tfrac{v}{9} (r_{out} - r_{in})

    Args:
      valuation: integers of any shape in ``[0, 9]``.
      inner: radius of valuation 9, in the unit of the radii it is compared with.
      outer: radius of valuation 0, same unit.

    Returns:
      Radii of the shape of ``valuation``. The production line compares them with *hyperbolic*
      radii although the numbers (0.08, 0.90) were once tuned as Euclidean norms.

    >>> target_radius(jnp.asarray([0, 9]), inner=0.25, outer=1.0).tolist()
    [1.0, 0.25]
    """
    share = valuation.astype(jnp.result_type(float)) / N_DIGITS
    return outer - share * (outer - inner)
