r"""Codon usage of a decoded sequence, differentiable through the codons' probabilities.

An index of a sequence is a mean of a table over its codons; here it is the mean of the table's
expectation under the decoder, which for certain codons is the index itself. The reference system's
CodonUsageLoss (0.3 of one minus tAI, 0.3 of one minus CAI, 0.2 rare codons, 0.1 CpG, 0.1 GC) is a
table of :func:`trna_adaptation`, :func:`codon_adaptation`, :func:`rare_codons`,
:func:`cpg_content` and :func:`gc_content` with these weights.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from chex import Numeric

from tvae.fields import BOOLEAN, SHARE, Check, at_least
from tvae.losses import genetic_code as code
from tvae.losses.registry import term

_USAGE = Check(kind=float, low=0.0, several=True, words="64 numbers >= 0")
_N_CODONS = len(code.CODONS)
# A codon that the reference never uses counts as if seen half a time in a thousand codons (Bulmer
# 1988): its logarithm is finite.
_LEAST_USAGE = 0.5
# Selective constraints on wobble pairs (dos Reis et al. 2004, table 3): G with U, I with C, I with
# A, U with G; and of the lysidine of prokaryotes that reads ATA.
_WOBBLE = (0.41, 0.28, 0.9999, 0.68)
_LYSIDINE = 0.89
_ATA, _ATG = code.CODONS.index("ATA"), code.CODONS.index("ATG")


def probabilities(codon_logits: jax.Array) -> jax.Array:
    """Probabilities of the codons, of logits ``(batch, positions, 64)``."""
    chex.assert_rank(codon_logits, 3)
    chex.assert_axis_dimension(codon_logits, -1, _N_CODONS)
    return jax.nn.softmax(codon_logits)


def position_mean(x: jax.Array, position_where: jax.Array | None) -> jax.Array:
    """Mean over the positions that count, ``(batch, positions)`` to ``(batch,)``; 0 for none.

    >>> position_mean(jnp.asarray([[1.0, 3.0]]), jnp.asarray([[True, False]])).tolist()
    [1.0]
    """
    counts = jnp.ones_like(x) if position_where is None else position_where.astype(x.dtype)
    return (x * counts).sum(-1) / jnp.maximum(counts.sum(-1), 1.0)


def relative_adaptiveness(usage: jax.Array) -> jax.Array:
    """Usage of each codon divided by that of its most used synonym, ``(64,)`` in (0, 1]."""
    usage = jnp.maximum(jnp.asarray(usage, jnp.float32), _LEAST_USAGE)
    return usage / jnp.where(code.SYNONYMS, usage[None, :], 0.0).max(-1)


def trna_weights(trna: jax.Array, *, prokaryote: bool = True) -> jax.Array:
    r"""Weights of tAI: tRNA genes that read a codon, wobble pairs discounted, the largest 1.

    .. math:: W_i = \sum_j (1 - s_{ij})\, n_{ij}, \qquad w_i = W_i / \max W

    A codon that no tRNA reads gets the geometric mean of the others.

    Args:
      trna: genes of the tRNA complementary to each codon, ``(64,)``.
      prokaryote: ATA is read by lysidine (static).

    Returns:
      ``(64,)`` in (0, 1]; those of stops and ATG have no meaning.

    >>> weights = trna_weights(jnp.asarray(code.E_COLI_TRNA, jnp.float32))
    >>> float(weights[code.CODONS.index("AAA")])
    1.0
    """
    t, c, a, g = jnp.asarray(trna, jnp.float32).reshape(16, 4).T
    s = _WOBBLE
    read = (t + (1 - s[0]) * c, c + (1 - s[1]) * t, a + (1 - s[2]) * t, g + (1 - s[3]) * a)
    weight = jnp.stack(read, -1).ravel()
    if prokaryote:
        weight = weight.at[_ATA].set(1 - _LYSIDINE)
    counts = _sense_but_start()
    weight = weight / jnp.maximum(jnp.where(counts, weight, 0.0).max(), 1e-6)
    positive = counts & (weight > 0.0)
    logs = jnp.where(positive, jnp.log(jnp.where(weight > 0.0, weight, 1.0)), 0.0)
    mean = jnp.exp(logs.sum() / jnp.maximum(positive.sum(), 1))
    return jnp.where(positive, weight, mean)


def _sense_but_start() -> np.ndarray:
    """Codons that tAI counts: all but stops and ATG, which initiator tRNAs read too."""
    return ~code.IS_STOP & (np.arange(_N_CODONS) != _ATG)


def _geometric_mean(
    codon_logits: jax.Array,
    weights: jax.Array,
    counted: np.ndarray,
    position_where: jax.Array | None,
) -> jax.Array:
    """Geometric mean of the weights over the expected counted codons; 1 where there is none."""
    p = probabilities(codon_logits)
    logs = position_mean(p @ jnp.where(counted, jnp.log(weights), 0.0), position_where)
    share = position_mean(p @ counted.astype(p.dtype), position_where)
    some = share > 1e-6
    return jnp.where(some, jnp.exp(logs / jnp.where(some, share, 1.0)), 1.0)


@term(
    "codon_adaptation",
    unit="1",
    source="Sharp & Li 1987 (codon adaptation index)",
    per="item",
    options={"usage": (_USAGE, "codons per thousand of the host, in the order TTT, TTC, TTA, ...")},
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"CodonUsage": "corrected", "CodonOptimalityScore": "corrected"},
)
def codon_adaptation(
    codon_logits: jax.Array,
    position_where: jax.Array | None = None,
    *,
    usage: Numeric = code.HUMAN_USAGE,
) -> jax.Array:
    r"""One minus the codon adaptation index, :math:`1 - \exp\overline{\log w}`.

    w is the usage of a codon divided by that of its most used synonym; Met, Trp and stops, which
    have no choice, do not count. The reference system divides by the most used of all codons, for
    whole numbers without a gradient.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, positions that count.
      usage: 64 numbers of one unit.

    Returns:
      ``(batch,)`` in [0, 1].

    >>> best = jax.nn.one_hot(code.codon_indices("CTGGCC"), 64)[None] * 100.0
    >>> round(float(codon_adaptation(best)[0]), 4)
    0.0
    """
    weights = relative_adaptiveness(jnp.asarray(usage))
    return 1.0 - _geometric_mean(codon_logits, weights, code.HAS_SYNONYMS, position_where)


@term(
    "trna_adaptation",
    unit="1",
    source="dos Reis, Savva & Wernisch 2004 (tRNA adaptation index)",
    per="item",
    options={
        "trna": (_USAGE, "genes of the tRNA complementary to each codon of the host"),
        "prokaryote": (BOOLEAN, "ATA is read by lysidine"),
    },
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"CodonUsage": "corrected", "CodonOptimalityScore": "corrected"},
)
def trna_adaptation(
    codon_logits: jax.Array,
    position_where: jax.Array | None = None,
    *,
    trna: Numeric = code.E_COLI_TRNA,
    prokaryote: bool = True,
) -> jax.Array:
    r"""One minus the tRNA adaptation index, :math:`1 - \exp\overline{\log w}`.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, positions that count.
      trna: see :func:`trna_weights`.
      prokaryote: see :func:`trna_weights`.

    Returns:
      ``(batch,)`` in [0, 1]; stops and ATG do not count.

    >>> lysine = jax.nn.one_hot(code.codon_indices("AAAAAA"), 64)[None] * 100.0
    >>> round(float(trna_adaptation(lysine)[0]), 4)
    0.0
    """
    weights = trna_weights(jnp.asarray(trna), prokaryote=prokaryote)
    return 1.0 - _geometric_mean(codon_logits, weights, _sense_but_start(), position_where)


@term(
    "rare_codons",
    unit="1",
    source="the reference system's CodonUsageLoss, against the most used synonym",
    per="item",
    options={
        "usage": (_USAGE, "codons per thousand of the host"),
        "threshold": (SHARE, "usage relative to the most used synonym, below which one is rare"),
    },
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"CodonUsage": "corrected"},
)
def rare_codons(
    codon_logits: jax.Array,
    position_where: jax.Array | None = None,
    *,
    usage: Numeric = code.HUMAN_USAGE,
    threshold: Numeric = 0.3,
) -> jax.Array:
    """Expected share of sense codons that the host rarely uses for their residue.

    The reference system compares with the most used of all codons, which leaves the stops.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, positions that count.
      usage: 64 numbers of one unit.
      threshold: see the options.

    Returns:
      ``(batch,)`` in [0, 1].

    >>> rare = jax.nn.one_hot(code.codon_indices("TCGCTG"), 64)[None] * 100.0  # Ser by TCG, Leu
    >>> float(rare_codons(rare)[0])
    0.5
    """
    is_rare = (relative_adaptiveness(jnp.asarray(usage)) < threshold) & ~code.IS_STOP
    return position_mean(probabilities(codon_logits) @ is_rare.astype(jnp.float32), position_where)


@term(
    "gc_content",
    unit="1",
    source="the reference system's CodonUsageLoss",
    per="item",
    options={"target": (SHARE, "wanted share of G and C")},
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"CodonUsage": "corrected"},
)
def gc_content(
    codon_logits: jax.Array, position_where: jax.Array | None = None, *, target: Numeric = 0.5
) -> jax.Array:
    """Distance of the expected share of G and C from a wanted one.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, positions that count.
      target: see the options.

    Returns:
      ``(batch,)`` in [0, 1].

    >>> half = jax.nn.one_hot(code.codon_indices("GGGTTT"), 64)[None] * 100.0
    >>> float(gc_content(half, target=0.25)[0])
    0.25
    """
    share = code.CODON_BASES[..., [code.BASES.index(x) for x in "GC"]].sum((1, 2)) / 3
    return jnp.abs(position_mean(probabilities(codon_logits) @ share, position_where) - target)


@term(
    "cpg_content",
    unit="1",
    source="the reference system's CodonUsageLoss, which counts CpA",
    per="item",
    options={"allowed": (at_least(0.0), "share of neighbouring bases that costs nothing")},
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"CodonUsage": "corrected"},
)
def cpg_content(
    codon_logits: jax.Array, position_where: jax.Array | None = None, *, allowed: Numeric = 0.01
) -> jax.Array:
    r"""Expected share of neighbouring bases that are C and G, beyond an allowed one.

    Pairs inside codons and across their junctions; across, the codons are independent given the
    logits.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, codons that count; a junction counts if both do.
      allowed: see the options.

    Returns:
      ``(batch,)`` in [0, 1].

    >>> two = jax.nn.one_hot(code.codon_indices("AACGCG"), 64)[None] * 100.0  # 2 of 5 pairs
    >>> round(float(cpg_content(two, allowed=0.0)[0]), 4)
    0.4
    """
    p = probabilities(codon_logits)
    c, g = (code.CODON_BASES[..., code.BASES.index(x)] for x in "CG")
    inside = p @ (c[:, 0] * g[:, 1] + c[:, 1] * g[:, 2])
    across = (p @ c[:, 2])[:, :-1] * (p @ g[:, 0])[:, 1:]
    where = jnp.ones(p.shape[:2], bool) if position_where is None else position_where
    both = where[:, :-1] & where[:, 1:]
    count = jnp.where(where, inside, 0.0).sum(-1) + jnp.where(both, across, 0.0).sum(-1)
    pairs = 2 * where.sum(-1) + both.sum(-1)
    return jax.nn.relu(count / jnp.maximum(pairs, 1).astype(count.dtype) - allowed)


@term(
    "biosynthetic_cost",
    unit="1",
    source="Akashi & Gojobori 2002; the reference system's ResourceConservationLoss",
    per="item",
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"ResourceConservation": "corrected"},
)
def biosynthetic_cost(
    codon_logits: jax.Array, position_where: jax.Array | None = None
) -> jax.Array:
    """Expected cost of a residue's synthesis, as a share of tryptophan's 74.3 ~P.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, positions that count.

    Returns:
      ``(batch,)`` in [0, 1]; stops cost nothing.

    >>> tryptophan = jax.nn.one_hot(code.codon_indices("TGG"), 64)[None] * 100.0
    >>> float(biosynthetic_cost(tryptophan)[0])
    1.0
    """
    cost = code.by_codon(code.BIOSYNTHETIC_COST)
    return position_mean(probabilities(codon_logits) @ (cost / cost.max()), position_where)


def point_mutation_costs() -> np.ndarray:
    """Mean squared change of the polar requirement by a point mutation of each codon, ``(64,)``.

    Over the neighbours that are no stops; 0 for stops. Its mean over mutations, 5.19, is the figure
    of Haig & Hurst 1991 for the standard code.
    """
    polar = code.by_codon(code.POLAR_REQUIREMENT)
    sense = ~code.IS_STOP
    counted = code.NEIGHBOURS & sense[:, None] & sense[None, :]
    squares = np.where(counted, np.square(polar[:, None] - polar[None, :]), 0.0)
    return (squares.sum(1) / np.maximum(counted.sum(1), 1)).astype(np.float32)


@term(
    "mutation_cost",
    unit="squared polar requirement",
    source="Haig & Hurst 1991; Freeland & Hurst 1998",
    per="item",
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"ErrorMinimization": "corrected"},
)
def mutation_cost(codon_logits: jax.Array, position_where: jax.Array | None = None) -> jax.Array:
    """Expected mean squared change of the polar requirement by one point mutation.

    The reference system compares two fixed tables, a constant without a gradient.

    Args:
      codon_logits: ``(batch, positions, 64)``.
      position_where: bool ``(batch, positions)``, positions that count.

    Returns:
      ``(batch,)``.

    >>> alanine = jax.nn.one_hot(code.codon_indices("GCT"), 64)[None] * 100.0
    >>> round(float(mutation_cost(alanine)[0]), 3)
    4.371
    """
    return position_mean(probabilities(codon_logits) @ point_mutation_costs(), position_where)
