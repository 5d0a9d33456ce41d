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
from tvae.domains import registry
from tvae.domains.hyperbolic_vae import evaluation as hyperbolic_vae_evaluation
from tvae.domains.hyperbolic_vae import task as hyperbolic_vae
from tvae.domains.operations import bands
from tvae.engine import loop
from tvae.geometry import padic as ternary
from tvae.metrics import hierarchy, tree


@pytest.fixture(scope="module")
def domain():
    """The recipe with three anchors, so that pairs can be counted one by one."""
    config = load_config("v6")
    config.data.anchors = 3
    return hyperbolic_vae.make_domain(config)


@pytest.fixture(scope="module")
def fresh_params(domain):
    return jax.jit(domain.init)(jax.random.key(0))[0]


@pytest.fixture(scope="module")
def outputs_of_a_batch(domain, fresh_params):
    batches = domain.batches(jnp.int32(0), jax.random.key(1))
    batch = jax.tree.map(lambda leaf: leaf[7], batches)
    return jax.jit(domain.forward)(fresh_params, jnp.int32(0), batch, jax.random.key(2)), batch


def penalty(x, interval):
    """Squared distance to an interval."""
    low, high = np.asarray(interval, np.float64).T
    return np.maximum(low - x, 0) ** 2 + np.maximum(x - high, 0) ** 2


def test_weights_of_the_operations_of_an_epoch_average_to_one(domain):
    index = domain.batches(jnp.int32(0), jax.random.key(1)).index
    np.testing.assert_allclose(domain.tables.weight[index].sum() / 81, 1.0, rtol=1e-5)


def test_terms_of_single_operations_in_plain_numpy(domain, outputs_of_a_batch):
    outputs, batch = outputs_of_a_batch
    index, weight = np.asarray(batch.index), domain.tables.weight[batch.index]
    norm = np.linalg.norm(np.asarray(outputs.vae.ball.z, np.float64), axis=1)
    radius = (weight * penalty(2 * np.arctanh(norm), domain.tables.radius[index])).sum()
    logits = np.asarray(outputs.vae.logits, np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    digit = index[:, None] // 3 ** np.arange(9) % 3
    nats = -np.take_along_axis(log_p, digit[..., None], 2)[..., 0].sum(1)
    terms = domain.terms()
    np.testing.assert_allclose(terms["radius"](outputs, batch), radius, rtol=1e-4)
    np.testing.assert_allclose(terms["reconstruction"](outputs, batch), weight @ nats, rtol=1e-4)
    assert terms["kl"](outputs, batch) > 0


def test_pair_terms_pair_by_pair(domain, outputs_of_a_batch):
    outputs, batch = outputs_of_a_batch
    z, index = np.asarray(outputs.vae.ball.z, np.float64), np.asarray(batch.index)
    level = bands.valuations()
    trees, chords = {}, []
    for i in range(3):
        for j in set(range(243)) - {i}:
            chord = np.linalg.norm(z[i] - z[j])
            gaps = (1 - z[i] @ z[i]) * (1 - z[j] @ z[j])
            distance = 2 * np.arcsinh(chord / np.sqrt(gaps))
            valuation = level[abs(index[i] - index[j])]
            error = penalty(distance, domain.tables.tree[valuation])
            trees.setdefault(valuation, []).append(error)
            gap = abs(level[index[i]] - level[index[j]])
            chords.append(penalty(chord, domain.tables.chord[gap]))
    assert sorted(trees) == [0, 1, 2, 3, 4]
    terms = domain.terms()
    tree_by_hand = np.mean([np.mean(errors) for errors in trees.values()])
    np.testing.assert_allclose(terms["tree"](outputs, batch), tree_by_hand, rtol=1e-4)
    np.testing.assert_allclose(terms["chord"](outputs, batch), np.mean(chords), rtol=1e-4)


def test_a_term_of_weight_0_is_left_out():
    config = load_config("v6")
    config.weights.chord = 0.0
    task = hyperbolic_vae.make_domain(config).task()
    assert (
        set(task.terms)
        == set(task.weights(jnp.int32(0)))
        == {
            "reconstruction",
            "kl",
            "radius",
            "tree",
        }
    )


def test_operations_held_out_have_no_influence(outputs_of_a_batch):
    """Moving their outputs changes no term; roots are never held out."""
    config = load_config("v6")
    config.data.anchors = 3
    config.data.held_out_share = 0.3
    domain = hyperbolic_vae.make_domain(config)
    learned = domain.tables.learned
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
    terms = domain.terms()
    assert len(terms) == 5
    for term in terms.values():
        np.testing.assert_array_equal(term(outputs, batch), term(moved, batch))


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """Three epochs by the loop, and how often the step was traced."""
    config = load_config("v6")
    config.epochs, config.learning_rate.warmup_epochs = 3, 0.5
    config.evaluation.every_epochs = 1
    workdir = tmp_path_factory.mktemp("v6")
    # As the configuration comes back from a run's folder: tuples are lists there.
    config = ConfigDict(json.loads(config.to_json()))
    task = registry.make_task(config)
    traces = []

    def forward(*arguments):
        traces.append(1)
        return task.forward(*arguments)

    final = loop.train(config, dataclasses.replace(task, forward=forward), workdir)
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
        "eval/hierarchy": hierarchy.hierarchy_ceiling(),
        "eval/tree_fidelity": tree.tree_fidelity_ceiling(),
    }
    np.testing.assert_allclose(hyperbolic_vae_evaluation.score(perfect), 1.0)
    inverted = perfect | {"eval/hierarchy": 0.8}
    assert hyperbolic_vae_evaluation.score(inverted) < 0


def test_coverage_of_operations_held_out_is_reported_apart(domain, fresh_params):
    learned = np.arange(19683) % 10 != 0
    measure = functools.partial(
        hyperbolic_vae_evaluation.reconstruction, domain.model, learned=learned
    )
    metrics = jax.jit(measure)(fresh_params, jax.random.key(1))
    vae = domain.model.bind({"params": fresh_params})
    index = np.flatnonzero(~learned)
    ball, _ = vae.embed(ternary.values(index))
    exact = (vae.decode(ball.z).argmax(-1) == ternary.digits(index)).all(-1)
    np.testing.assert_allclose(metrics["eval/coverage_ball_held_out"], exact.mean(), atol=1e-7)


@pytest.mark.slow
def test_acceptance(tmp_path):
    """Every figure of the recipe for one seed that is not the config's own."""
    config = load_config("v6")
    config.seed = 1
    final = loop.train(config, registry.make_task(config), tmp_path)
    assert final["eval/coverage_ball"] == 1.0
    assert final["eval/hierarchy"] <= -0.8320
    assert final["eval/richness"] >= 0.020
    assert final["eval/tree_fidelity"] >= 0.828
    assert final["eval/q_comprehensive"] >= 2.10


@pytest.mark.slow
def test_operations_never_learned_decode_as_well(tmp_path):
    config = load_config("v6")
    config.data.held_out_share = 0.1
    final = loop.train(config, registry.make_task(config), tmp_path)
    assert final["eval/coverage_ball_held_out"] >= 0.999
    assert final["eval/coverage_ball"] >= 0.999
