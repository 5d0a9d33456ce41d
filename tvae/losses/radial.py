"""Losses that tie the hyperbolic radius of a point to its valuation, singly or by pairs."""

import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.geometry.padic import N_DIGITS
from tvae.losses.levels import masked_mean, target_radius
from tvae.losses.pairs import Pairs, ends


def exponential_weight(valuation: jax.Array, *, growth: Numeric = 0.4) -> jax.Array:
    r"""Weight of a row in the radial hierarchy loss, :math:`1 + e^{g v}`.

    Args:
      valuation: integers of any shape.
      growth: g, per level.

    Returns:
      Same shape; from 2 at v = 0 to 37.6 at v = 9 with the original's 0.4. With its stratified
      batches index 0 alone then carries a quarter of the loss.

    >>> exponential_weight(jnp.asarray([0, 9])).round(1).tolist()
    [2.0, 37.6...]
    """
    return 1 + jnp.exp(growth * valuation.astype(jnp.result_type(float)))


def linear_weight(valuation: jax.Array) -> jax.Array:
    """Weight of a row in the radial stratification loss, ``1 + v / 9``.

    >>> linear_weight(jnp.asarray([0, 9])).tolist()
    [1.0, 2.0]
    """
    return 1 + valuation.astype(jnp.result_type(float)) / N_DIGITS


def radial_hierarchy(
    radius: jax.Array,
    valuation: jax.Array,
    *,
    inner: Numeric,
    outer: Numeric,
    weight: Numeric = 1.0,
) -> jax.Array:
    r"""Weighted mean square of the radius minus its target, :math:`\overline{w (ρ - t_v)^2}`.

    Args:
      radius: ``(n,)`` hyperbolic.
      valuation: int ``(n,)``.
      inner: target radius of valuation 9.
      outer: target radius of valuation 0.
      weight: ``(n,)`` or a scalar; the original uses :func:`exponential_weight`.

    Returns:
      A scalar, divided by n and not by the sum of the weights. The original adds
      ``margin_weight`` (0.5 in v5.12, 1.0 in v5.11) times :func:`radial_margin`; in v5.12 the
      weight 1.0 of both halves when the geodesic phase begins.

    Source: the reference system's RadialHierarchyLoss (primary part).

    >>> r, v = jnp.asarray([0.9, 0.18]), jnp.asarray([0, 9])
    >>> round(float(radial_hierarchy(r, v, inner=0.08, outer=0.9)), 6)
    0.005
    """
    target = target_radius(valuation, inner=inner, outer=outer).astype(radius.dtype)
    return (weight * jnp.square(radius - target)).mean()


def radial_margin(
    radius: jax.Array,
    valuation: jax.Array,
    *,
    inner: Numeric,
    outer: Numeric,
    pairs: Pairs | None = None,
) -> jax.Array:
    r"""Hinge on pairs whose radii are not far enough apart, over pairs with :math:`v_i > v_j`.

    .. math:: \overline{[\, \tfrac12 (v_i - v_j) s - (ρ_j - ρ_i) \,]_+},
              \quad s = (r_{out} - r_{in}) / 9

    Args:
      radius: ``(n,)`` hyperbolic.
      valuation: int ``(n,)``.
      inner: target radius of valuation 9.
      outer: target radius of valuation 0.
      pairs: sampled pairs (the original: 1000), or None for all.

    Returns:
      A scalar; 0 when no pair has different valuations.

    Source: the reference system's RadialHierarchyLoss (margin part).

    >>> r, v = jnp.asarray([1.0, 1.0]), jnp.asarray([0, 9])
    >>> round(float(radial_margin(r, v, inner=0.0, outer=0.9)), 6)
    0.45
    """
    radius_i, radius_j = ends(radius, pairs)
    valuation_i, valuation_j = ends(valuation, pairs)
    levels = (valuation_i - valuation_j).astype(radius.dtype)
    wanted = 0.5 * levels * (outer - inner) / N_DIGITS
    return masked_mean(jax.nn.relu(wanted - (radius_j - radius_i)), levels > 0)


def radial_stratification(
    radius: jax.Array,
    valuation: jax.Array,
    *,
    inner: Numeric,
    outer: Numeric,
    weighted: bool = True,
    smooth: bool = True,
) -> jax.Array:
    """Mean of (1 + v/9) times the smooth L1 (or squared) distance of the radius from its target.

    Args:
      radius: ``(n,)`` hyperbolic.
      valuation: int ``(n,)``.
      inner: target radius of valuation 9 (original default 0.1).
      outer: target radius of valuation 0 (original default 0.85).
      weighted: False drops the factor 1 + v/9 (static).
      smooth: smooth L1 with its corner at 1, or the square when False (static).

    Returns:
      A scalar, divided by n and not by the sum of the weights.

    Source: the reference system's RadialStratificationLoss.

    >>> r, v = jnp.asarray([0.85, 0.3]), jnp.asarray([0, 9])
    >>> round(float(radial_stratification(r, v, inner=0.1, outer=0.85)), 6)
    0.02
    """
    error = radius - target_radius(valuation, inner=inner, outer=outer).astype(radius.dtype)
    penalty = optax.huber_loss(error) if smooth else jnp.square(error)
    weight = linear_weight(valuation).astype(radius.dtype) if weighted else 1.0
    return (weight * penalty).mean()
