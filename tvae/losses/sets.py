r"""Losses for items that are sets, such as the mutations of a genome, and for their predictions.

The reference system's SetTheoryAwareLoss is a sum of terms with weights:

======================  ======
``binary_nll``          1
``lattice_order``       0.1
``concepts``            0.1
``rough_boundary``      0.1
``cross_resistance``    0.05
======================  ======
"""

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above, at_least, within
from tvae.geometry.numerics import safe_norm
from tvae.losses.blocks import mean_over_pairs
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import Block, Pairs, distinct, ends
from tvae.losses.registry import term


def _shared(x: jax.Array, y: jax.Array, pairs: Pairs | Block | None) -> jax.Array:
    """Inner products of rows of ``x`` and ``y`` ``(n, d)`` at both ends of the pairs."""
    if isinstance(pairs, Pairs):
        return (x[pairs.i] * y[pairs.j]).sum(-1)
    return (x if pairs is None else x[pairs.i]) @ y.T


def proper_subsets(member: jax.Array, pairs: Pairs | Block | None = None) -> jax.Array:
    """True where the first set of a pair is a proper subset of the second, ``(n, n)`` for all.

    Args:
      member: bool ``(n, n_elements)``, the elements of each set.
      pairs: of sets; None for all.

    >>> proper_subsets(jnp.asarray([[1, 0], [1, 1], [0, 1]], bool))[:2].tolist()
    [[False, True, False], [False, False, False]]
    """
    has = member.astype(jnp.float32)  # counts are exact below 2^24 elements
    second_has_more = _shared(1.0 - has, has, pairs) > 0
    return second_has_more & (_shared(has, 1.0 - has, pairs) == 0)


def share_an_element(
    member: jax.Array, where: jax.Array | None = None, pairs: Pairs | Block | None = None
) -> jax.Array:
    """True where two sets share an element that not all sets have, ``(n, n)`` for all pairs.

    Args:
      member: bool ``(n, n_elements)``, the elements of each set.
      where: bool ``(n,)``, sets that count.
      pairs: of sets; None for all.

    >>> share_an_element(jnp.asarray([[1, 1, 0], [1, 1, 1], [1, 0, 1]], bool))[0].tolist()
    [True, True, False]
    """
    rows = jnp.ones(member.shape[0], bool) if where is None else where
    common = (member | ~rows[:, None]).all(0)
    has = (member & ~common[None, :]).astype(jnp.float32)
    return _shared(has, has, pairs) > 0


@term(
    "lattice_order",
    unit="length",
    source="Ganter and Wille 1999 (order of sets); the reference system's LatticeOrderingLoss",
    options={"margin": (at_least(0.0), "least difference of two radii, hyperbolic length")},
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"LatticeOrderingLoss": "same"},
)
def lattice_order(
    radius: jax.Array,
    member: jax.Array,
    where: jax.Array | None = None,
    *,
    margin: Numeric = 0.1,
) -> jax.Array:
    r"""Mean hinge of subsets that are not nearer the origin than their supersets.

    .. math:: \overline{[\, ρ_i - ρ_j + m \,]_+} \text{ over pairs of sets } i \subsetneq j

    Args:
      radius: ``(n,)``.
      member: bool ``(n, n_elements)``, the elements of each set.
      where: bool ``(n,)``, rows that count.
      margin: m, unit of the radius.

    Returns:
      A scalar; 0 where no set is a proper subset of another.

    >>> radius, member = jnp.asarray([1.0, 0.75]), jnp.asarray([[1, 0], [1, 1]], bool)
    >>> float(lattice_order(radius, member, margin=0.5))
    0.75
    """
    chex.assert_rank([radius, member], [1, 2])

    def violation(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        inner, outer = ends(radius, pairs)
        ordered = proper_subsets(member, pairs) & distinct(radius.size, pairs, where)
        return jax.nn.relu(inner - outer + margin), ordered

    return mean_over_pairs(violation, radius.size, None)


@term(
    "concepts",
    unit="1",
    source="Hadsell et al. 2006 (attract and repel); the reference system's ConceptConsistencyLoss",
    options={
        "temperature": (above(0.0), "divides the cosines"),
        "margin": (at_least(0.0), "distance of the others' mean cosine, over T, below 0"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "scale"),
    was={"ConceptConsistencyLoss": "corrected"},
)
def concepts(
    x: jax.Array,
    member: jax.Array,
    where: jax.Array | None = None,
    *,
    temperature: Numeric = 0.1,
    margin: Numeric = 0.5,
) -> jax.Array:
    r"""Attraction of rows that share a concept and, above a threshold, repulsion of the others.

    .. math:: \overline{(1 - \cos_{ij}) / T}^{\,+}
              + \Big[\, \overline{\cos_{ij} / T}^{\,-} + m \,\Big]_+

    with means over pairs of different rows that share a concept which not all rows have (+), and
    over the others (-). In the reference system any two known rows share the top concept of the
    lattice, so that it has no negatives; and its attraction is this one less the constant 1/T,
    which is negative.

    Args:
      x: embeddings ``(n, d)``.
      member: bool ``(n, n_concepts)``, the concepts of each row.
      where: bool ``(n,)``, rows that count.
      temperature: T.
      margin: m; others are pushed apart until their mean cosine is below -m T.

    Returns:
      A scalar, at least 0.

    >>> x, member = jnp.asarray([[1.0, 0.0], [-1.0, 0.0]]), jnp.asarray([[1, 0], [0, 1]], bool)
    >>> float(concepts(x, member, temperature=0.5))  # unrelated, and opposite each other
    0.0
    """
    chex.assert_rank([x, member], 2)
    norm = safe_norm(x, keepdims=True)
    unit = x / jnp.where(norm > 0, norm, 1)

    def cosine(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        related = share_an_element(member, where, pairs)
        return _shared(unit, unit, pairs), related

    def near(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        value, related = cosine(pairs)
        return 1.0 - value, related & distinct(len(x), pairs, where)

    def far(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        value, related = cosine(pairs)
        return 1.0 + value, ~related & distinct(len(x), pairs, where)

    attraction = mean_over_pairs(near, len(x), None) / temperature
    # Without others the mean of 1 + cos is 0, that of opposite rows.
    others = mean_over_pairs(far, len(x), None) - 1.0
    return attraction + jax.nn.relu(others / temperature + margin)


def binary_entropy(logit: jax.Array) -> jax.Array:
    r"""Entropy of a Bernoulli variable in nats, :math:`-p\ln p - (1-p)\ln(1-p)`, p = σ(logit).

    Of logits of any shape; at most ln 2.

    >>> binary_entropy(jnp.asarray([0.0, 200.0])).round(4).tolist()
    [0.693..., 0.0]
    """
    size = logit * jnp.sign(logit)
    return jax.nn.softplus(-size) + size * jax.nn.sigmoid(-size)


@term(
    "rough_boundary",
    unit="nats",
    source="Pawlak 1982 (rough sets); the reference system's RoughBoundaryLoss",
    options={"least_entropy": (within(0.0, 0.7), "entropy asked of an uncertain row, nats")},
    bounds=(0.0, 0.7),
    invariances=("permutation",),
    was={"RoughBoundaryLoss": "same"},
)
def rough_boundary(
    prediction: jax.Array,
    boundary: jax.Array,
    where: jax.Array | None = None,
    *,
    least_entropy: Numeric = 0.5,
) -> jax.Array:
    r"""Mean shortfall of the entropy of predictions about rows in the boundary of a rough set.

    .. math:: \overline{[\, h - H(σ(y)) \,]_+} \text{ over rows in the boundary}

    Args:
      prediction: logits y ``(n,)``.
      boundary: bool ``(n,)``, rows whose class the evidence leaves open.
      where: bool ``(n,)``, rows that count.
      least_entropy: h, nats; at most ln 2.

    Returns:
      A scalar in nats; 0 where no row is in the boundary.

    >>> value = rough_boundary(jnp.asarray([0.0, 99.0]), jnp.asarray([True, True]))
    >>> round(float(value), 4)
    0.25
    """
    chex.assert_equal_shape([prediction, boundary])
    rows = boundary if where is None else boundary & where
    return masked_mean(jax.nn.relu(least_entropy - binary_entropy(prediction)), rows)


@term(
    "cross_resistance",
    unit="1",
    source="the reference system's CrossResistanceLoss",
    options={"threshold": (within(0.0, 1.0), "least correlation of two tasks that are coupled")},
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"CrossResistanceLoss": "toy"},
)
def cross_resistance(
    task_logits: jax.Array,
    task_correlation: jax.Array,
    where: jax.Array | None = None,
    *,
    threshold: Numeric = 0.3,
) -> jax.Array:
    r"""Difference of the predicted probabilities of correlated tasks, a toy of the reference.

    .. math:: \overline{C_{ij}\, \overline{|σ(y_i) - σ(y_j)|}} \text{ over } i < j, C_{ij} \ge t

    It asks for equal probabilities where tasks are correlated, and ignores negative correlations.

    Args:
      task_logits: y ``(n, tasks)``.
      task_correlation: C ``(tasks, tasks)``, read above the diagonal.
      where: bool ``(n,)``, rows that count.
      threshold: t.

    Returns:
      A scalar; 0 where no tasks are coupled.

    >>> logits, correlation = jnp.asarray([[0.0, 99.0]]), jnp.full((2, 2), 0.5)
    >>> float(cross_resistance(logits, correlation))
    0.25
    """
    chex.assert_rank([task_logits, task_correlation], 2)
    p = jax.nn.sigmoid(task_logits)
    rows = jnp.ones(p.shape[0], bool) if where is None else where
    apart = jnp.abs(p[:, :, None] - p[:, None, :])
    mean = jnp.where(rows[:, None, None], apart, 0).sum(0) / jnp.maximum(rows.sum(), 1)
    coupled = jnp.triu(task_correlation >= threshold, 1)
    return masked_mean(task_correlation * mean, coupled)
