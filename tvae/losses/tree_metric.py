"""How far distances are from those of some tree, whichever that is: no items are needed."""

import math

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import at_least, one_of
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import row_lengths, sample_rows
from tvae.losses.registry import term

# Opposite sides of a triangle are single pairs, those of a quadruple two pairs.
_SIDES = {
    "ultrametric": ([[(0, 1)], [(0, 2)], [(1, 2)]], 3),
    "additive": ([[(0, 1), (2, 3)], [(0, 2), (1, 3)], [(0, 3), (1, 2)]], 4),
}


@term(
    "tree_metric",
    unit="distance",
    source="Buneman 1974 (four points); the reference system's tree loss of its tropical models",
    options={
        "kind": (one_of(*_SIDES), "the condition on three or four rows"),
        "n_draws": (at_least(1), "triples or quadruples drawn from a batch"),
    },
    bounds=(0.0, math.inf),
    invariances=("isometry",),
    was={"TropicalTreeLoss": "corrected"},
)
def tree_metric(
    point: jax.Array,
    key: jax.Array,
    c: Numeric | None = None,
    where: jax.Array | None = None,
    *,
    kind: str = "ultrametric",
    n_draws: int = 500,
) -> jax.Array:
    r"""Mean gap of the two largest of three lengths, which are equal where a tree has them.

    "ultrametric": the distances of three rows, as of leaves of equal height in a rooted tree,
    :math:`d_{ac} \le \max(d_{ab}, d_{bc})`. "additive": the sums :math:`d_{ab} + d_{cd}`,
    :math:`d_{ac} + d_{bd}` and :math:`d_{ad} + d_{bc}` of four rows, as of nodes of any tree.

    Args:
      point: ``(n, d)``; with a curvature, points of the Poincaré ball.
      key: of the draws.
      c: curvature magnitude; without it distances are Euclidean.
      where: bool ``(n,)``, rows that count.
      kind: "ultrametric" or "additive" (static).
      n_draws: triples or quadruples (static).

    Returns:
      A scalar in the unit of the distances; 0 where too few rows count.

    >>> point, key = jnp.asarray([[0.0], [1.0], [3.0]]), jax.random.key(0)
    >>> float(tree_metric(point, key))  # 3 - 2
    1.0
    """
    chex.assert_rank(point, 2)
    sides, size = _SIDES[kind]
    rows, mask = sample_rows(key, n_rows=len(point), n_draws=n_draws, size=size, where=where)
    i, j = jnp.asarray(sides).reshape(-1, 2).T
    ends = point[rows[:, i]].reshape(-1, point.shape[-1]), point[rows[:, j]]
    lengths = row_lengths(ends[0], ends[1].reshape(ends[0].shape), c=c)
    ordered = jnp.sort(lengths.reshape(n_draws, len(sides), -1).sum(-1))
    return masked_mean(ordered[:, 2] - ordered[:, 1], mask)
