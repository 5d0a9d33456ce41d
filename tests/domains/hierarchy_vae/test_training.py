"""VAEs of a user's hierarchy through every command, places of new items, both kinds of inputs."""

import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.hierarchy_vae.task import Anchors
from tvae.engine import loop, step
from tvae.errors import UserError
from tvae.exports.folder import export_model
from tvae.reporting.page import write_report

KINDS = {"mammal": ("fur", 4), "bird": ("feather", 2), "fish": ("scale", 0), "insect": ("shell", 6)}
SIZES = ("tiny", "small", "middle", "large")


def animals(file):
    """Four kinds of four sizes of four animals, each with a text that names its kind and size."""
    rows = ["name,parent,text,legs", "animal,,all of them,"]
    for kind, (cover, legs) in KINDS.items():
        rows.append(f"{kind},animal,with {cover},{legs}")
        for size in SIZES:
            rows.append(f"{size} {kind},{kind},a {size} one with {cover},{legs}")
            rows += [
                f"{size} {kind} {i},{size} {kind},{size} {cover} no {i},{legs}" for i in "abcd"
            ]
    file.write_text("\n".join(rows) + "\n")
    return file


def make_config(file="", **changes):
    config = config_lib.default("hierarchy_vae")
    config.update_from_flattened_dict(dict(registry.get("hierarchy_vae").tiny))
    config.data.edges = str(file)
    config.update_from_flattened_dict(
        {"epochs": 20, "log_every_epochs": 10, "evaluation.every_epochs": 10,
         "checkpoint.every_epochs": 10, **changes}
    )  # fmt: skip
    config_lib.validate(config)
    return config


@pytest.fixture(scope="module")
def of_features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    config = make_config(
        animals(folder / "animals.csv"),
        **{
            "model.inputs": "features", "model.lineage_levels": 2, "model.direct": True,
            "data.buckets": 512, "data.tokens": 16, "data.held_out_share": 0.2,
            "learning_rate.peak": 0.02, "epochs": 40, "model.latent_dim": 4,
            "evaluation.every_epochs": 40, "checkpoint.every_epochs": 40, "log_every_epochs": 40,
        },
    )  # fmt: skip
    return tvae.train(config, folder / "run")


@pytest.fixture(scope="module")
def of_paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths")
    config = make_config(
        animals(folder / "animals.csv"),
        **{
            "model.geometry": "poincare", "model.curvature": 0.5, "model.latent_dim": 8,
            "model.encoder_widths": (64,), "model.decoder_widths": (64,),
            "data.held_out_share": 0.1, "learning_rate.peak": 0.02, "epochs": 150,
            "evaluation.every_epochs": 150, "checkpoint.every_epochs": 150,
            "log_every_epochs": 150,
            "evaluation.distances": False,
        },
    )  # fmt: skip
    return tvae.train(config, folder / "run")


def test_a_new_item_gets_a_place_from_its_features(of_features):
    assert of_features.card["metrics"]["eval/ancestors_right"] > 0.8
    placed = of_features.place(
        [{"text": "large feather no z", "legs": 2}, {"text": "tiny fur"}], k=3
    )
    labels = [[name for name, _ in row] for row in placed.lineage]
    assert labels == [["bird", "large bird"], ["mammal", "tiny mammal"]]
    assert all(0.1 < p <= 1.0 for row in placed.lineage for _, p in row)
    seen = of_features.views.place.__self__.study.seen
    assert seen[placed.neighbour].all()
    assert placed.distance.shape == (2, 3)
    assert (jnp.diff(placed.distance) >= 0).all()
    # A seen item's features give its own point, and itself as the nearest one.
    item = of_features.find("small fish")
    again = of_features.place({"text": "a small one with scale", "legs": 0}, k=1)
    assert again.neighbour.tolist() == [[item]]
    np.testing.assert_allclose(again.point[0], of_features.embed(item), atol=1e-6)
    for wrong in ("large", [], [{"colour": 1}], [["animal", "bird"]]):
        with pytest.raises(UserError, match="place: expected"):
            of_features.place(wrong)


def test_paths_are_decoded_and_a_new_path_has_a_place(of_paths):
    metrics = of_paths.card["metrics"]
    assert metrics["eval/decoded"] > 0.95
    assert metrics["eval/nearest_ceiling"] == 1.0
    assert 0.2 < metrics["eval/nearest_shares_parent"] <= 1.0  # at random 0.06
    index = of_paths.items.read(of_paths.decode(of_paths.embed(np.arange(of_paths.n_items))))
    exact = np.asarray(index == np.arange(of_paths.n_items))
    study = of_paths.views.place.__self__.study
    assert exact[study.seen].mean() == pytest.approx(metrics["eval/decoded"], abs=0.02)
    placed = of_paths.place([["animal", "bird", "new"], ["fish", "tiny fish", "tiny fish a"]], k=2)
    assert [name for name, _ in placed.lineage[1]][:2] == ["fish", "tiny fish"]
    item = of_paths.find("tiny fish a")
    np.testing.assert_allclose(placed.point[1], of_paths.embed(item), atol=1e-6)
    near = of_paths.nearest(item, k=2)
    np.testing.assert_allclose(near.distance, of_paths.distance(item, near.neighbour), rtol=1e-5)
    for wrong, message in (
        (["bird", "absent", "new"], "only the last name"),
        (["fish", "tiny fish", "tiny fish a", "new"], "deepest level"),
    ):
        with pytest.raises(UserError, match=message):
            of_paths.place([wrong])
    with pytest.raises(UserError, match=r"expected integers in \[0, 4\)"):
        of_paths.encode(inputs=np.full((1, *of_paths.input_shape), 4))


def test_a_loaded_model_measures_the_same(of_features):
    again = tvae.load(of_features.path)
    measured = again.metrics()
    shared = {k: v for k, v in of_features.card["metrics"].items() if k in measured}
    assert len(shared) > 15
    chex.assert_trees_all_close(measured, shared, rtol=1e-4)


@pytest.mark.slow
def test_report_and_export(of_features, tmp_path):
    page = pathlib.Path(write_report(of_features.path)).read_text()
    assert "share of ancestors below the root" in page
    export_model(of_features, tmp_path / "out")
    arrays = np.load(tmp_path / "out" / "tables" / "items.npz")
    assert arrays["points_a"].shape == (of_features.n_items, 4)


@pytest.mark.parametrize(
    "geometry", ["lorentz", pytest.param("poincare", marks=pytest.mark.slow), "euclidean"]
)
def test_every_geometry_trains_with_finite_gradients_from_the_origin_on(geometry):
    config = make_config(**{"model.geometry": geometry})
    task, hparams = registry.make_task(config), config_lib.hparams(config)
    params, aux = task.init(jax.random.key(0), hparams)
    batch = task.batches(jnp.int32(0), jax.random.key(1))[0]

    def total(params, key):
        outputs = task.forward(params, aux, batch, key, hparams)
        return sum(task.terms(outputs, batch, hparams).values())

    gradient = jax.jit(jax.grad(total))
    zeros = jax.tree.map(jnp.zeros_like, params)
    for some in (params, zeros, jax.tree.map(lambda x: 30.0 * x, params)):
        chex.assert_tree_all_finite(gradient(some, jax.random.key(2)))


def test_batches_hold_every_seen_item_and_pairs_weigh_levels_alike():
    config = make_config(**{"data.held_out_share": 0.3})
    task = registry.make_task(config)
    batches = np.asarray(task.batches(jnp.int32(3), jax.random.key(0)))
    assert set(batches.ravel().tolist()) == set(task.study.learned.tolist())
    tree, batch = task.study.known.tree, jnp.asarray(batches[0])
    anchors = Anchors(batch[task.anchor_rows], jnp.zeros((4, 2)), jnp.asarray([True] + [False] * 3))
    own, level = task._pair_levels(anchors, batch)
    above = [set(task.study.known.path(i)[:-1]) for i in batch.tolist()]
    shared = [[len(a & b) for b in above] for a in above]
    expected = np.maximum(np.asarray(shared) - 1, 0)[task.anchor_rows]
    np.testing.assert_array_equal(level, expected)
    same = np.asarray(anchors.item)[:, None] == np.asarray(batch)
    np.testing.assert_array_equal(own, same & ~np.asarray(anchors.new)[:, None])
    weight = np.asarray(task._pair_weight(level, ~own))
    assert (weight[np.asarray(own)] == 0).all()
    sums = [weight[np.asarray(level) == k].sum() for k in range(tree.n_levels)]
    some = [x for x in sums if x > 0]
    np.testing.assert_allclose(some, 1.0 / len(some), rtol=1e-5)


@pytest.mark.slow
def test_changing_traced_fields_compiles_nothing():
    config = make_config()
    task = registry.make_task(config)
    engine = step.make_engine(task, loop.optimizer_settings(config))
    state = engine.init(jax.random.key(0), config_lib.hparams(config))
    for scale in (2.0, 1.0):
        config.model.prior_scale = config.model.curvature = scale
        state, metrics = engine.train_epoch(state, jax.random.key(0), config_lib.hparams(config))
        assert jnp.isfinite(metrics["train/loss"])
    assert engine.train_epoch._cache_size() == 1


def test_bad_fields_are_one_line():
    with pytest.raises(UserError, match=r"config\.model\.direct: needs"):
        make_config(**{"model.direct": True})
    with pytest.raises(UserError, match=r"config\.data\.anchors: expected at most"):
        make_config(**{"data.anchors": 17})
    with pytest.raises(UserError, match=r"config\.model\.logvar_min: expected"):
        make_config(**{"model.logvar_min": 0.0})
    with pytest.raises(UserError, match=r"config\.model\.lineage_levels: expected at most the 3"):
        registry.make_task(make_config(**{"model.lineage_levels": 4}))
    config = make_config(**{"model.geometry": "euclidean"})
    with config.unlocked():
        config.objective.tree = {"term": "soft_ranking", "weight": 1.0}
    with pytest.raises(UserError, match=r"config\.objective\.tree: term 'soft_ranking' needs 'po"):
        config_lib.validate(config)
