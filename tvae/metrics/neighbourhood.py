"""Nearest neighbours by hyperbolic distance, and measures of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from tvae.geometry import poincare
from tvae.geometry.tree import Tree
from tvae.metrics.definitions import Entry

N_NEIGHBOURS = 10
"""Neighbours of a query in an evaluation."""
_QUERIES = "256 queries against all points"


class Neighbours(NamedTuple):
    """The k nearest points of some queries, nearest first.

    Attributes:
      query: int32 ``(n_queries,)`` rows of the embedding.
      neighbour: int32 ``(n_queries, k)`` rows of the embedding, never the query itself.
      distance: hyperbolic ``(n_queries, k)``.
    """

    query: jax.Array
    neighbour: jax.Array
    distance: jax.Array


def nearest_neighbours(z: jax.Array, query: jax.Array, *, c: jax.Array, k: int) -> Neighbours:
    """Search all points of an embedding.

    Candidates are picked by one matrix product, whose rounding may swap neighbours at nearly equal
    distance; their distances are computed afresh and sorted.

    Args:
      z: ``(n, d)`` points of the ball of curvature -c.
      query: int ``(n_queries,)`` rows of ``z``; memory is n times n_queries floats.
      c: curvature magnitude.
      k: neighbours of each (static).
    """
    square = jnp.sum(z * z, axis=-1)
    inner = jnp.matmul(z[query], z.T, precision=jax.lax.Precision.HIGHEST)
    euclidean = square[query][:, None] + square[None, :] - 2 * inner
    # For a fixed query the distance grows with ‖x - y‖² / (1 - c‖y‖²).
    closeness = -jnp.maximum(euclidean, 0) * poincare.conformal_factor(z, c=c)[None, :]
    own = query[:, None] == jnp.arange(z.shape[0], dtype=query.dtype)[None, :]
    _, index = jax.lax.top_k(jnp.where(own, -jnp.inf, closeness), k)
    distance = poincare.distance(z[query][:, None, :], z[index], c=c)
    order = jnp.argsort(distance, axis=-1)
    return Neighbours(
        query=query,
        neighbour=jnp.take_along_axis(index, order, -1),
        distance=jnp.take_along_axis(distance, order, -1),
    )


def neighbour_level_consistency(neighbours: Neighbours, *, tree: Tree) -> jax.Array:
    """Share of neighbours that have the level of their query; rows are the tree's items."""
    own = tree.level(neighbours.query)[:, None]
    return (tree.level(neighbours.neighbour) == own).mean()


def neighbour_level_consistency_ceiling(tree: Tree, *, k: int = N_NEIGHBOURS) -> float:
    """Largest consistency over all queries: small levels have fewer than k other members.

    >>> from tvae.geometry.padic import PadicTree
    >>> round(neighbour_level_consistency_ceiling(PadicTree(3, 9)), 5)
    0.99971
    """
    counts = tree.level_counts
    return sum(n * min(k, n - 1) for n in counts) / (k * sum(counts))


def intrinsic_dimension(neighbours: Neighbours) -> jax.Array:
    r"""Two-nearest-neighbour estimate, :math:`n / \sum \log(r_2 / r_1)`.

    Args:
      neighbours: with k >= 2. Queries with ``r_1 = 0`` (coincident points) are left out.

    Returns:
      A scalar; its standard error is about 1/sqrt(n) of the value. 0 if no query is left: all
      points coincide with another. At most 1/eps of the dtype, where all ratios are 1.

    Source: Facco et al., Estimating the intrinsic dimension of datasets by a minimal
    neighborhood information, Scientific Reports 7 (2017), equation 3 (maximum likelihood).

    >>> distance = jnp.asarray([[1.0, jnp.e], [1.0, jnp.e]])
    >>> round(float(intrinsic_dimension(Neighbours(jnp.zeros(2), jnp.zeros((2, 2)), distance))), 4)
    1.0
    """
    first, second = neighbours.distance[:, 0], neighbours.distance[:, 1]
    apart = first > 0
    ratio = jnp.where(apart, second / jnp.where(apart, first, 1), 1)
    n = apart.sum()
    return n / jnp.maximum(jnp.log(ratio).sum(), jnp.finfo(ratio.dtype).eps * jnp.maximum(n, 1))


DEFINITIONS = {
    "neighbour_valuation_consistency": Entry(
        "share of the ten nearest neighbours that have the level of their query",
        _QUERIES,
        neighbour_level_consistency_ceiling,
        note="The ceiling is that of all points: a sample may pass it.",
    ),
    "intrinsic_dimension": Entry(
        "dimension estimated from the two nearest neighbours",
        _QUERIES,
        better="neither",
        note="Standard error about 6 % of the value; 0 where all points coincide with another.",
    ),
}
