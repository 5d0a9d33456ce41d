"""A table from a user's file through every command, and the pairs that it learns from."""

import json
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tests.domains.hierarchy.test_readers import EDGES
from tests.metrics.test_closure import random_hierarchy
from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.hierarchy import source
from tvae.domains.hierarchy.batches import make_sampler
from tvae.domains.hierarchy.exhibits import worst_placed
from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.domains.hierarchy.start import STARTS
from tvae.engine import loop, step
from tvae.errors import UserError
from tvae.exports.folder import export_model
from tvae.losses.closure import log_rank
from tvae.reporting.page import write_report
from tvae.runs.run import Run

ANIMALS = EDGES + "lion,man,9,\n"


def make_config(file="", **changes):
    config = config_lib.default("hierarchy")
    config.update_from_flattened_dict(dict(registry.get("hierarchy").tiny))
    config.data.edges = str(file)
    config.update_from_flattened_dict(
        {"epochs": 40, "log_every_epochs": 20, "evaluation.every_epochs": 20,
         "checkpoint.every_epochs": 20, **changes}
    )  # fmt: skip
    config_lib.validate(config)
    return config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    (folder / "animals.csv").write_text(ANIMALS)
    config = make_config(folder / "animals.csv", **{"model.latent_dim": 3})
    return tvae.train(config, folder / "run")


def test_a_csv_becomes_a_model_with_answers(trained):
    assert trained.n_items == 4
    assert trained.card["metrics"]["eval/several_parents"] == 1
    lion, cat, man = (trained.find(name) for name in ("lion", "cat", "man"))
    assert trained.lineage(lion) == [0, cat, lion]
    assert trained.lineage(0) == [0]
    assert all(trained.is_a(lion, upper) for upper in (man, cat, 0, lion))
    assert not trained.is_a(cat, man)
    near = trained.nearest(lion, k=3)
    assert sorted(near.neighbour.tolist()) == [0, cat, man]
    np.testing.assert_allclose(near.distance, trained.distance(lion, near.neighbour), rtol=1e-6)
    assert (jnp.diff(near.distance) >= 0).all()
    assert trained.distance([lion, lion], [lion, cat])[0] == 0.0
    np.testing.assert_array_equal(trained.decode(trained.embed(np.arange(4)))[:, 0], range(4))
    with pytest.raises(UserError, match="did you mean 'lion'"):
        trained.find("lyon")
    with pytest.raises(UserError, match=r"expected indices in \[0, 4\), got 4"):
        trained.nearest(4, k=1)


def test_load_resume_evaluate_report_export(trained, tmp_path):
    again = tvae.load(trained.path)
    chex.assert_trees_all_equal(again.params, trained.params)
    measured = again.metrics()
    shared = {k: v for k, v in trained.card["metrics"].items() if k in measured}
    assert len(shared) > 10
    chex.assert_trees_all_close(measured, shared, rtol=1e-5)
    longer = make_config(trained.config.data.edges, **{"model.latent_dim": 3, "epochs": 60})
    resumed = tvae.train(longer, trained.path, extend=True)
    assert resumed.card["metrics"]["train/epochs"] == 60
    page = pathlib.Path(write_report(trained.path)).read_text()
    assert "mean average precision: ancestors" in page
    assert "Items far from their ancestors" in page
    export_model(resumed, tmp_path / "out")
    arrays = np.load(tmp_path / "out" / "tables" / "items.npz")
    assert arrays["parent"].tolist() == [-1, 0, 1, 0]
    assert Run.open(trained.path).finished


def test_a_run_does_without_the_file_it_began_with(tmp_path, capsys):
    file = tmp_path / "animals.csv"
    file.write_text(EDGES + "lion,man,9,\nowl,bird,,\nbird,,,\n")
    with pytest.raises(UserError, match="expected one root"):
        tvae.train(make_config(file), tmp_path / "run")
    file.write_text(ANIMALS)
    config = make_config(file, **{"model.latent_dim": 3})
    model = tvae.train(config, tmp_path / "run")
    file.write_text(ANIMALS.replace("lion", "tiger"))
    again = tvae.load(tmp_path / "run")
    assert again.items.labels(np.arange(3)) == ["mammal", "cat", "lion"]
    assert again.config.data.edges == str(file)  # as recorded
    resumed = tvae.train(config, tmp_path / "run", resume=True)
    assert "the data have changed since the run began" in capsys.readouterr().err
    assert resumed.find("lion") == 2
    file.unlink()
    for _ in range(2):  # a copy of a copy
        again = tvae.load(again.save(tmp_path / f"saved {_}"))
    chex.assert_trees_all_equal(again.params, model.params)
    assert again.find("lion") == 2
    with pytest.raises(UserError, match="does not exist"):
        tvae.train(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_table_in_memory_trains(tmp_path):
    cells = [line.split(",") for line in ANIMALS.splitlines()]
    table = dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))
    config = make_config(**{"model.latent_dim": 3})
    model = tvae.train(config, tmp_path / "run", data=table)
    assert model.items.labels(np.arange(4)) == ["mammal", "cat", "lion", "man"]
    assert config.data.format == "auto"
    assert model.config.data.format == "table"
    with pytest.raises(UserError, match="a table in memory has no file"):
        tvae.train(model.config, tmp_path / "new")
    with pytest.raises(UserError, match=r"expected no config\.data\.edges"):
        tvae.train(make_config("a.csv"), tmp_path / "new", data=table)
    with pytest.raises(UserError, match="takes no table in memory"):
        tvae.train("fast", tmp_path / "new", data=table)
    assert not (tmp_path / "new").exists()


def test_resume_is_bit_exact(tmp_path):
    whole = tvae.train(make_config(epochs=20), tmp_path / "whole")
    part = make_config(epochs=20)

    class StopError(Exception):
        """Raised in place of a kill."""

    def stop(done, *_):
        if done == 10:
            raise StopError

    part.log_every_epochs = part.checkpoint.every_epochs = whole.config.log_every_epochs = 10
    with pytest.raises(StopError):
        tvae.train(part, tmp_path / "part", control=loop.Control(progress=stop))
    resumed = tvae.train(part, tmp_path / "part", resume=True)
    chex.assert_trees_all_equal(resumed.params, whole.params)


@pytest.mark.parametrize(
    ("geometry", "learns"), [("lorentz", True), ("poincare", False), ("euclidean", False)]
)
def test_every_geometry_learns(geometry, learns, tmp_path):
    changes = {"model.geometry": geometry, "model.learn_curvature": learns, "model.latent_dim": 5}
    config = make_config(**changes, epochs=60)
    model = tvae.train(config, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    assert losses[-1] < 0.6 * losses[0]
    assert model.card["metrics"]["eval/map"] > 0.6
    if learns:
        assert abs(float(model.params["log_curvature"])) > 1e-3
    near = model.nearest(5, k=2)
    np.testing.assert_allclose(near.distance, model.distance(5, near.neighbour), rtol=1e-6)


def test_changing_traced_fields_compiles_nothing():
    config = make_config()
    task = registry.make_task(config)
    engine = step.make_engine(task, loop.optimizer_settings(config))
    state = engine.init(jax.random.key(0), config_lib.hparams(config))
    for temperature in (0.5, 0.2):
        config.loss.temperature = temperature
        state, metrics = engine.train_epoch(state, jax.random.key(0), config_lib.hparams(config))
        assert jnp.isfinite(metrics["train/loss"])
    assert engine.train_epoch._cache_size() == 1


@pytest.mark.parametrize("extra", [0, 30])
def test_pairs_of_a_block_are_those_of_the_closure(extra):
    known = random_hierarchy(70, extra=extra, seed=3)
    sampler = make_sampler(known, block=16, blocks=2, top=5, random=8, ancestors=4)
    offset, ancestor = known.closure
    above = [set(ancestor[offset[i] : offset[i + 1]].tolist()) for i in range(70)]
    batch = sampler.epoch(jax.random.key(0))
    assert batch.start.shape == (sampler.steps, 2)
    queries = np.asarray(jax.vmap(sampler.queries)(batch.start.ravel())).ravel()
    assert set(queries.tolist()) == set(range(70))
    pairs_of = jax.jit(sampler.pairs)
    for start, drawn in ((batch.start[0, 0], batch.drawn[0]), (jnp.int32(62), batch.drawn[1])):
        shared = sampler.shared(drawn)
        pairs = jax.device_get(pairs_of(start, shared))
        columns, listed = np.concatenate([pairs.query, shared]), sampler.above(start)
        for row, query in enumerate(pairs.query.tolist()):
            chosen = set(np.asarray(listed)[pairs.ancestor[row][pairs.is_ancestor[row]]].tolist())
            assert len(chosen) == min(4, len(above[query]))
            assert chosen <= above[query]
            weight = np.exp(pairs.log_weight[row])
            for at, column in enumerate(columns.tolist()):
                again = at >= 16 and column in pairs.query
                drawn_top = at >= 21 and column in sampler.largest
                counts = column != query and column not in above[query]
                expected = (70 / 8 if at >= 21 else 1.0) * (counts and not again and not drawn_top)
                assert weight[at] == pytest.approx(expected), (query, column)


@pytest.mark.parametrize("block", [16, 64])
def test_rows_of_a_step_are_its_items_once_each(block):
    sampler = make_sampler(
        random_hierarchy(70, extra=20, seed=4), block=block, blocks=2, top=5, random=8, ancestors=4
    )
    batch = jax.tree.map(lambda x: x[-1], sampler.epoch(jax.random.key(1)))
    read = jax.device_get(jax.jit(sampler.rows)(batch))
    rows = read.row[read.row < 70]
    assert (np.diff(rows) > 0).all()
    assert (read.row[len(rows) :] == 70).all()
    np.testing.assert_array_equal(read.row[read.shared], sampler.shared(batch.drawn))
    for start, query, above in zip(batch.start, read.query, read.above, strict=True):
        np.testing.assert_array_equal(read.row[query], sampler.queries(start))
        np.testing.assert_array_equal(read.row[above], sampler.above(start))


def test_weights_of_negatives_add_up_to_all_items():
    known = random_hierarchy(300, seed=1)
    sampler = make_sampler(known, block=16, blocks=1, top=5, random=8, ancestors=4)
    offset, _ = known.closure
    weights, pairs_of = [], jax.jit(sampler.pairs)
    for seed in range(40):
        batch = sampler.epoch(jax.random.key(seed))
        pairs = [pairs_of(jnp.int32(100), sampler.shared(d)) for d in batch.drawn[:1]]
        weights += [np.exp(p.log_weight).sum(1) for p in pairs]
    expected = 300 - 1 - np.diff(offset)[100:116]
    np.testing.assert_allclose(np.mean(weights, 0), expected, rtol=0.15)


def test_log_rank_is_a_rank_at_low_temperature():
    distance, others = jnp.asarray([[1.0, 2.5]]), jnp.asarray([[0.5, 2.0, 3.0, 0.1]])
    log_weight = jnp.log(jnp.asarray([[1.0, 2.0, 1.0, 1.0]])).at[0, 3].set(-jnp.inf)
    ranks = log_rank(distance, others, log_weight, temperature=0.02)
    # The largest of the terms (d - d_w) / T dominates.
    expected = [(1.0 - 0.5) / 0.02, (2.5 - 0.5) / 0.02]
    np.testing.assert_allclose(ranks[0], expected, rtol=1e-5)
    nothing = log_rank(distance, others, jnp.full((1, 4), -jnp.inf), temperature=0.5)
    np.testing.assert_array_equal(nothing, 0.0)
    gradient = jax.grad(
        lambda d: log_rank(distance, d, jnp.full((1, 4), -jnp.inf), temperature=1.0).sum()
    )
    assert jnp.isfinite(gradient(others)).all()


def test_a_missing_file_and_a_bad_field_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"config.data.edges: .*absent.csv does not exist"):
        tvae.train(make_config(tmp_path / "absent.csv"))
    with pytest.raises(UserError, match=r"config\.model\.learn_curvature: the Euclidean space"):
        make_config(**{"model.geometry": "euclidean", "model.learn_curvature": True})
    with pytest.raises(UserError, match=r"config\.optimizer\.weight_decay: expected 0"):
        make_config(**{"optimizer.weight_decay": 0.1})


@pytest.mark.parametrize("rows", ["a,", "b,a", "\n".join(["r,", *(f"{i},r" for i in range(40))])])
def test_one_item_two_items_and_a_star(tmp_path, rows):
    (tmp_path / "tree.csv").write_text(rows + "\n")
    model = tvae.train(make_config(tmp_path / "tree.csv", epochs=20))
    assert model.card["metrics"]["eval/mean_rank"] >= 1.0


def test_an_item_among_strangers_lies_worst():
    known = source.made_tree()
    space = GEOMETRIES["euclidean"]
    tangent = np.asarray(STARTS["radial"](known, jax.random.key(0), 3, 1.0))
    points = np.array(space.from_tangent(tangent))
    points[39] = points[3]  # a leaf of another branch
    item, rank = worst_placed(known, "euclidean", points, 100)
    assert item[0] == 39
    assert (np.diff(rank) <= 0).all()
    assert sorted(item) == list(range(1, 40))  # the root has no ancestor
