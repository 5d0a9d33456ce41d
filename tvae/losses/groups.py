"""Losses on classes of points: near within a class, apart between classes."""

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import above, at_least
from tvae.losses.blocks import map_rows, mean_over_pairs
from tvae.losses.pairs import Block, Pairs, distinct, ends, lengths_between, pair_lengths
from tvae.losses.registry import term


def _same_class(label: jax.Array, pairs: Pairs | Block | None) -> jax.Array:
    """Whether the rows of a pair have one class, of the shape of the pairs."""
    return jnp.equal(*ends(label, pairs))


@term(
    "cohesion",
    unit="hyperbolic length",
    source="the reference system's peptide losses",
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "isometry"),
    was={"Cohesion": "same"},
)
def cohesion(
    point: jax.Array, label: jax.Array, c: Numeric, where: jax.Array | None = None
) -> jax.Array:
    """Mean distance of two points of one class.

    Args:
      point: ``(n, d)`` points of the Poincaré ball of curvature -c.
      label: int ``(n,)``.
      c: curvature magnitude.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar over pairs of different rows; 0 where no class has two.

    >>> point = jnp.asarray([[0.0], [0.5], [0.9]])
    >>> round(float(cohesion(point, jnp.asarray([1, 1, 0]), 1.0)), 4)
    1.0986
    """

    def penalty(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        counts = distinct(label.size, pairs, where) & _same_class(label, pairs)
        return pair_lengths(point, pairs, c=c), counts

    return mean_over_pairs(penalty, label.size, None)


@term(
    "separation",
    unit="hyperbolic length",
    source="the reference system's peptide losses",
    options={"margin": (above(0.0), "least distance of two centroids, hyperbolic length")},
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation"),
    was={"Separation": "same"},
)
def separation(
    point: jax.Array,
    label: jax.Array,
    c: Numeric,
    where: jax.Array | None = None,
    *,
    margin: Numeric = 0.5,
) -> jax.Array:
    r"""Mean of :math:`[m - d(\bar x_a, \bar x_b)]_+` over pairs of classes a, b.

    Centroids are Euclidean means, which lie in the ball. Every pair of classes counts once,
    however many rows they have.

    Args:
      point: ``(n, d)`` points of the Poincaré ball of curvature -c.
      label: int ``(n,)``.
      c: curvature magnitude.
      where: bool ``(n,)``, rows that count.
      margin: m.

    Returns:
      A scalar; 0 where fewer than two classes have a row.

    >>> point = jnp.asarray([[0.1], [-0.1], [0.0]])
    >>> float(separation(point, jnp.asarray([0, 0, 1]), 1.0, margin=0.25))
    0.25
    """
    rows = jnp.ones(label.shape, bool) if where is None else where

    def middle(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        member = (_same_class(label, Block(i)) & rows[None, :]).astype(point.dtype)
        size = jnp.maximum(member.sum(1), 1.0)
        return (member @ point) / size[:, None], size

    centroid, size = map_rows(middle, label.size)

    def of_rows(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        penalty = jax.nn.relu(margin - lengths_between(centroid[i], centroid, c=c))
        apart = ~_same_class(label, Block(i)) & rows[i][:, None] & rows[None, :]
        # Each pair of classes is met by as many pairs of rows as the product of their sizes.
        share = jnp.where(apart, 1.0 / (size[i][:, None] * size[None, :]), 0.0)
        return (share * penalty).sum(-1), share.sum(-1)

    penalties, total = (x.sum() for x in map_rows(of_rows, label.size))
    some = total > 0.0
    return jnp.where(some, penalties / jnp.where(some, total, 1.0), 0.0)


@term(
    "class_contrast",
    unit="hyperbolic length",
    source="the reference system's BiosyntheticCoherenceLoss",
    options={
        "margin": (at_least(0.0), "hyperbolic length that keeps the hinge open"),
        "other_weight": (at_least(0.0), "weight of the distances between classes"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation", "rotation", "isometry"),
    was={"BiosyntheticCoherence": "corrected"},
)
def class_contrast(
    point: jax.Array,
    label: jax.Array,
    c: Numeric,
    where: jax.Array | None = None,
    *,
    margin: Numeric = 1.0,
    other_weight: Numeric = 0.5,
) -> jax.Array:
    r"""Hinge of the mean distance within classes against that between classes.

    .. math:: [\, \bar d_{same} - w\, \bar d_{other} + m \,]_+

    For embeddings of codons take :data:`tvae.losses.genetic_code.BIOSYNTHETIC_FAMILY` of each as
    the label. The reference system has lysine in two families.

    Args:
      point: ``(n, d)`` points of the Poincaré ball of curvature -c.
      label: int ``(n,)``.
      c: curvature magnitude.
      where: bool ``(n,)``, rows that count.
      margin: m.
      other_weight: w.

    Returns:
      A scalar; 0 where there is no pair of either kind.

    >>> point, label = jnp.asarray([[0.0], [0.0], [0.5]]), jnp.asarray([0, 0, 1])
    >>> round(float(class_contrast(point, label, 1.0, margin=1.0, other_weight=0.5)), 4)
    0.4507
    """

    def of_rows(i: jax.Array) -> tuple[jax.Array, ...]:
        block = Block(i)
        length, same = pair_lengths(point, block, c=c), _same_class(label, block)
        pairs = distinct(label.size, block, where)
        sums = (jnp.where(mask, length, 0.0).sum(-1) for mask in (pairs & same, pairs & ~same))
        return *sums, (pairs & same).sum(-1), (pairs & ~same).sum(-1)

    within, between, n_within, n_between = (x.sum() for x in map_rows(of_rows, label.size))
    within /= jnp.maximum(n_within, 1).astype(point.dtype)
    between /= jnp.maximum(n_between, 1).astype(point.dtype)
    hinge = jax.nn.relu(within - other_weight * between + margin)
    return jnp.where(n_within + n_between > 0, hinge, 0.0)
