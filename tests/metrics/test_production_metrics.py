"""Hierarchy, tree and neighbourhood measures: recorded values, brute force, and their ceilings."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tests.support.production_cases import FAST_COMPILE, kept
from tvae.domains.operations.tree import (
    TREE,
    embedding_metrics,
    hamming_correlation_ceiling,
    hamming_distance,
    tree_sample,
)
from tvae.geometry import padic, poincare
from tvae.geometry.padic import PadicTree
from tvae.geometry.tree import TableTree
from tvae.metrics import embedding, neighbourhood, tree
from tvae.metrics import hierarchy as levels
from tvae.metrics.rank_correlation import tie_ceiling
from tvae.metrics.sample import Triplets, all_pairs, sample_triplets

# Op by op the same programs would take a minute to compile.
FAST = partial(jax.jit, compiler_options=FAST_COMPILE)
VALUATION = TREE.level(jnp.arange(19683))


@pytest.fixture(scope="module")
def recorded():
    (case,) = kept("metrics", "metrics/comprehensive_and_quick")
    points = {side: jnp.asarray(case[f"in.z_{side}_q"], jnp.float32) / 128 for side in "AB"}
    return case, points


@FAST
def _levels(radius):
    measures = (levels.hierarchy, levels.richness, levels.level_radii)
    return [measure(radius, VALUATION, tree=TREE) for measure in measures]


@FAST
def _euclidean(x):
    return jnp.linalg.norm(x[:, None] - x[None], axis=-1)


@pytest.mark.parametrize(("name", "c"), [("n1000_c1", 1.0), ("n200_c1", 1.0), ("n300_c0.5", 0.5)])
def test_comprehensive_metrics_equal_the_reference_system(recorded, name, c):
    case, points = recorded
    sample = all_pairs(jnp.asarray(case[f"in.sample_idx_{name}"]))
    for side, z in points.items():
        order, rich, mean = _levels(poincare.hyperbolic_radius(z, c=c))
        distance = _euclidean(z[sample.items])
        dist_corr = FAST(partial(tree.dist_corr_comprehensive, tree=TREE))(distance, sample)

        def check(actual, key, side=side, **tolerance):
            np.testing.assert_allclose(actual, case[f"out.{name}.{key}_{side}"], **tolerance)

        check(order, "hierarchy", atol=2e-5)
        check(dist_corr, "dist_corr", atol=2e-5)
        check(tree.q(dist_corr, order), "Q", atol=5e-5)
        check(rich, "richness", rtol=1e-5)
        check(mean[0], "r_v0", rtol=1e-5)
        check(mean[9], "r_v9", rtol=1e-5)
        if name == "n1000_c1" and side == "A":
            np.testing.assert_allclose(
                mean, case[f"out.{name}.level_mean_radius_{side}"], rtol=1e-5
            )


def test_quick_metrics_equal_the_reference_system(recorded):
    case, points = recorded
    sample = all_pairs(jnp.asarray(case["in.sample_idx_quick"]))
    norm = {side: jnp.linalg.norm(z, axis=-1) for side, z in points.items()}
    order, rich, mean = _levels(norm["B"])
    dist_corr = FAST(partial(tree.dist_corr_quick, tree=TREE))(norm["B"][sample.items], sample)
    expected = {key: case[f"out.quick.{key}"] for key in ("dist_corr", "richness", "Q")}
    np.testing.assert_allclose(dist_corr, expected["dist_corr"], atol=2e-5)
    np.testing.assert_allclose(tree.q(dist_corr, order), expected["Q"], atol=5e-5)
    np.testing.assert_allclose(rich, expected["richness"], rtol=1e-5)
    np.testing.assert_allclose(mean[0], case["out.quick.r_v0"], rtol=1e-5)
    np.testing.assert_allclose(mean[9], case["out.quick.r_v9"], rtol=1e-5)


def test_degenerate_embeddings(reference):
    """Constant radii: hierarchy NaN, distance correlation 0. Snapped radii exceed the ceiling."""
    data = np.load(reference / "golden" / "metrics" / "degenerate.npz")
    x = jnp.asarray((0.9 - 0.09 * np.asarray(VALUATION)).astype(np.float32))
    snapped = jnp.stack([x, 0 * x, 0 * x], axis=-1)
    constant = jnp.broadcast_to(jnp.asarray([[0.25, -0.5, 0.125]]), (19683, 3))
    sample = all_pairs(jnp.asarray(data["in.sample_idx_constant_A_ties_only_B"]))
    case = "out.constant_A_ties_only_B"

    def measure(z):
        order, _, _ = _levels(poincare.hyperbolic_radius(z, c=1.0))
        distance = _euclidean(z[sample.items])
        return order, FAST(partial(tree.dist_corr_comprehensive, tree=TREE))(distance, sample)

    order, dist_corr = measure(constant)
    assert jnp.isnan(order)
    assert dist_corr == data[f"{case}.dist_corr_A"] == 0
    order, dist_corr = measure(snapped)
    np.testing.assert_allclose(order, data[f"{case}.hierarchy_B"], atol=2e-5)
    np.testing.assert_allclose(dist_corr, data[f"{case}.dist_corr_B"], atol=2e-5)


@pytest.mark.parametrize(
    "case", kept("metrics", "metrics/triplet_concordance"), ids=lambda case: case.name
)
def test_triplet_concordance_equals_the_reference_system(case, recorded):
    operations = jnp.asarray(case["in.operation_indices"])
    triplets = Triplets(*(jnp.asarray(case[f"in.{end}_idx"]) for end in "ijk"))
    c = case.params["curvature"]
    scale = 0.5 if c == 2.0 else 1.0
    points = recorded[1]
    for side, other in ("AB", "BA"):
        ball = scale * points[side][operations]
        for space, distance in (
            ("hyp", FAST(poincare.pairwise_distance)(ball, ball, c=c)),
            ("euc", _euclidean(points[other][operations])),
        ):
            share = FAST(partial(tree.triplet_concordance, tree=TREE, strict=False))(
                distance, operations, triplets
            )
            expected = case[f"out.corr_{side}_{space}"]
            np.testing.assert_allclose(share, expected, atol=1.01 / triplets.i.size)


NEAREST = partial(FAST, static_argnames="k")(neighbourhood.nearest_neighbours)


def _taxonomy():
    """A tree whose levels and branches are uneven."""
    rng = np.random.default_rng(0)
    return TableTree([-1, *(rng.integers(0, node) // 2 for node in range(1, 60))])


@pytest.mark.parametrize("items", [PadicTree(2, 4), PadicTree(3, 4), PadicTree(5, 4), _taxonomy()])
def test_ceilings_equal_brute_force(items):
    i, j = np.triu_indices(items.n_leaves, 1)
    level = np.asarray(items.level(np.arange(items.n_leaves)))
    jitter = np.random.default_rng(0).uniform(0, 0.5, i.size)

    def reached(classes):
        return scipy.stats.spearmanr(classes + jitter[: len(classes)], classes).statistic

    gap, depth = np.abs(level[i] - level[j]), np.asarray(items.pair_level(i, j))
    for ceiling, expected in (
        (levels.hierarchy_ceiling, -reached(level)),
        (tree.tree_fidelity_ceiling, reached(-depth)),
        (tree.dist_corr_quick_ceiling, reached(gap)),
        (tree.q_ceiling, reached(gap) + 1.5 * reached(level)),
    ):
        np.testing.assert_allclose(ceiling(items), expected, atol=1e-12)
    if isinstance(items, PadicTree):
        digits = padic.digits(jnp.arange(items.n_leaves), n_digits=items.n, p=items.p)
        hamming = np.asarray((digits[i] != digits[j]).sum(-1))
        np.testing.assert_allclose(hamming_correlation_ceiling(items), reached(hamming), atol=1e-12)


def test_triplets_of_a_perfect_tree():
    """All ordered triplets of a perfect tree whose equal distances differ at random."""
    items = PadicTree(3, 3)
    index = jnp.arange(items.n_leaves)
    rng = np.random.default_rng(0)
    depth = np.asarray(items.pair_level(index[:, None], index[None, :]))
    noise = rng.uniform(0, 0.1, depth.shape)
    distance = jnp.asarray(3.0**-depth * (1 + noise + noise.T))
    triplets = Triplets(
        *(jnp.asarray(x) for x in zip(*itertools.permutations(range(27), 3), strict=True))
    )
    loose = tree.triplet_concordance(distance, index, triplets, tree=items, strict=False)
    # Each tied pair of triplets (i, j, k) and (i, k, j) is right exactly once.
    others = items.level_counts[:-1]
    tied = sum(n * (n - 1) for n in others) / (26 * 25)
    np.testing.assert_allclose(loose, 1 - tied / 2, atol=1e-6)
    assert tree.triplet_concordance(distance, index, triplets, tree=items) == 1
    assert tree.ultrametric_compliance(jnp.asarray(3.0**-depth), triplets) == 1


def test_published_ceilings():
    np.testing.assert_allclose(levels.hierarchy_ceiling(TREE), -0.8320502954, atol=1e-10)
    np.testing.assert_allclose(tree.dist_corr_quick_ceiling(TREE), 0.9146, atol=1e-4)
    np.testing.assert_allclose(tree.q_ceiling(TREE), 2.1627, atol=1e-4)


def test_all_pairs_are_all():
    for m in (6, 7):
        sample = all_pairs(jnp.arange(m))
        pairs = {frozenset(pair) for pair in zip(sample.i.tolist(), sample.j.tolist(), strict=True)}
        assert len(pairs) == sample.i.size == m * (m - 1) // 2


def test_tree_sample_has_the_valuations_of_all_pairs():
    sample = FAST(tree_sample)(jax.random.key(0))
    assert np.unique(sample.items).size == 1080
    depth = TREE.pair_level(*sample.ends(sample.items))
    share = np.bincount(depth, minlength=9) / depth.size
    whole = np.asarray(TREE.level_counts[:-1]) / 19682
    np.testing.assert_allclose(share[:6], whole[:6], rtol=1e-6)
    np.testing.assert_allclose(share[6:].sum(), whole[6:].sum(), rtol=1e-6)
    ceiling = tie_ceiling(np.bincount(depth).tolist())
    np.testing.assert_allclose(ceiling, tree.tree_fidelity_ceiling(TREE), atol=1e-4)


def test_pair_features_equal_brute_force():
    sample = FAST(tree_sample)(jax.random.key(3))
    i, j = (np.asarray(end) for end in sample.ends(sample.items))
    digits = np.asarray(padic.digits(jnp.arange(19683)))
    np.testing.assert_array_equal(hamming_distance(sample), (digits[i] != digits[j]).sum(-1))
    valuation = np.asarray(VALUATION)
    np.testing.assert_array_equal(sample.level_gap(TREE), np.abs(valuation[i] - valuation[j]))
    matrix = jax.random.uniform(jax.random.key(0), (1080, 1080))
    np.testing.assert_array_equal(sample.of_matrix(matrix), matrix[sample.i, sample.j])


def _tree_embedding(key, *, noise):
    """Levels in shells, siblings near each other: directions are sums over the digits."""
    digit_key, noise_key, radius_key = jax.random.split(key, 3)
    digit = padic.digits(jnp.arange(19683))
    branches = jax.random.normal(digit_key, (9, 3, 16)) * (0.55 ** jnp.arange(9))[:, None, None]
    direction = branches[jnp.arange(9)[None, :], digit].sum(1)
    direction += noise * jax.random.normal(noise_key, direction.shape)
    direction /= jnp.linalg.norm(direction, axis=-1, keepdims=True)
    jitter = jax.random.uniform(radius_key, (19683,), minval=-0.01, maxval=0.01)
    return direction * (0.9 - 0.09 * VALUATION + jitter)[:, None]


def test_tree_sample_is_quieter_than_random_operations():
    z = _tree_embedding(jax.random.key(0), noise=0.3)

    @partial(FAST, static_argnames="balanced")
    def fidelity(key, *, balanced):
        if balanced:
            sample = tree_sample(key)
        else:
            sample = all_pairs(jax.random.permutation(key, 19683)[:729])
        point = z[sample.items]
        return tree.tree_fidelity(
            poincare.pairwise_distance(point, point, c=1.0), sample, tree=TREE
        )

    keys = jax.random.split(jax.random.key(1), 8)
    balanced = jnp.stack([fidelity(key, balanced=True) for key in keys])
    random = jnp.stack([fidelity(key, balanced=False) for key in keys])
    assert balanced.std() < 0.5 * random.std()
    assert abs(balanced.mean() - random.mean()) < 3 * random.std() / np.sqrt(8)


def test_triplets_are_uniform_and_distinct():
    i, j, k = sample_triplets(jax.random.key(0), n_points=5, n_triplets=60_000)
    assert ((i != j) & (i != k) & (j != k)).all()
    counts = np.bincount(25 * i + 5 * j + k)
    counts = counts[counts > 0]
    assert counts.size == 60
    assert ((counts - 1000) ** 2 / 1000).sum() < 59 + 5 * np.sqrt(2 * 59)


def test_nearest_neighbours_equal_brute_force():
    z = poincare.exp_map_origin(0.6 * jax.random.normal(jax.random.key(0), (300, 4)), c=1.3)
    query = jnp.arange(0, 300, 7)
    found = NEAREST(z, query, c=1.3, k=5)
    matrix = np.array(poincare.pairwise_distance(z, z, c=1.3))
    np.fill_diagonal(matrix, np.inf)
    np.testing.assert_array_equal(found.neighbour, np.argsort(matrix)[query, :5])
    np.testing.assert_allclose(found.distance, np.sort(matrix)[query, :5], rtol=1e-4)


def test_neighbour_consistency_reaches_its_ceiling():
    """81 operations in one tight cluster a level: only levels smaller than k + 1 fall short."""
    items = PadicTree(3, 4)
    valuation = items.level(jnp.arange(81))
    centre = jax.nn.one_hot(valuation, 5) * 0.8
    z = centre + 1e-3 * jax.random.normal(jax.random.key(0), (81, 5))
    found = NEAREST(z, jnp.arange(81), c=1.0, k=4)
    share = neighbourhood.neighbour_level_consistency(found, tree=items)
    ceiling = neighbourhood.neighbour_level_consistency_ceiling(items, k=4)
    np.testing.assert_allclose(share, ceiling, rtol=1e-6)
    assert ceiling < 1


def test_intrinsic_dimension_of_a_flat_patch():
    patch = jnp.pad(0.1 * jax.random.uniform(jax.random.key(0), (2000, 3)), ((0, 0), (0, 9)))
    found = NEAREST(patch, jnp.arange(1000), c=1.0, k=2)
    # Standard error 3 / sqrt(1000), plus the edge of the patch.
    np.testing.assert_allclose(neighbourhood.intrinsic_dimension(found), 3.0, atol=0.35)
    coincident = NEAREST(jnp.zeros((9, 2)), jnp.arange(9), c=1.0, k=2)
    assert neighbourhood.intrinsic_dimension(coincident) == 0
    equidistant = found._replace(distance=jnp.ones((9, 2)))
    assert 1e6 < neighbourhood.intrinsic_dimension(equidistant) < jnp.inf


MEASURES = FAST(partial(embedding_metrics, c=1.0))


def test_all_measures_in_one_call():
    key = jax.random.key(0)
    good = MEASURES(_tree_embedding(jax.random.key(0), noise=0.0), key)
    assert all(jnp.isfinite(value) for value in good.values())
    assert [f"radius_v{level}" in good for level in range(10)] == [True] * 10
    np.testing.assert_allclose(good["hierarchy"], levels.hierarchy_ceiling(TREE), atol=1e-3)
    assert good["tree_fidelity"] > 0.6
    assert good["triplet_concordance"] > 0.8
    assert 0.5 < good["q_comprehensive"] < tree.q_ceiling(TREE) + 0.01
    np.testing.assert_allclose(good["q_quick"], tree.q_ceiling(TREE), atol=0.03)

    noise = 0.2 * jax.random.normal(jax.random.key(2), (19683, 16))
    bad = MEASURES(noise, jax.random.key(0))
    for name in ("hierarchy", "tree_fidelity", "dist_corr_quick", "hamming_correlation"):
        assert abs(bad[name]) < 0.03, name
    np.testing.assert_allclose(bad["triplet_concordance"], 0.5, atol=0.05)
    np.testing.assert_allclose(bad["neighbour_valuation_consistency"], 0.5, atol=0.05)
    assert bad["intrinsic_dimension"] > 8
    assert MEASURES._cache_size() == 1


def test_the_measures_agree_with_scipy_on_the_same_sample():
    z = _tree_embedding(jax.random.key(4), noise=0.5)
    measured = MEASURES(z, jax.random.key(7))
    sample = FAST(tree_sample)(jax.random.split(jax.random.key(7), 3)[0])
    points = np.asarray(z, np.float64)[sample.items]
    i, j = np.asarray(sample.i), np.asarray(sample.j)
    square = ((points[i] - points[j]) ** 2).sum(-1)
    norm = np.linalg.norm(points, axis=-1)
    gaps = (1 - norm[i] ** 2) * (1 - norm[j] ** 2)
    depth = np.asarray(TREE.pair_level(*sample.ends(sample.items)))
    expected = {
        "tree_fidelity": (np.arccosh(1 + 2 * square / gaps), -depth),
        "dist_corr_comprehensive": (square, np.asarray(sample.level_gap(TREE))),
        "dist_corr_quick": (np.abs(norm[i] - norm[j]), np.asarray(sample.level_gap(TREE))),
        "hamming_correlation": (square / gaps, np.asarray(hamming_distance(sample))),
    }
    for name, pair in expected.items():
        statistic = scipy.stats.spearmanr(*pair).statistic
        np.testing.assert_allclose(measured[name], statistic, atol=1e-5, err_msg=name)


def test_a_broken_embedding_is_not_hidden():
    z = _tree_embedding(jax.random.key(0), noise=0.0).at[5].set(jnp.nan)
    assert jnp.isnan(MEASURES(z, jax.random.key(0))["hierarchy"])
    with pytest.raises(ValueError, match="19683 items"):
        embedding_metrics(jnp.zeros((10, 2)), jax.random.key(0), c=1.0)


def test_a_taxonomy_is_measured():
    """Every node of a table of parents as an item: no digits, uneven levels."""
    items = _taxonomy()
    key, noise_key = jax.random.split(jax.random.key(0))
    level = items.level(jnp.arange(items.n_leaves))
    direction = jax.random.normal(noise_key, (items.n_leaves, 4))
    direction /= jnp.linalg.norm(direction, axis=-1, keepdims=True)
    tie_free = 0.8**level + jnp.linspace(0, 1e-3, items.n_leaves)
    z = direction * (0.9 * tie_free)[:, None]
    found = FAST(
        partial(
            embedding.embedding_metrics,
            c=1.0,
            items=items,
            draw_pairs=lambda _: all_pairs(jnp.arange(items.n_leaves)),
            pair_measures={},
        )
    )(z, key)
    assert found.keys() == embedding.definitions(items).keys()
    assert all(jnp.isfinite(value) for value in found.values())
    np.testing.assert_allclose(found["hierarchy"], levels.hierarchy_ceiling(items), atol=1e-5)
