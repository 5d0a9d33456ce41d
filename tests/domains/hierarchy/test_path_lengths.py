"""Terms on path lengths and common ancestors: their inputs, their start, and what they reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tests.metrics.test_closure import random_hierarchy
from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.hierarchy import source, start, stored
from tvae.domains.hierarchy.evaluation import _distances
from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.errors import UserError
from tvae.exports import tables
from tvae.losses.distances import common_interval, path_stress

ROWS = {
    "stress": {"term": "path_stress", "weight": 1.0, "edge_length": 0.5},
    "common": {"term": "common_interval", "weight": 0.0},
}


def make_config(**changes):
    config = config_lib.default("hierarchy")
    config.update_from_flattened_dict(dict(registry.get("hierarchy").tiny))
    config.objective = config_lib.ConfigDict(ROWS)
    config.update_from_flattened_dict(changes)
    config_lib.validate(config)
    return config


def test_terms_are_given_path_lengths_and_depths_of_common_ancestors():
    config = make_config()
    task, hparams = registry.make_task(config), config_lib.hparams(config)
    params, aux = task.init(jax.random.key(0), hparams)

    @jax.jit
    def step(params):
        batch = jax.tree.map(lambda x: x[0], task.batches(0, jax.random.key(1)))
        row = jnp.minimum(task.rows(batch)["points"], len(params["points"]) - 1)
        outputs = task.forward(
            {"points": params["points"][row]}, aux, batch, jax.random.key(2), hparams
        )
        return task._paths(outputs) | {"index": outputs.queries.index}, outputs.queries.other

    sources, other = step(params)
    known = task.sampler.known
    paths = [known.path(i) for i in range(len(known))]
    for q, item in enumerate(sources["index"].tolist()):
        for w in range(0, other.shape[1], 5):
            one, two = paths[item], paths[int(other[q, w])]
            common = sum(x == y for x, y in zip(one, two, strict=False)) - 1
            assert sources["other_common"][q, w] == common
            assert sources["other_path"][q, w] == len(one) + len(two) - 2 - 2 * common


def test_path_lengths_are_left_out_where_no_term_asks():
    config = config_lib.default("hierarchy")
    assert not registry.make_task(config).objective.asks_for("other_path")


def test_stress_is_that_of_the_weighted_pairs_of_each_row():
    distance = jnp.asarray([[1.0, 3.0, 9.0], [2.0, 5.0, 5.0]])
    path = jnp.asarray([[2, 3, 0], [4, 1, 1]])
    log_weight = jnp.log(jnp.asarray([[1.0, 3.0, 5.0], [2.0, 0.0, 0.0]]))
    # (0^2 1 + 1^2 3) / 4 and (2 / 2 - 1)^2; a pair without an edge does not count.
    value, gradient = jax.value_and_grad(path_stress)(distance, path, log_weight, edge_length=0.5)
    np.testing.assert_allclose(value, (0.75 + 0.0) / 2, rtol=1e-6)
    assert bool(jnp.isfinite(gradient).all())
    assert (np.asarray(gradient)[[0, 1, 1], [2, 1, 2]] == 0).all()


def test_intervals_part_the_lengths_by_depth():
    tree = registry.make_task(make_config()).sampler.known.tree  # depth 3: four intervals
    depth = jnp.arange(tree.depth + 1)[None, :]
    middle = 8.0 * (tree.depth + 0.5 - depth) / (tree.depth + 1)
    none = jnp.zeros(depth.shape)
    assert float(common_interval(middle, depth, none, tree, max_distance=8.0)) == 0.0
    beside = float(common_interval(middle + 2.0, depth, none, tree, max_distance=8.0))
    np.testing.assert_allclose(beside, 1.0, rtol=1e-6)


def test_the_radial_start_has_the_distances_of_the_tree():
    known = random_hierarchy(300, 0)
    found = {}
    for name in ("radial", "walk"):
        tangent = start.STARTS[name](known, jax.random.key(0), 16, jnp.float32(0.8))
        found[name] = _distances(known, GEOMETRIES["lorentz"], tangent)
    assert found["radial"]["eval/path_correlation"] > 0.95
    assert found["walk"]["eval/path_correlation"] < 0.9


NAMES = ["世界", "日本", 'a "quoted", b', "🐱", "ünï köd", "<script>alert(1)</script>", "x\ty"]


def test_unicode_and_signs_of_files_in_names(tmp_path):
    table = {"child": NAMES[1:], "parent": [NAMES[0]] * 3 + [NAMES[1]] * 3}
    config = source.take(table, config_lib.default("hierarchy"), tmp_path / stored.FILE)
    config = registry.locate_data(config, tmp_path)
    items = registry.get("hierarchy").make_views(config).items
    labels = items.labels(np.arange(items.count))
    assert sorted(labels) == sorted(NAMES)
    arrays = {
        "level": np.asarray(items.columns(np.arange(7))["level"]),
        "points_a": np.zeros((7, 2)),
    }
    tables.write_projector_files(tmp_path, arrays, labels)
    lines = (tmp_path / "metadata.tsv").read_text("utf-8").splitlines()
    assert len(lines) == 8
    assert all(line.count("\t") == 1 for line in lines)


def test_anndata_has_the_points_and_columns_of_all_items(tmp_path):
    anndata = pytest.importorskip("anndata")
    points = np.arange(6.0).reshape(3, 2)
    arrays = {"index": np.arange(3), "points_a": points, "curvature_a": np.ones(())}
    tables.write_anndata(tmp_path / "a.h5ad", arrays | {"points_b": -points}, ["é", "b", "c d"])
    known = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert known.obs_names.tolist() == ["é", "b", "c d"]
    assert known.obs["index"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(known.obsm["X_tvae"], points)
    np.testing.assert_array_equal(known.obsm["X_tvae_b"], -points)


@pytest.mark.parametrize("text", ["", "\n\n", "child,parent\n", "a,b\nb,a\n"])
def test_a_bad_file_leaves_no_run(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        tvae.train(make_config(**{"data.edges": str(tmp_path / "a.csv")}), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_path_of_ten_thousand_items_trains(tmp_path):
    n = 10_000
    table = {"child": list(range(n)), "parent": [None, *range(n - 1)]}
    changes = {"epochs": 1, "data.block": 512, "evaluation.exact_up_to": 10}
    config = make_config(**changes)
    config.objective = config_lib.default("hierarchy").objective
    model = tvae.train(config, tmp_path / "run", data=table)
    assert model.items.tree.depth == n - 1
    assert len(model.lineage(n - 1)) == n


@pytest.mark.slow
def test_a_million_edges_are_read(tmp_path):
    n = 1_000_000
    parent = np.random.default_rng(0).integers(0, np.arange(1, n))
    lines = (f"{i},{p}\n" for i, p in enumerate(parent.tolist(), 1))
    (tmp_path / "a.csv").write_text("child,parent\n" + "".join(lines))
    config = make_config(**{"data.edges": str(tmp_path / "a.csv")})
    known = registry.get("hierarchy").make_views(config).items
    assert known.count == n
