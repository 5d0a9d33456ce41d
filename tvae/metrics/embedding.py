"""The full set of measures of one Poincaré embedding of all operations, in one jit-able call."""

import jax
import jax.numpy as jnp

from tvae.geometry import padic as ternary
from tvae.geometry import poincare
from tvae.geometry.padic import N_DIGITS
from tvae.metrics import hierarchy as levels
from tvae.metrics import neighbourhood, tree
from tvae.metrics.sample import PairSample, sample_triplets, tree_sample

N_QUERIES = 256
"""Queries of the neighbourhood measures, each against the whole space."""
N_NEIGHBOURS = 10
N_TRIPLETS = 5000


def embedding_metrics(z: jax.Array, key: jax.Array, *, c: jax.Array) -> dict[str, jax.Array]:
    """Measure an embedding from its deterministic means.

    Radii are hyperbolic except in ``dist_corr_quick`` and ``q_quick``, which use Euclidean norms
    as the published quick figures do.

    Args:
      z: ``(19683, d)`` in index order, points of the ball of curvature -c.
      key: picks the sample; use a fixed one to compare models.
      c: curvature magnitude.

    Returns:
      Float scalars by name: hierarchy, richness, radius_v0 .. radius_v9, dist_corr_quick,
      dist_corr_comprehensive, q_quick, q_comprehensive, tree_fidelity, hamming_correlation,
      triplet_concordance, ultrametric_compliance, neighbour_valuation_consistency and
      intrinsic_dimension. All NaN if any coordinate is not finite.

    Raises:
      ValueError: if ``z`` does not hold all operations.
    """
    n = ternary.count()
    if z.ndim != 2 or z.shape[0] != n:
        raise ValueError(f"expected one row for each of the {n} operations, got {z.shape}")
    sample_key, triplet_key, query_key = jax.random.split(key, 3)
    valuation = ternary.valuation(jnp.arange(n, dtype=jnp.int32))
    radius = poincare.hyperbolic_radius(z, c=c)
    mean_radius = levels.level_radii(radius, valuation)
    # Every 76th operation from a random start: a permutation to draw from would cost more than
    # the search.
    step = n // N_QUERIES
    query = step * jnp.arange(N_QUERIES, dtype=jnp.int32) + jax.random.randint(
        query_key, (), 0, n - step * (N_QUERIES - 1), jnp.int32
    )
    neighbours = neighbourhood.nearest_neighbours(z, query, c=c, k=N_NEIGHBOURS)
    order = levels.hierarchy(radius, valuation)
    # Said once for all measures: the guards of the geometry would turn a NaN into a radius.
    sound = jnp.isfinite(z).all()
    pairs = _pair_metrics(z, tree_sample(sample_key), triplet_key, c=c)
    measures = {
        "hierarchy": order,
        "richness": levels.richness(radius, valuation),
        **{f"radius_v{level}": mean_radius[level] for level in range(N_DIGITS + 1)},
        **pairs,
        "q_quick": tree.q(pairs["dist_corr_quick"], order),
        "q_comprehensive": tree.q(pairs["dist_corr_comprehensive"], order),
        "neighbour_valuation_consistency": neighbourhood.neighbour_valuation_consistency(
            neighbours
        ),
        "intrinsic_dimension": neighbourhood.intrinsic_dimension(neighbours),
    }
    return {name: jnp.where(sound, value, jnp.nan) for name, value in measures.items()}


def _pair_metrics(
    z: jax.Array, sample: PairSample, triplet_key: jax.Array, *, c: jax.Array
) -> dict[str, jax.Array]:
    point = z[sample.operations]
    distance = poincare.pairwise_distance(point, point, c=c)
    difference = point[:, None, :] - point[None, :, :]
    euclidean = jnp.sqrt(jnp.square(difference).sum(-1))
    norm = jnp.sqrt(jnp.square(point).sum(-1))
    triplets = sample_triplets(
        triplet_key, n_points=sample.operations.shape[0], n_triplets=N_TRIPLETS
    )
    return {
        "dist_corr_quick": tree.dist_corr_quick(norm, sample),
        "dist_corr_comprehensive": tree.dist_corr_comprehensive(euclidean, sample),
        "tree_fidelity": tree.tree_fidelity(distance, sample),
        "hamming_correlation": tree.hamming_correlation(distance, sample),
        "triplet_concordance": tree.triplet_concordance(distance, sample.operations, triplets),
        "ultrametric_compliance": tree.ultrametric_compliance(distance, triplets),
    }
