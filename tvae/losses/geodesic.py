"""Losses that ask hyperbolic distances between points to follow the 3-adic tree."""

import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.geometry import padic as ternary
from tvae.geometry import poincare
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import Pairs, distinct, ends


def target_distance(
    valuation: jax.Array, *, max_distance: Numeric = 3.0, valuation_scale: Numeric = 3.0
) -> jax.Array:
    r"""Hyperbolic distance wanted between two operations, :math:`D e^{-v / s}`.

    Args:
      valuation: integers, v(i - j), any shape.
      max_distance: D, wanted where v = 0. With radii kept at 0.9 or less two points are at most
        1.8 apart, so the original's 3.0 works against its radial targets.
      valuation_scale: s, levels per factor e.

    Returns:
      Hyperbolic lengths of the same shape.

    >>> target_distance(jnp.asarray([0, 3, 9])).tolist()
    [3.0, 1.1036..., 0.1493...]
    """
    return max_distance * jnp.exp(-valuation.astype(jnp.result_type(float)) / valuation_scale)


def padic_geodesic(
    z: jax.Array,
    index: jax.Array,
    *,
    c: Numeric,
    pairs: Pairs | None = None,
    max_distance: Numeric = 3.0,
    valuation_scale: Numeric = 3.0,
    smooth: bool = True,
) -> jax.Array:
    r"""Mean smooth L1 (or squared) difference of hyperbolic and wanted distances of pairs.

    Args:
      z: ``(n, d)`` points of the Poincaré ball of curvature -c.
      index: int ``(n,)`` operations.
      c: curvature magnitude.
      pairs: sampled pairs (the original: 2000), or None for all.
      max_distance: see :func:`target_distance`.
      valuation_scale: see :func:`target_distance`.
      smooth: smooth L1 with its corner at 1, or the square when False (static).

    Returns:
      A scalar. Two rows that hold the same operation count as valuation 9 and are asked for the
      smallest distance rather than 0, as in the original. The original adds both encoders' losses
      and weights the sum by 0.3 (run) or 0.5 (last config), from its phase 2 on.

    Source: the reference system's PAdicGeodesicLoss.

    >>> z = jnp.zeros((2, 3))
    >>> float(padic_geodesic(z, jnp.asarray([0, 1]), c=1.0))  # |0 - 3| - 1/2
    2.5
    """
    index_i, index_j = ends(index, pairs)
    wanted = target_distance(
        ternary.pair_valuation(index_i, index_j),
        max_distance=max_distance,
        valuation_scale=valuation_scale,
    )
    if pairs is None:
        actual = poincare.pairwise_distance(z, z, c=c)
    else:
        actual = poincare.distance(z[pairs.i], z[pairs.j], c=c)
    error = actual - wanted.astype(actual.dtype)
    penalty = optax.huber_loss(error) if smooth else jnp.square(error)
    return masked_mean(penalty, distinct(z.shape[0], pairs))


def combined_geodesic(radial: jax.Array, geodesic: jax.Array, *, tau: Numeric) -> jax.Array:
    """Curriculum from radial to geodesic structure, ``(1 - tau) * radial + tau * geodesic``.

    Args:
      radial: the radial loss, :func:`tvae.losses.radial.radial_hierarchy` plus the margin times
        its weight (1.0 in the original's combination). For parity at c != 1 compute its radii with
        c = 1: the original does not hand the curvature on to this part.
      geodesic: :func:`padic_geodesic`.
      tau: schedule value in [0, 1].

    Returns:
      A scalar.

    Source: the reference system's CombinedGeodesicLoss.

    >>> float(combined_geodesic(jnp.asarray(2.0), jnp.asarray(4.0), tau=0.25))
    2.5
    """
    return (1 - tau) * radial + tau * geodesic
