"""All measures of one embedding of a tree's items in the Poincaré ball, in one jit-able call."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from tvae.geometry import poincare
from tvae.geometry.tree import Tree
from tvae.metrics import hierarchy as levels
from tvae.metrics import neighbourhood, tree
from tvae.metrics.definitions import BALL, Entry
from tvae.metrics.neighbourhood import N_NEIGHBOURS
from tvae.metrics.sample import PairSample, sample_triplets

N_QUERIES = 256
"""Queries of the neighbourhood measures, each against all items."""
N_TRIPLETS = 5000

PairMeasure = Callable[[jax.Array, PairSample], jax.Array]
"""``(hyperbolic distances (m, m) of the sample's items, sample) -> scalar``."""


def embedding_metrics(
    z: jax.Array,
    key: jax.Array,
    *,
    c: jax.Array,
    items: Tree,
    draw_pairs: Callable[[jax.Array], PairSample],
    pair_measures: Mapping[str, PairMeasure],
) -> dict[str, jax.Array]:
    """Measure an embedding from its deterministic means.

    Radii are hyperbolic except in ``dist_corr_quick`` and ``q_quick``, which use Euclidean norms
    as the published quick figures do.

    Args:
      z: ``(n_leaves, d)`` in index order, points of the ball of curvature -c.
      key: of the samples; use a fixed one to compare models.
      c: curvature magnitude.
      items: the tree.
      draw_pairs: key -> pairs of items that stand for all pairs.
      pair_measures: further measures of pairs by name.

    Returns:
      Float scalars by name: those of :data:`DEFINITIONS`, ``radius_v0``, ``radius_v1``, ... for
      each level, and those of ``pair_measures``. All NaN if any coordinate is not finite.

    Raises:
      ValueError: if ``z`` does not hold all items.
    """
    n = items.n_leaves
    if z.ndim != 2 or z.shape[0] != n:
        raise ValueError(f"expected one row for each of the {n} items, got {z.shape}")
    sample_key, triplet_key, query_key = jax.random.split(key, 3)
    level = items.level(jnp.arange(n, dtype=jnp.int32))
    radius = poincare.hyperbolic_radius(z, c=c)
    mean_radius = levels.level_radii(radius, level, tree=items)
    # Equidistant rows from a random start: a permutation would cost more than the search.
    n_queries = min(N_QUERIES, n)
    step = n // n_queries
    query = step * jnp.arange(n_queries, dtype=jnp.int32) + jax.random.randint(
        query_key, (), 0, n - step * (n_queries - 1), jnp.int32
    )
    neighbours = neighbourhood.nearest_neighbours(z, query, c=c, k=min(N_NEIGHBOURS, n - 1))
    order = levels.hierarchy(radius, level, tree=items)
    sample = draw_pairs(sample_key)
    pairs = _pair_metrics(z, sample, triplet_key, c=c, items=items, further=pair_measures)
    measures = {
        "hierarchy": order,
        "richness": levels.richness(radius, level, tree=items),
        **{f"radius_v{level}": mean_radius[level] for level in range(items.n_levels)},
        **pairs,
        "q_quick": tree.q(pairs["dist_corr_quick"], order),
        "q_comprehensive": tree.q(pairs["dist_corr_comprehensive"], order),
        "neighbour_valuation_consistency": neighbourhood.neighbour_level_consistency(
            neighbours, tree=items
        ),
        "intrinsic_dimension": neighbourhood.intrinsic_dimension(neighbours),
    }
    # Applied once here, because the guards of the geometry turn a NaN into a radius.
    sound = jnp.isfinite(z).all()
    return {name: jnp.where(sound, value, jnp.nan) for name, value in measures.items()}


def _pair_metrics(
    z: jax.Array,
    sample: PairSample,
    triplet_key: jax.Array,
    *,
    c: jax.Array,
    items: Tree,
    further: Mapping[str, PairMeasure],
) -> dict[str, jax.Array]:
    point = z[sample.items]
    distance = poincare.pairwise_distance(point, point, c=c)
    euclidean = jnp.sqrt(jnp.square(point[:, None, :] - point[None, :, :]).sum(-1))
    norm = jnp.sqrt(jnp.square(point).sum(-1))
    triplets = sample_triplets(triplet_key, n_points=sample.items.size, n_triplets=N_TRIPLETS)
    return {
        "dist_corr_quick": tree.dist_corr_quick(norm, sample, tree=items),
        "dist_corr_comprehensive": tree.dist_corr_comprehensive(euclidean, sample, tree=items),
        "tree_fidelity": tree.tree_fidelity(distance, sample, tree=items),
        "triplet_concordance": tree.triplet_concordance(
            distance, sample.items, triplets, tree=items
        ),
        "ultrametric_compliance": tree.ultrametric_compliance(distance, triplets),
        **{name: measure(distance, sample) for name, measure in further.items()},
    }


def definitions(items: Tree) -> dict[str, Entry]:
    """Definitions of the measures of an embedding of a tree's items."""
    radii = {
        f"radius_v{level}": Entry(f"mean hyperbolic radius, level {level}", BALL, better="neither")
        for level in range(items.n_levels)
    }
    return levels.DEFINITIONS | tree.DEFINITIONS | neighbourhood.DEFINITIONS | radii
