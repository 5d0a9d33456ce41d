"""Losses on lengths: pair distances that follow a tree, and lengths inside intervals."""

import math

import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.fields import BOOLEAN, above
from tvae.geometry.tree import Tree
from tvae.losses.blocks import mean_over_pairs
from tvae.losses.pairs import Block, Pairs, distinct, ends, pair_lengths
from tvae.losses.registry import term


def target_distance(
    pair_level: jax.Array, *, max_distance: Numeric = 3.0, level_scale: Numeric = 3.0
) -> jax.Array:
    """Hyperbolic distance wanted between two items, :math:`D e^{-l / s}`.

    Args:
      pair_level: integers l of any shape, level of the deepest common ancestor.
      max_distance: D, wanted where l = 0. With radii kept at 0.9 or less two points are at most
        1.8 apart, so a D of 3 works against such radial targets.
      level_scale: s, levels per factor e.

    >>> target_distance(jnp.asarray([0, 3, 9])).tolist()
    [3.0, 1.1036..., 0.1493...]
    """
    return max_distance * jnp.exp(-pair_level.astype(jnp.result_type(float)) / level_scale)


@term(
    "tree_geodesic",
    unit="hyperbolic length; squared where not smooth",
    options={
        "max_distance": (
            above(0.0),
            "target distance between items that share no level, hyperbolic length",
        ),
        "level_scale": (above(0.0), "levels per factor e of the target distance"),
        "smooth": (BOOLEAN, "smooth L1 with its corner at 1; False = the square"),
    },
    bounds=(0.0, jnp.inf),
    invariances=("permutation", "isometry"),
    source="the reference system's PAdicGeodesicLoss",
    was={"PAdicGeodesicLoss": "same"},
)
def tree_geodesic(
    point: jax.Array,
    index: jax.Array,
    *,
    tree: Tree,
    c: Numeric,
    pairs: Pairs | None = None,
    max_distance: Numeric = 3.0,
    level_scale: Numeric = 3.0,
    smooth: bool = True,
) -> jax.Array:
    """Mean smooth L1 (or squared) difference of hyperbolic and wanted distances of pairs.

    Two rows that hold the same item are wanted at the distance of that item's level, not at 0.

    Args:
      point: ``(n, d)``, in the Poincaré ball of curvature -c.
      index: int ``(n,)`` items.
      tree: of the items.
      c: curvature magnitude.
      pairs: sampled pairs, or None for all.
      max_distance: see :func:`target_distance`.
      level_scale: see :func:`target_distance`.
      smooth: smooth L1 with its corner at 1, or the square when False (static).

    Source: the reference system's PAdicGeodesicLoss.

    >>> from tvae.geometry.padic import PadicTree
    >>> z, index = jnp.zeros((2, 3)), jnp.asarray([0, 1])
    >>> float(tree_geodesic(z, index, tree=PadicTree(3, 9), c=1.0))  # |0 - 3| - 1/2
    2.5
    """

    def penalty(pairs: Pairs | Block | None) -> tuple[jax.Array, jax.Array]:
        pair_level = tree.pair_level(*ends(index, pairs))
        wanted = target_distance(pair_level, max_distance=max_distance, level_scale=level_scale)
        actual = pair_lengths(point, pairs, c=c)
        error = actual - wanted.astype(actual.dtype)
        value = optax.huber_loss(error) if smooth else jnp.square(error)
        return value, distinct(point.shape[0], pairs)

    return mean_over_pairs(penalty, point.shape[0], pairs)


def _weighted_rows(value: jax.Array, log_weight: jax.Array) -> jax.Array:
    """Mean of each row ``(q,)`` by weights ``(q, w)``, logarithms; 0 where nothing counts."""
    counts = jnp.isfinite(log_weight)
    top = jnp.max(jnp.where(counts, log_weight, 0.0), -1, keepdims=True)
    weight = jnp.where(counts, jnp.exp(jnp.where(counts, log_weight, 0.0) - top), 0.0)
    return (weight * value).sum(-1) / jnp.maximum(weight.sum(-1), 1e-30)


@term(
    "path_stress",
    unit="1",
    options={"edge_length": (above(0.0), "distance wanted between a child and its parent")},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    source="Sammon 1969 and Kamada and Kawai 1989 (the weights); Sala et al. 2018 (distortion)",
)
def path_stress(
    other_distance: jax.Array,
    other_path: jax.Array,
    log_weight: jax.Array,
    *,
    edge_length: Numeric = 0.5,
) -> jax.Array:
    r"""Mean squared relative error of distances as path lengths in a tree.

    .. math:: \sum_w \omega_{qw}\,\Big(\frac{d_{qw}}{s\,p_{qw}} - 1\Big)^2 \Big/ \sum_w \omega_{qw}

    Args:
      other_distance: ``(q, w)``, of each row to others.
      other_path: int ``(q, w)``, edges between them; pairs without an edge do not count.
      log_weight: ``(q, w)``, logarithm of how much each of them counts.
      edge_length: s.

    Returns:
      A scalar; each row counts alike.

    >>> distance, path = jnp.asarray([[0.5, 2.0]]), jnp.asarray([[1, 2]])
    >>> float(path_stress(distance, path, jnp.zeros((1, 2))))  # (0 + 1) / 2
    0.5
    """
    apart = other_path > 0
    wanted = edge_length * jnp.where(apart, other_path, 1).astype(other_distance.dtype)
    error = jnp.where(apart, jnp.square(other_distance / wanted - 1.0), 0.0)
    return _weighted_rows(error, jnp.where(apart, log_weight, -jnp.inf)).mean()


@term(
    "common_interval",
    unit="squared distance",
    options={"max_distance": (above(0.0), "distance that no pair needs to pass")},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    source="as the intervals of v6; disjoint ones of equal width",
)
def common_interval(
    other_distance: jax.Array,
    other_common: jax.Array,
    log_weight: jax.Array,
    tree: Tree,
    *,
    max_distance: Numeric = 8.0,
) -> jax.Array:
    r"""Mean squared distance to the interval of a pair's deepest common ancestor.

    Depths 0 to L part the lengths up to D: a pair whose common ancestor has depth l is wanted
    between :math:`D (L - l) / (L + 1)` and :math:`D (L + 1 - l) / (L + 1)`, so that the deeper the
    ancestor, the nearer the pair, without a wanted order within a depth.

    Args:
      other_distance: ``(q, w)``, of each row to others.
      other_common: int ``(q, w)``, depth of their deepest common ancestor.
      log_weight: ``(q, w)``, logarithm of how much each of them counts.
      tree: of the items.
      max_distance: D.

    Returns:
      A scalar; each row counts alike.

    >>> from tvae.geometry.tree import TableTree
    >>> distance, common = jnp.asarray([[7.0, 3.0]]), jnp.asarray([[0, 0]])
    >>> float(common_interval(distance, common, jnp.zeros((1, 2)), TableTree([-1, 0])))  # 4 to 8
    0.5
    """
    width = max_distance / (tree.depth + 1)
    low = (tree.depth - other_common).astype(other_distance.dtype) * width
    error = interval_penalty(other_distance, jnp.stack([low, low + width], -1))
    return _weighted_rows(error, log_weight).mean()


def interval_penalty(length: jax.Array, interval: jax.Array) -> jax.Array:
    """Squared distance to an interval, :math:`[l - x]_+^2 + [x - h]_+^2`; inside the gradient is 0.

    Args:
      length: ``(...)``, the shape of the result.
      interval: ``(..., 2)``, low and high end in the unit of ``length``; ends may be infinite.

    >>> interval = jnp.asarray([[1.0, 2.0]] * 3)
    >>> interval_penalty(jnp.asarray([0.5, 1.5, 4.0]), interval).tolist()
    [0.25, 0.0, 4.0]
    """
    below = jax.nn.relu(interval[..., 0] - length)
    above = jax.nn.relu(length - interval[..., 1])
    return below * below + above * above


def weighted_interval(
    length: jax.Array, group: jax.Array, table: jax.Array, weight: jax.Array
) -> jax.Array:
    """Weighted sum of the penalty, each length against the interval of its group.

    Serves radii (a group is an item), tree distances (the pair level) and chords (the gap of two
    levels). Weights of a mean sum to 1, and are 0 for rows or pairs that must not count.

    Args:
      length: ``(...)``.
      group: integers ``(...)``, rows of ``table``.
      table: intervals ``(n_groups, 2)``.
      weight: ``(...)``.

    >>> table = jnp.asarray([[0.0, 1.0], [2.0, jnp.inf]])
    >>> length, group = jnp.asarray([1.5, 1.5]), jnp.asarray([0, 1])
    >>> float(weighted_interval(length, group, table, jnp.asarray([0.5, 0.5])))
    0.25
    """
    return (weight * interval_penalty(length, table[group])).sum()
