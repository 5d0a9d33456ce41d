"""The v6 task in the engine: terms by hand, one trace, a short run that learns, the acceptance."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import load_config
from tests.support.engines import train
from tvae import config as config_lib
from tvae.domains.hyperbolic_vae import evaluation as hyperbolic_vae_evaluation
from tvae.domains.hyperbolic_vae.task import HyperbolicVAETask, make_task
from tvae.domains.operations import affine_walk, bands
from tvae.domains.operations.tree import TREE
from tvae.geometry import padic
from tvae.metrics import hierarchy, tree


def config_of(**changes):
    """The v6 config with three anchors, so that pairs can be counted one by one."""
    config = load_config("v6")
    config.data.anchors = 3
    config.update_from_flattened_dict(changes)
    return config


HPARAMS = config_lib.hparams(config_of())


@pytest.fixture(scope="module")
def task():
    return make_task(config_of())


@pytest.fixture(scope="module")
def fresh_params(task):
    return jax.jit(task.init)(jax.random.key(0), HPARAMS)[0]


@pytest.fixture(scope="module")
def outputs_of_a_batch(task, fresh_params):
    batches = task.batches(jnp.int32(0), jax.random.key(1))
    batch = jax.tree.map(lambda leaf: leaf[7], batches)
    forward = jax.jit(task.forward)
    return forward(fresh_params, jnp.int32(0), batch, jax.random.key(2), HPARAMS), batch


def weight_of(index):
    """Weights of operations in a batch."""
    by_level = affine_walk.level_weights(block=243, roots=81, even_share=0.25)
    return np.asarray(by_level)[bands.valuations()[index]]


def penalty(x, interval):
    """Squared distance to an interval."""
    low, high = np.asarray(interval, np.float64).T
    return np.maximum(low - x, 0) ** 2 + np.maximum(x - high, 0) ** 2


def test_weights_of_the_operations_of_an_epoch_average_to_one(task):
    index = task.batches(jnp.int32(0), jax.random.key(1)).index
    np.testing.assert_allclose(weight_of(index).sum() / 81, 1.0, rtol=1e-5)


def test_terms_of_single_operations_in_plain_numpy(task, outputs_of_a_batch):
    outputs, batch = outputs_of_a_batch
    index, weight = np.asarray(batch.index), weight_of(batch.index)
    norm = np.linalg.norm(np.asarray(outputs.vae.ball.z, np.float64), axis=1)
    level, leading = bands.valuations()[index], bands.leading_digits()[index]
    table = bands.radius_intervals(level, leading, outer=3.56, inner=0.05, gap=0.7, margin=0.05)
    radius = (weight * penalty(2 * np.arctanh(norm), table)).sum()
    logits = np.asarray(outputs.vae.logits, np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    digit = index[:, None] // 3 ** np.arange(9) % 3
    nats = -np.take_along_axis(log_p, digit[..., None], 2)[..., 0].sum(1)
    terms = task.terms(outputs, batch, HPARAMS)
    np.testing.assert_allclose(terms["radius"], radius, rtol=1e-4)
    np.testing.assert_allclose(terms["reconstruction"], weight @ nats, rtol=1e-4)
    assert terms["kl"] > 0


def test_pair_terms_pair_by_pair(task, outputs_of_a_batch):
    outputs, batch = outputs_of_a_batch
    z, index = np.asarray(outputs.vae.ball.z, np.float64), np.asarray(batch.index)
    level = bands.valuations()
    by_valuation = bands.tree_intervals(outer=3.7, ratio=0.7, margin=0.05, depth=4)
    by_gap = bands.chord_intervals(same=0.8, far=1.4, margin=0.05)
    by_valuation, by_gap = np.asarray(by_valuation), np.asarray(by_gap)
    trees, chords = {}, []
    for i in range(3):
        for j in set(range(243)) - {i}:
            chord = np.linalg.norm(z[i] - z[j])
            gaps = (1 - z[i] @ z[i]) * (1 - z[j] @ z[j])
            distance = 2 * np.arcsinh(chord / np.sqrt(gaps))
            valuation = level[abs(index[i] - index[j])]
            error = penalty(distance, by_valuation[valuation])
            trees.setdefault(valuation, []).append(error)
            gap = abs(level[index[i]] - level[index[j]])
            chords.append(penalty(chord, by_gap[gap]))
    assert sorted(trees) == [0, 1, 2, 3, 4]
    terms = task.terms(outputs, batch, HPARAMS)
    tree_by_hand = np.mean([np.mean(errors) for errors in trees.values()])
    np.testing.assert_allclose(terms["tree"], tree_by_hand, rtol=1e-4)
    np.testing.assert_allclose(terms["chord"], np.mean(chords), rtol=1e-4)


def test_a_term_that_the_table_lacks_is_left_out(outputs_of_a_batch):
    config = config_of()
    del config.objective.chord
    terms = make_task(config).terms(*outputs_of_a_batch, HPARAMS)
    assert set(terms) == {"reconstruction", "kl", "radius", "tree"}


def test_operations_held_out_have_no_influence(outputs_of_a_batch):
    """Moving their outputs changes no term; roots are never held out."""
    task = make_task(config_of(**{"data.held_out_share": 0.3}))
    learned = task.learned
    assert learned[:: 19683 // 81].all()
    assert 0.68 < learned.mean() < 0.72
    outputs, batch = outputs_of_a_batch
    held_out = ~learned[batch.index]
    batch = batch.replace(mask=jnp.asarray(~held_out, jnp.float32))
    ball, pair = outputs.vae.ball, held_out[:3, None] | held_out[None, :243]
    moved = outputs.replace(
        vae=outputs.vae.replace(
            ball=ball.replace(hyperbolic_radius=ball.hyperbolic_radius + 9.0 * held_out),
            logits=outputs.vae.logits + held_out[:, None, None] * jnp.arange(3.0)[None, None, :],
            sample_radius=outputs.vae.sample_radius + held_out,
        ),
        chord=outputs.chord + pair,
        distance=outputs.distance + pair,
    )
    terms, again = (task.terms(each, batch, HPARAMS) for each in (outputs, moved))
    assert len(terms) == 5
    assert terms == again


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """Three epochs by the loop, and how often the step was traced."""
    config = load_config("v6")
    config.epochs, config.learning_rate.warmup_epochs = 3, 0.5
    config.evaluation.every_epochs = 1
    workdir = tmp_path_factory.mktemp("v6")
    # As the configuration comes back from a run's folder: tuples are lists there.
    config = ConfigDict(json.loads(config.to_json()))
    traces = []

    class Counted(HyperbolicVAETask):
        """The task, which counts how often its forward pass is traced."""

        def forward(self, *arguments):
            traces.append(1)
            return super().forward(*arguments)

    made = make_task(config)
    task = Counted(**{f.name: getattr(made, f.name) for f in dataclasses.fields(made)})
    final = train(config, workdir, task)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], final, len(traces)


def test_one_trace_serves_the_whole_run(short_run):
    assert short_run[2] == 1


def test_a_short_run_learns(short_run):
    rows, final, _ = short_run
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[2]["train/loss"] < 0.6 * rows[0]["train/loss"]
    assert rows[2]["train/reconstruction"] < rows[0]["train/reconstruction"]
    assert rows[2]["eval/tree_fidelity"] > rows[0]["eval/tree_fidelity"]
    assert rows[0]["schedule/learning_rate"] > rows[2]["schedule/learning_rate"] > 0
    assert final["eval/hierarchy"] < -0.82
    assert final["eval/tree_fidelity"] > 0.7


def test_the_periodic_evaluation_is_a_part_of_the_final_one(short_run):
    rows, final, _ = short_run
    shared = {name for name in rows[-1] if name.startswith("eval/")}
    assert shared >= {"eval/coverage_ball", "eval/richness", "eval/score"}
    for name in shared - {"eval/coverage_sampled"}:
        np.testing.assert_allclose(rows[-1][name], final[name], rtol=1e-4)


def test_score_is_one_at_the_ceilings():
    perfect = {
        "eval/coverage_ball": 1.0,
        "eval/hierarchy": hierarchy.hierarchy_ceiling(TREE),
        "eval/tree_fidelity": tree.tree_fidelity_ceiling(TREE),
    }
    np.testing.assert_allclose(hyperbolic_vae_evaluation.score(perfect), 1.0)
    inverted = perfect | {"eval/hierarchy": 0.8}
    assert hyperbolic_vae_evaluation.score(inverted) < 0


def test_coverage_of_operations_held_out_is_reported_apart(task, fresh_params):
    learned = np.arange(19683) % 10 != 0
    measure = functools.partial(
        hyperbolic_vae_evaluation.reconstruction, task.module, learned=learned
    )
    metrics = jax.jit(measure)(fresh_params, jax.random.key(1))
    vae = task.module.bind({"params": fresh_params})
    index = np.flatnonzero(~learned)
    ball, _ = vae.embed(padic.values(index))
    exact = (vae.decode(ball.z).argmax(-1) == padic.digits(index)).all(-1)
    np.testing.assert_allclose(metrics["eval/coverage_ball_held_out"], exact.mean(), atol=1e-7)


@pytest.mark.slow
def test_acceptance(tmp_path):
    """Every figure of the recipe for one seed that is not the config's own."""
    config = load_config("v6")
    config.seed = 1
    final = train(config, tmp_path)
    assert final["eval/coverage_ball"] == 1.0
    assert final["eval/hierarchy"] <= -0.8320
    assert final["eval/richness"] >= 0.020
    assert final["eval/tree_fidelity"] >= 0.828
    assert final["eval/q_comprehensive"] >= 2.10


@pytest.mark.slow
def test_operations_never_learned_decode_as_well(tmp_path):
    config = load_config("v6")
    config.data.held_out_share = 0.1
    final = train(config, tmp_path)
    assert final["eval/coverage_ball_held_out"] >= 0.999
    assert final["eval/coverage_ball"] >= 0.999
