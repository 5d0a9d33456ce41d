"""A toy of the reference system: codon usage as a proxy of autoimmune risk."""

import jax
import jax.numpy as jnp
import numpy as np
from chex import Numeric

from tvae.fields import SHARE, Check, at_least
from tvae.losses import codons
from tvae.losses import genetic_code as code
from tvae.losses.registry import term

_RATIOS = np.array([0.5, 1.0, 1.5])
"""CD4/CD8 ratios at which the factor falls from 4 to 3, 2 and 1."""


@term(
    "autoimmunity",
    unit="1",
    source="the reference system's autoimmunity losses, without their mock of a risk",
    per="item",
    options={
        "usage": (
            Check(kind=float, low=0.0, several=True, words="64 numbers >= 0"),
            "codons per thousand of the host",
        ),
        "usage_weight": (at_least(0.0), "weight of codons that the host prefers less"),
        "diversity_weight": (at_least(0.0), "weight of the distance from the wanted diversity"),
        "diversity": (SHARE, "wanted number of different codons per position"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"AutoimmuneCodonRegularizer": "toy", "CD4CD8Aware": "toy"},
)
def autoimmunity(
    codon_logits: jax.Array,
    position_where: jax.Array | None = None,
    cd4_cd8: jax.Array | None = None,
    *,
    usage: Numeric = code.HUMAN_USAGE,
    usage_weight: Numeric = 0.3,
    diversity_weight: Numeric = 0.2,
    diversity: Numeric = 0.5,
) -> jax.Array:
    r"""Codon usage unlike the host's, and a codon diversity that is not the wanted one: a toy.

    .. math:: f\,\big(w_1 (1 - \overline{w}) + w_2 \big|\tfrac{E[\text{different codons}]}{n}
              - v\big|\big)

    There is no evidence that it measures autoimmunity. The reference system's third part, a risk,
    is a mock of constants and is left out.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, the n positions that count.
      cd4_cd8: ``(batch,)``, ratio of CD4 to CD8 cells of a patient, from which f is 4 below 0.5,
        3 below 1, 2 below 1.5, else 1; None for 1.
      usage: 64 numbers of one unit; a codon's w is relative to its most used synonym.
      usage_weight: w_1.
      diversity_weight: w_2.
      diversity: v.

    Returns:
      ``(batch,)``.

    >>> twice = jax.nn.one_hot(code.codon_indices("CTGCTG"), 64)[None] * 100.0
    >>> float(autoimmunity(twice)[0])  # the preferred codon, half as many codons as positions
    0.0
    """
    p = codons.probabilities(codon_logits)
    alike = codons.position_mean(
        p @ codons.relative_adaptiveness(jnp.asarray(usage)), position_where
    )
    counts = jnp.ones(p.shape[:2], bool) if position_where is None else position_where
    absent = jnp.prod(1.0 - p * counts[..., None], axis=1)
    share = (1.0 - absent).sum(-1) / jnp.maximum(counts.sum(-1), 1)
    found = usage_weight * (1.0 - alike) + diversity_weight * jnp.abs(share - diversity)
    if cd4_cd8 is None:
        return found
    return found * (4.0 - (cd4_cd8[:, None] >= _RATIOS[None]).sum(-1))
