"""Losses on the order of numbers: rows with a larger rank should have a larger score."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above, at_least, one_of
from tvae.losses.blocks import mean_over_pairs
from tvae.losses.pairs import Block, Pairs, distinct, ends
from tvae.losses.registry import term

LINKS: dict[str, Callable[[jax.Array, Numeric], jax.Array]] = {
    "hinge": lambda x, _: jax.nn.relu(x),
    "softplus": lambda x, t: t * jax.nn.softplus(x / t),
    "logistic": lambda x, t: jax.nn.sigmoid(x / t),
}
"""Penalty of a violation x at a temperature t."""


def order_penalty(
    score: jax.Array,
    rank: jax.Array,
    *,
    pairs: Pairs | None = None,
    where: jax.Array | None = None,
    margin: Numeric = 0.0,
    margin_per_rank: Numeric = 0.0,
    link: str = "hinge",
    temperature: Numeric = 1.0,
) -> jax.Array:
    r"""Mean penalty of pairs of different rank whose scores are not in the order of the ranks.

    .. math:: \overline{f\big(m_0 + m_1 |k_i - k_j|
              - \operatorname{sgn}(k_i - k_j)(s_i - s_j)\big)} \text{ over pairs with } k_i \ne k_j

    Args:
      score: s, ``(n,)``.
      rank: k, numbers ``(n,)``.
      pairs: sampled pairs, or None for all.
      where: bool ``(n,)``, rows that count.
      margin: m_0, unit of the score.
      margin_per_rank: m_1, the same per unit of rank.
      link: f, a name of :data:`LINKS`.
      temperature: of the link, unit of the score.

    Returns:
      A scalar, 0 when no pair counts.

    >>> score, rank = jnp.asarray([0.0, 1.0]), jnp.asarray([2, 0])
    >>> float(order_penalty(score, rank, margin=0.5, margin_per_rank=0.25))
    2.0
    """
    chex.assert_equal_shape([score, rank])

    def penalty(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        score_i, score_j = ends(score, pairs)
        rank_i, rank_j = ends(rank, pairs)
        ranks = (rank_i - rank_j).astype(score.dtype)
        wanted = margin + margin_per_rank * jnp.abs(ranks)
        value = LINKS[link](wanted - jnp.sign(ranks) * (score_i - score_j), temperature)
        return value, distinct(score.size, pairs, where) & (ranks != 0)

    return mean_over_pairs(penalty, score.size, pairs)


@term(
    "level_order",
    unit="length (hinge, softplus) or 1 (logistic)",
    source="the reference system's order losses in one form",
    options={
        "margin": (at_least(0.0), "least difference of two radii, hyperbolic length"),
        "margin_per_level": (at_least(0.0), "the same, more per level between the rows"),
        "link": (one_of(*LINKS), "penalty of a violation"),
        "temperature": (above(0.0), "width of the soft penalties, hyperbolic length"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
)
def level_order(
    radius: jax.Array,
    level: jax.Array,
    pairs: Pairs | None = None,
    where: jax.Array | None = None,
    *,
    margin: Numeric = 0.0,
    margin_per_level: Numeric = 0.02,
    link: str = "hinge",
    temperature: Numeric = 0.1,
) -> jax.Array:
    """Mean :func:`order_penalty` of pairs of which the deeper row is not nearer the origin.

    The hinge with half of (outer - inner)/depth as ``margin_per_level`` is the reference system's
    margin loss (:func:`tvae.losses.radial.radial_margin`); the logistic link without margins is
    its rank loss without its factor of levels (:func:`tvae.losses.ranking.global_rank`).

    Args:
      radius: ``(n,)`` hyperbolic.
      level: int ``(n,)``.
      pairs: sampled pairs, or None for all.
      where: bool ``(n,)``, rows that count.
      margin: see :func:`order_penalty`.
      margin_per_level: see :func:`order_penalty`.
      link: a name of :data:`LINKS` (static).
      temperature: of the link.

    Returns:
      A scalar, 0 when all levels agree.

    >>> radius, level = jnp.asarray([0.5, 0.25]), jnp.asarray([0, 1])
    >>> float(level_order(radius, level, margin=0.5, margin_per_level=0.0))
    0.25
    """
    return order_penalty(
        -radius,
        level,
        pairs=pairs,
        where=where,
        margin=margin,
        margin_per_rank=margin_per_level,
        link=link,
        temperature=temperature,
    )


@term(
    "margin_ranking",
    unit="of the prediction",
    source="Herbrich et al. 2000, ranking by pairs; the reference system's MarginRankingLoss",
    options={"margin": (at_least(0.0), "least difference of two predictions")},
    bounds=(0.0, float("inf")),
    invariances=("permutation", "translation"),
    was={"MarginRankingLoss": "same"},
)
def margin_ranking(
    prediction: jax.Array,
    measured: jax.Array,
    pairs: Pairs | None = None,
    where: jax.Array | None = None,
    *,
    margin: Numeric = 0.1,
) -> jax.Array:
    """Mean hinge of pairs whose predictions are not in the order of their measurements.

    Args:
      prediction: ``(n,)``.
      measured: ``(n,)``.
      pairs: sampled pairs, or None for all.
      where: bool ``(n,)``, rows that count.
      margin: unit of the prediction.

    Returns:
      A scalar, 0 when all measurements agree.

    >>> prediction, measured = jnp.asarray([0.0, 1.0]), jnp.asarray([3.0, 2.0])
    >>> float(margin_ranking(prediction, measured, margin=0.5))
    1.5
    """
    return order_penalty(prediction, measured, pairs=pairs, where=where, margin=margin)
