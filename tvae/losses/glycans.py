"""N-glycosylation of a decoded protein: expected sequons, and the shield that they make."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from chex import Numeric

from tvae.fields import SHARE, Check, at_least
from tvae.losses.genetic_code import RESIDUES
from tvae.losses.registry import term

_LENGTH = Check(kind=int, low=1)
_FEWEST = 1e-6
"""Expected number of sequons below which a sequence has none that could be crowded."""


def _letters(letters: str) -> np.ndarray:
    """Indicator of some residues, ``(20,)``."""
    return np.array([x in letters for x in RESIDUES], np.float32)


SEQUON = np.stack([_letters("N"), 1.0 - _letters("P"), _letters("ST")])
"""The motif N-X-S/T, X any residue but proline: ``(3, 20)``."""


def motif_probability(probabilities: jax.Array, motif: np.ndarray) -> jax.Array:
    r"""Probability that a motif starts at each position, :math:`\prod_k \sum_a p_{i+k,a} m_{k,a}`.

    Positions are independent given the decoder. For certain residues it is 1 where the motif
    matches and 0 elsewhere.

    Args:
      probabilities: ``(batch, positions, classes)``, at least those of the motif; further classes,
        such as a gap, never match.
      motif: ``(length, classes)``, 1 where a class matches; its length is static.

    Returns:
      ``(batch, positions)``; 0 where the motif would run over the end.
    """
    length, n_classes = motif.shape
    match = probabilities[..., :n_classes] @ motif.T
    padded = jnp.pad(match, ((0, 0), (0, length - 1), (0, 0)))
    n_positions = probabilities.shape[1]
    parts = [padded[:, k : k + n_positions, k] for k in range(length)]
    return jnp.prod(jnp.stack(parts), axis=0)


def sequon_probability(
    residue_logits: jax.Array, position_where: jax.Array | None = None
) -> jax.Array:
    """Probability of a sequon N-X-S/T, X not proline, that starts at each position.

    Args:
      residue_logits: ``(batch, positions, classes)``, the first 20 in the order of
        :data:`tvae.losses.genetic_code.RESIDUES`.
      position_where: bool ``(batch, positions)``, positions that count.

    Returns:
      ``(batch, positions)``.

    >>> residues = jnp.asarray([[RESIDUES.index(x) for x in "NGSNPT"]])
    >>> sequon_probability(jax.nn.one_hot(residues, 20) * 100.0).round(3).tolist()
    [[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    chex.assert_rank(residue_logits, 3)
    chex.assert_axis_dimension_gteq(residue_logits, -1, len(RESIDUES))
    p = jax.nn.softmax(residue_logits)
    if position_where is not None:
        p = p * position_where[..., None]
    return motif_probability(p, SEQUON)


def _windows(x: jax.Array, offsets: np.ndarray) -> jax.Array:
    """Neighbours of each position at some offsets, 0 beyond the ends: ``(batch, positions, k)``."""
    reach = int(np.abs(offsets).max())
    padded = jnp.pad(x, ((0, 0), (reach, reach)))
    return padded[:, np.arange(x.shape[1])[:, None] + reach + offsets[None, :]]


def shield(sequon: jax.Array, *, reach: int = 4) -> jax.Array:
    """Probability that a position lies within some residues of a sequon, ``(batch, positions)``.

    Args:
      sequon: from :func:`sequon_probability`; sequons count as independent.
      reach: residues to either side of the asparagine.

    >>> shield(jnp.asarray([[0.0, 1.0, 0.0, 0.0]]), reach=1).tolist()
    [[1.0, 1.0, 1.0, 0.0]]
    """
    return 1.0 - jnp.prod(1.0 - _windows(sequon, np.arange(-reach, reach + 1)), -1)


@term(
    "glycan_shield",
    unit="1",
    source="Marshall 1972 (the sequon); the reference system's SentinelGlycanLoss",
    per="item",
    options={
        "coverage": (SHARE, "wanted share of shielded positions"),
        "coverage_weight": (at_least(0.0), "weight of the squared difference from it"),
        "visible_weight": (at_least(0.0), "weight of the shielding of the sites to leave open"),
        "crowding_weight": (at_least(0.0), "weight of sequons too near each other"),
        "reach": (_LENGTH, "residues to either side that a glycan shields"),
        "spacing": (_LENGTH, "least distance of two sequons, residues"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"SentinelGlycan": "corrected", "GlycanSequonDetector": "subsumed"},
)
def glycan_shield(
    residue_logits: jax.Array,
    position_where: jax.Array | None = None,
    open_site: jax.Array | None = None,
    *,
    coverage: Numeric = 0.7,
    coverage_weight: Numeric = 0.3,
    visible_weight: Numeric = 0.4,
    crowding_weight: Numeric = 0.3,
    reach: int = 4,
    spacing: int = 4,
) -> jax.Array:
    r"""Glycan shield of a wanted size that leaves some sites open and is not crowded.

    .. math:: w_1 (\bar s - s^*)^2 + w_2\, \overline{s}^{\,open}
              + w_3\, \frac{\sum_{0 < j - i < g} q_i q_j}{\sum_i q_i}

    with the probabilities q of sequons and s of shielding. The reference system thresholds a mask
    of sequons, which has no gradient, and takes a 3-adic distance along the chain, for which 27
    residues are near.

    Args:
      residue_logits: see :func:`sequon_probability`.
      position_where: bool ``(batch, positions)``, positions that count.
      open_site: bool ``(batch, positions)``, sites to leave unshielded, such as an epitope.
      coverage: s*.
      coverage_weight: w_1.
      visible_weight: w_2; without open sites the part is 0.
      crowding_weight: w_3.
      reach: see :func:`shield` (static).
      spacing: g (static).

    Returns:
      ``(batch,)``.

    >>> residues = jnp.asarray([[RESIDUES.index(x) for x in "GGNGSGGGGG"]])
    >>> logits = jax.nn.one_hot(residues, 20) * 100.0  # shielded: the first 7 of 10
    >>> round(float(glycan_shield(logits, coverage=0.7)[0]), 4)
    0.0
    """
    q = sequon_probability(residue_logits, position_where)
    shielded = shield(q, reach=reach)
    counts = jnp.ones(q.shape, bool) if position_where is None else position_where
    size = _row_mean(shielded, counts)
    total = coverage_weight * jnp.square(size - coverage)
    if open_site is not None:
        total += visible_weight * _row_mean(shielded, counts & open_site)
    if spacing > 1:
        near = (q[..., None] * _windows(q, np.arange(1, spacing))).sum((1, 2))
        number = q.sum(1)
        some = number > _FEWEST
        total += crowding_weight * jnp.where(some, near / jnp.where(some, number, 1.0), 0.0)
    return total


def _row_mean(x: jax.Array, where: jax.Array) -> jax.Array:
    """Mean over the positions that count, ``(batch,)``; 0 for none."""
    return jnp.where(where, x, 0.0).sum(1) / jnp.maximum(where.sum(1), 1)
