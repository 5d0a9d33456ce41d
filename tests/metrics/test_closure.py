"""Mean rank and MAP of a closure against counting and sorting in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from tvae.domains.hierarchy import evaluation
from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.domains.hierarchy.hierarchy import from_parents
from tvae.metrics import closure


def brute_force(keys, offset, ancestor):
    """Mean rank over pairs and MAP over items, ties against; one item after the other."""
    ranks, precisions = [], []
    for i in range(len(keys)):
        own = ancestor[offset[i] : offset[i + 1]]
        if not own.size:
            continue
        others = np.ones(len(keys), bool)
        others[own] = others[i] = False
        at = np.sort(keys[i, own])
        nearer = np.searchsorted(np.sort(keys[i, others]), at, side="right")
        ranks.append(1 + nearer)
        place = np.arange(1, own.size + 1)
        precisions.append((place / (place + nearer)).mean())
    return np.concatenate(ranks).mean(), np.mean(precisions)


def random_hierarchy(n, extra=0, seed=0):
    draw = np.random.default_rng(seed)
    parent = np.asarray([-1, *(draw.integers(0, i) for i in range(1, n))])
    item = draw.integers(2, n, extra)
    edges = np.stack([item, draw.integers(0, item)], 1).reshape(-1, 2)
    edges = np.unique(edges[edges[:, 1] != parent[edges[:, 0]]], axis=0)
    return from_parents(np.arange(n).astype(str), parent, edges)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_equals_brute_force_on_2000_items(geometry):
    known, space = random_hierarchy(2000, extra=100), GEOMETRIES[geometry]
    draw = np.random.default_rng(1)
    points = space.from_tangent(jnp.asarray(draw.normal(size=(2000, 5)), jnp.float32))
    points = points.at[7].set(points[3])  # a tie
    placed = space.place(points)
    keys = np.asarray(space.key(placed, placed))
    check(known, geometry, points, keys)


def check(known, geometry, points, keys):
    n = len(known)
    groups = closure.group_queries(*known.closure, np.arange(n))
    ranks = closure.rank_groups(evaluation.key_of(geometry), (points,), groups, n=n)
    found = closure.summarise(ranks)
    mean_rank, precision = brute_force(keys, *known.closure)
    np.testing.assert_allclose(found["mean_rank"], mean_rank, rtol=1e-5)
    np.testing.assert_allclose(found["map"], precision, rtol=1e-5)


def test_items_with_many_ancestors_are_counted_alike():
    known = from_parents(np.arange(300).astype(str), np.arange(-1, 299))
    draw = np.random.default_rng(0)
    points = jnp.asarray(draw.normal(size=(300, 3)), jnp.float32).at[7].set(1.0).at[3].set(1.0)
    placed = GEOMETRIES["lorentz"].place(points)
    check(known, "lorentz", points, np.asarray(GEOMETRIES["lorentz"].key(placed, placed)))


def test_the_best_and_the_worst_embedding():
    known = from_parents(["root", "a", "b", "c"], [-1, 0, 1, 0])

    def measured(keys):
        groups = closure.group_queries(*known.closure, np.arange(4))
        ranks = closure.rank_groups(_key_of_matrix, (jnp.asarray(keys),), groups, n=4)
        return closure.summarise(ranks)

    # Two queries with one ancestor, one with two.
    best = measured([[0, 1, 2, 3], [1, 0, 2, 2], [1, 1, 0, 5], [1, 2, 3, 0.0]])
    assert (float(best["mean_rank"]), float(best["map"])) == (1.0, 1.0)
    # All coincide: every other item counts as nearer. Ranks 3, 3 and 2, 2 of item 2.
    worst = measured(np.zeros((4, 4)))
    assert float(worst["mean_rank"]) == 2.5
    np.testing.assert_allclose(
        worst["map"], np.mean([1 / 3, (1 / 2 + 2 / 3) / 2, 1 / 3]), rtol=1e-6
    )


def _key_of_matrix(keys):
    return lambda item: keys[item]


def test_errors_of_a_sample_are_standard_errors():
    draw = np.random.default_rng(0)
    rank, pairs = draw.gamma(2.0, 3.0, (400, 200)), draw.integers(1, 6, (400, 200))
    found = [
        closure.summarise(
            closure.Ranks(*(jnp.asarray(x, jnp.float32) for x in (r, 1 / (1 + r), p)))
        )
        for r, p in zip(rank, pairs, strict=True)
    ]
    for name in ("mean_rank", "map"):
        spread = np.std([float(f[name]) for f in found])
        claimed = np.mean([float(f[f"{name}_error"]) for f in found])
        np.testing.assert_allclose(claimed, spread, rtol=0.15)
