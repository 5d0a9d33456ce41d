"""What is measured on a table of points: ranks of ancestors, distances, neighbours."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.hierarchy import link_prediction
from tvae.domains.hierarchy.geometry import GEOMETRIES, Geometry
from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.domains.hierarchy.links import Links
from tvae.engine import compilation
from tvae.engine.task import Metrics
from tvae.metrics import closure
from tvae.metrics.definitions import Entry
from tvae.metrics.hyperbolicity import Hyperbolicity, hyperbolicity
from tvae.metrics.rank_correlation import spearman, tie_ceiling

SAMPLE_SEED = 0
"""Of the pairs and items that stand for all: the same in every run."""
N_PAIRS = 100_000
"""Pairs of items whose distances are measured."""
N_NEIGHBOURS = 1_000
"""Items whose nearest neighbour is looked at."""
N_GRAPH = 64
"""Items between which paths through the graph of all edges are looked for."""
_SAMPLED_QUERIES = 10_000
"""Items whose ancestors the final evaluation ranks where there are too many items."""
_MOST_PAIRS = 10_000_000
"""Pairs of item and ancestor that it ranks at most: of a deep hierarchy fewer items."""


@functools.cache
def key_of(geometry: str) -> Callable[[jax.Array], closure.Key]:
    """Points of a geometry -> the order of all items by distance, one function for each name."""
    space = GEOMETRIES[geometry]

    def key_of(points: jax.Array) -> closure.Key:
        placed = space.place(points)

        def key(item: jax.Array) -> jax.Array:
            return space.key(jax.tree.map(lambda x: x[item], placed), placed)

        return key

    return key_of


def _some(n: int, count: int) -> np.ndarray:
    """Different random items, ascending; all where there are no more."""
    if n <= count:
        return np.arange(n)
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(n, count, replace=False))


def headline(known: Hierarchy, space: Geometry, points: jax.Array, queries: int) -> Metrics:
    """Mean rank and MAP of a sample of items; a part of :func:`measure`."""
    n = len(known)
    groups = closure.group_queries(*known.closure, _some(n, queries))
    if not groups:
        return {"eval/mean_rank": jnp.float32(1.0), "eval/map": jnp.float32(1.0)}
    placed = space.place(points)

    def key(item: jax.Array) -> jax.Array:
        return space.key(jax.tree.map(lambda x: x[item], placed), placed)

    found = [
        closure.rank_ancestors(key, jnp.asarray(g.item), jnp.asarray(g.ancestor), n=n)
        for g in groups
    ]
    ranks = closure.Ranks(*(jnp.concatenate(column) for column in zip(*found, strict=True)))
    summary = closure.summarise(ranks)
    return {"eval/mean_rank": summary["mean_rank"], "eval/map": summary["map"]}


def measure(
    known: Hierarchy,
    geometry: str,
    points: jax.Array,
    c: jax.Array,
    *,
    exact_up_to: int,
    links: Links | None = None,
) -> Metrics:
    """All measures of a table; not for ``jit``.

    Args:
      known: the hierarchy.
      geometry: name of the space.
      points: ``(n, d)`` in its coordinates.
      c: curvature magnitude.
      exact_up_to: items up to which the ancestors of all are ranked; of more, and of more than ten
        million pairs, those of a sample, with the standard errors of its means.
      links: labelled pairs for the figures of link prediction; None for none.
    """
    n = len(known)
    pairs = known.closure[1].size
    exact = n <= exact_up_to and pairs <= _MOST_PAIRS
    few = max(1, min(_SAMPLED_QUERIES, _MOST_PAIRS * n // max(1, pairs)))
    asked = np.arange(n) if exact else _some(n, few)
    groups = closure.group_queries(*known.closure, asked)
    metrics: Metrics = {
        "eval/curvature": c,
        "eval/items": jnp.int32(n),
        "eval/several_parents": jnp.int32(known.several_parents),
    }
    if not groups:  # one item: nothing to rank
        return metrics | {"eval/mean_rank": jnp.float32(1.0), "eval/map": jnp.float32(1.0)}
    if links is not None:
        metrics |= link_prediction.measure(geometry, points, links)
    shape = graph_hyperbolicity(known)
    metrics |= {f"eval/delta_{name}": jnp.float32(x) for name, x in shape._asdict().items()}
    ranks = closure.summarise(closure.rank_groups(key_of(geometry), (points,), groups, n=n))
    shown = ("mean_rank", "map") if exact else tuple(ranks)
    metrics |= {f"eval/{name}": ranks[name] for name in shown}
    metrics |= _distances(known, GEOMETRIES[geometry], points)
    return metrics | _neighbours(known, GEOMETRIES[geometry], points)


@functools.lru_cache(maxsize=8)
def graph_hyperbolicity(known: Hierarchy) -> Hyperbolicity:
    """Departure of the hierarchy itself from a tree, by paths along all edges in both directions.

    >>> from tvae.domains.hierarchy.hierarchy import from_parents
    >>> graph_hyperbolicity(from_parents(["a", "b", "c", "d"], [-1, 0, 0, 1]))  # a tree
    Hyperbolicity(worst=0.0, mean=0.0)
    >>> cycle = from_parents(["a", "b", "c", "d"], [-1, 0, 0, 1], [[3, 2]])
    >>> graph_hyperbolicity(cycle).worst
    1.0
    """
    if not len(known.extra):
        return Hyperbolicity(0.0, 0.0)
    from scipy import sparse
    from scipy.sparse import csgraph

    n = len(known)
    low = np.concatenate([np.arange(1, n), known.extra[:, 0]])
    high = np.concatenate([known.parent[1:], known.extra[:, 1]])
    graph = sparse.csr_array((np.ones(low.size), (low, high)), (n, n))
    some = _some(n, N_GRAPH)
    paths = csgraph.dijkstra(graph, directed=False, indices=some, unweighted=True)
    return hyperbolicity(paths[:, some], quadruples=N_PAIRS, seed=SAMPLE_SEED)


def _distances(known: Hierarchy, space: Geometry, points: jax.Array) -> Metrics:
    """Distances of random pairs beside path lengths along primary parents."""
    n = len(known)
    if n < 3:
        return {}
    draw = np.random.default_rng(SAMPLE_SEED)
    i = draw.integers(0, n, N_PAIRS)
    j = (i + draw.integers(1, n, N_PAIRS)) % n
    tree = known.tree

    @compilation.jit_once
    def lengths(points: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        placed = space.place(points)
        x, y = (jax.tree.map(lambda a, k=k: a[k], placed) for k in (i, j))
        common = tree.pair_level(i, j)
        path = tree.level(i) + tree.level(j) - 2 * common
        return space.distance(x, y), path, common

    distance, path, common = lengths(points)
    ratio = distance / path
    # The scale at which the mean relative error of all pairs is least: the median of the ratios.
    relative = jnp.abs(ratio / jnp.median(ratio) - 1.0)
    found = {
        "eval/distortion": relative.mean(),
        "eval/worst_distortion": relative.max(),
    }
    for name, value, sign in (("path", path, 1), ("common_ancestor", common, -1)):
        counts = np.bincount(np.asarray(value))
        if (counts > 0).sum() > 1:
            rho = sign * compilation.jit_once(spearman)(distance, value.astype(jnp.float32))
            found[f"eval/{name}_correlation"] = jnp.where(jnp.isfinite(rho), rho, 0.0)
            found[f"eval/{name}_ceiling"] = jnp.float32(tie_ceiling(counts.tolist()))
    return found


def _neighbours(known: Hierarchy, space: Geometry, points: jax.Array) -> Metrics:
    """What the nearest neighbour of an item is to it."""
    n = len(known)
    item = _some(n, N_NEIGHBOURS)
    if n < 2:
        return {}

    @compilation.jit_once
    def nearest(points: jax.Array) -> jax.Array:
        placed = space.place(points)

        def search(own: jax.Array) -> jax.Array:
            keys = space.key(jax.tree.map(lambda x: x[own[None]], placed), placed)[0]
            return jnp.argmin(jnp.where(jnp.arange(n) == own, jnp.inf, keys))

        return jax.lax.map(search, jnp.asarray(item), batch_size=32)

    found = np.asarray(nearest(points))
    parent = known.parent
    kinds = {
        "parent": parent[item] == found,
        "child": parent[found] == item,
        "sibling": (parent[found] == parent[item]) & (parent[item] >= 0),
    }
    return {f"eval/nearest_is_{k}": jnp.float32(v.mean()) for k, v in kinds.items()}


_ALL = "all pairs of item and ancestor; beyond evaluation.exact_up_to items a sample of items"
_PAIRS = "100,000 random pairs of items, the same in every run"
_QUADRUPLES = "100,000 random quadruples of 64 random items, the same in every run"
_SOME = "1,000 random items, the same in every run"
DEFINITIONS = {
    "eval/mean_rank": Entry(
        "rank of an ancestor by distance to the item, among all items that are no ancestors",
        _ALL,
        1.0,
        better="lower",
        note="Ties count against it. During training of evaluation.queries items.",
    ),
    "eval/map": Entry(
        "mean average precision: ancestors among all items by distance",
        _ALL,
        1.0,
        note="A lookup table reaches 1: this measures fit, not generalisation.",
    ),
    "eval/mean_rank_error": Entry(
        "standard error of mean_rank by the sample of items", _ALL, better="neither"
    ),
    "eval/map_error": Entry("standard error of map by the sample of items", _ALL, better="neither"),
    "eval/distortion": Entry(
        "mean relative error of distances as path lengths, at the best common scale",
        _PAIRS,
        better="lower",
    ),
    "eval/worst_distortion": Entry(
        "largest relative error of distances as path lengths, at that scale",
        _PAIRS,
        better="lower",
    ),
    "eval/path_correlation": Entry(
        "Spearman correlation of distance and path length along primary parents",
        _PAIRS,
        note="Its ceiling by ties is path_ceiling.",
    ),
    "eval/path_ceiling": Entry(
        "largest path_correlation of distances without ties", _PAIRS, better="neither"
    ),
    "eval/common_ancestor_correlation": Entry(
        "Spearman correlation of nearness and level of the deepest common ancestor",
        _PAIRS,
        note="Its ceiling by ties is common_ancestor_ceiling.",
    ),
    "eval/common_ancestor_ceiling": Entry(
        "largest common_ancestor_correlation of distances without ties", _PAIRS, better="neither"
    ),
    "eval/nearest_is_parent": Entry(
        "share of items whose nearest neighbour is their parent", _SOME, better="neither"
    ),
    "eval/nearest_is_child": Entry(
        "share of items whose nearest neighbour is a child", _SOME, better="neither"
    ),
    "eval/nearest_is_sibling": Entry(
        "share of items whose nearest neighbour is a sibling", _SOME, better="neither"
    ),
    "eval/delta_worst": Entry(
        "largest Gromov delta of the hierarchy itself, twice over the diameter: 0 for a tree",
        _QUADRUPLES,
        better="neither",
        note="By paths along all edges. Near 1 the items are no tree, and a ball is no better.",
    ),
    "eval/delta_mean": Entry(
        "mean Gromov delta of the hierarchy itself, twice over the diameter",
        _QUADRUPLES,
        better="neither",
    ),
    "eval/curvature": Entry("curvature magnitude c of the space", "the model", better="neither"),
    "eval/items": Entry("number of items", "the hierarchy", better="neither"),
    "eval/several_parents": Entry(
        "items with more than one parent; their tree has the first one",
        "the hierarchy",
        better="neither",
    ),
} | link_prediction.DEFINITIONS
"""Metric key -> entry."""
