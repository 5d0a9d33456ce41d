"""The global rank loss: of two points, the one of larger valuation should lie nearer the origin."""

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.losses.levels import masked_mean
from tvae.losses.pairs import Pairs, ends


def global_rank(
    radius: jax.Array,
    valuation: jax.Array,
    *,
    temperature: Numeric,
    pairs: Pairs | None = None,
) -> jax.Array:
    r"""Logistic penalty on the order of radii, weighted by the distance in levels.

    .. math:: \overline{|v_i - v_j|\;
              σ\big(-\operatorname{sgn}(v_i - v_j)(ρ_j - ρ_i) / T\big)}
              \text{ over pairs with } v_i \ne v_j

    Args:
      radius: ``(n,)`` hyperbolic.
      valuation: int ``(n,)``.
      temperature: T, unit of the radius (original: 0.1).
      pairs: sampled pairs (the original: 2000), or None for all.

    Returns:
      A scalar, 0 when all valuations agree. It never reaches 0 otherwise: a pair in perfect order
      still pays its tail of the logistic curve. The original adds both encoders' losses and
      weights the sum by 0.5.

    Source: the reference system's GlobalRankLoss.

    >>> r, v = jnp.asarray([0.5, 0.5]), jnp.asarray([0, 3])
    >>> float(global_rank(r, v, temperature=0.1))
    1.5
    """
    radius_i, radius_j = ends(radius, pairs)
    valuation_i, valuation_j = ends(valuation, pairs)
    levels = (valuation_i - valuation_j).astype(radius.dtype)
    ordered = jnp.sign(levels) * (radius_j - radius_i)
    return masked_mean(jnp.abs(levels) * jax.nn.sigmoid(-ordered / temperature), levels != 0)
