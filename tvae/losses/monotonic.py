"""The monotonic radial loss: mean radii must fall from each level to the next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.losses.levels import N_LEVELS, level_gaps, level_statistics, masked_mean, target_radius


class MonotonicTerms(NamedTuple):
    """Unweighted scalars; the original's loss is ``order + 0.5 * target``."""

    order: jax.Array
    target: jax.Array


def monotonic_radial(
    radius: jax.Array,
    valuation: jax.Array,
    *,
    inner: Numeric,
    outer: Numeric,
    min_margin: Numeric = 0.02,
    margin_scale: Numeric = 1.0,
    temperature: Numeric | None = 0.05,
) -> MonotonicTerms:
    r"""Soft order of the level means, and their distance from the targets.

    Between consecutive present levels, d levels apart, the mean radius should fall by the margin
    :math:`m = \max(m_0, s\, d\, (r_{out} - r_{in}) / 9)`; the order term is the mean of
    :math:`T \operatorname{softplus}((m - gap) / T)`, the target term the mean over present levels
    of :math:`(\bar ρ_v - t_v)^2`.

    Args:
      radius: ``(n,)`` hyperbolic.
      valuation: int ``(n,)``.
      inner: target radius of valuation 9 (original default 0.1).
      outer: target radius of valuation 0 (original default 0.85).
      min_margin: m_0, unit of the radius.
      margin_scale: s.
      temperature: T, unit of the radius; None for the hard hinge.

    Returns:
      :class:`MonotonicTerms`; both 0 when fewer than two levels are present.

    Source: the reference system's MonotonicRadialLoss.

    >>> r, v = jnp.asarray([0.85, 0.85]), jnp.asarray([0, 9])
    >>> terms = monotonic_radial(r, v, inner=0.1, outer=0.85, temperature=None)
    >>> round(float(terms.order), 4), round(float(terms.target), 4)
    (0.75, 0.2812)
    """
    statistics = level_statistics(radius, valuation)
    gaps = level_gaps(statistics)
    step = (outer - inner) / (N_LEVELS - 1)
    violation = jnp.maximum(min_margin, margin_scale * step * gaps.levels) - gaps.gap
    if temperature is None:
        penalty = jax.nn.relu(violation)
    else:
        penalty = jax.nn.softplus(violation / temperature) * temperature
    wanted = target_radius(jnp.arange(N_LEVELS), inner=inner, outer=outer).astype(radius.dtype)
    error = jnp.square(statistics.mean - wanted)
    return MonotonicTerms(
        order=masked_mean(penalty, gaps.mask),
        target=jnp.where(gaps.mask.any(), masked_mean(error, statistics.present), 0),
    )
