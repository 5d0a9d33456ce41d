"""Losses on the order of radii."""

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import at_least
from tvae.losses.blocks import mean_over_pairs
from tvae.losses.pairs import Block, Pairs, ends
from tvae.losses.registry import term


@term(
    "rank",
    unit="levels",
    options={"temperature": (at_least(0.001), "width of the logistic curve, hyperbolic length")},
    bounds=(0.0, jnp.inf),
    invariances=("permutation",),
    source="the reference system's GlobalRankLoss",
    was={"GlobalRankLoss": "same"},
)
def global_rank(
    radius: jax.Array, level: jax.Array, *, temperature: Numeric = 0.1, pairs: Pairs | None = None
) -> jax.Array:
    r"""Logistic penalty on pairs whose deeper point is not nearer the origin.

    .. math:: \overline{|l_i - l_j|\;
              σ\big(-\operatorname{sgn}(l_i - l_j)(ρ_j - ρ_i) / T\big)}
              \text{ over pairs with } l_i \ne l_j

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      temperature: T, unit of the radius.
      pairs: sampled pairs, or None for all.

    Returns:
      A scalar, 0 when all levels agree. It never reaches 0 otherwise: a pair in perfect order
      still pays its tail of the logistic curve.

    Source: the reference system's GlobalRankLoss.

    >>> r, level = jnp.asarray([0.5, 0.5]), jnp.asarray([0, 3])
    >>> float(global_rank(r, level, temperature=0.1))
    1.5
    """

    def penalty(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        radius_i, radius_j = ends(radius, pairs)
        level_i, level_j = ends(level, pairs)
        levels = (level_i - level_j).astype(radius.dtype)
        ordered = jnp.sign(levels) * (radius_j - radius_i)
        return jnp.abs(levels) * jax.nn.sigmoid(-ordered / temperature), levels != 0

    return mean_over_pairs(penalty, radius.size, pairs)
