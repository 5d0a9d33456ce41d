"""The engine on a whole task: one trace, keys by step, and the loop's parts around it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import load_config
from tests.support import toy_task
from tests.support.engines import bound_engine
from tvae.engine.task import Gradients, Observation
from tvae.runs import files, log, text


@pytest.fixture(scope="module")
def engine():
    return bound_engine(load_config("fast"))


@pytest.fixture(scope="module")
def trained(engine):
    """States after each of three epochs, evaluated in between, from one seed."""
    key = jax.random.key(0)
    state, states = engine.init(key), []
    for _ in range(3):
        state, metrics = engine.train_epoch(state, key)
        state, _ = engine.evaluate(state, key)
        states.append((jax.device_get(state), metrics))
    return states


def test_schedules_and_dynamics_recompile_nothing(engine, trained):
    assert len(trained) == 3
    assert engine.engine.train_epoch._cache_size() == 1
    assert engine.engine.observe._cache_size() == 1


def test_the_state_has_no_weak_types(engine):
    # A weakly typed leaf would change the type of the state after the first step: a second trace.
    state = jax.eval_shape(engine.init, jax.random.key(0))
    after, _ = jax.eval_shape(engine.train_epoch, state, jax.random.key(0))
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(after))


def test_the_same_seed_gives_the_same_run_and_another_does_not(engine, trained):
    def first_epoch(seed):
        key = jax.random.key(seed)
        return jax.device_get(engine.train_epoch(engine.init(key), key)[0].params)

    again, other = first_epoch(0), first_epoch(1)
    key = jax.random.key(0)
    reference = jax.device_get(engine.train_epoch(engine.init(key), key)[0].params)
    jax.tree.map(np.testing.assert_array_equal, again, reference)
    assert (again["encoder_a"]["mu"]["kernel"] != other["encoder_a"]["mu"]["kernel"]).any()


def test_statenet_never_moves(engine, trained):
    first = jax.device_get(engine.init(jax.random.key(0)).params["state_net"])
    jax.tree.map(np.testing.assert_array_equal, first, trained[-1][0].params["state_net"])


def test_loss_is_the_weighted_sum_of_its_terms(engine):
    task, key = engine.task, jax.random.key(0)
    state = engine.init(key)
    batch = jax.tree.map(lambda x: x[0], task.batches(jnp.int32(0), key))
    weights = jax.device_get(task.weights(state.aux, engine.hparams))  # the step donates its state
    _, metrics = engine.step(state, batch, key)
    total = sum(weights[name] * metrics[name] for name in weights)
    assert metrics["loss"] == pytest.approx(float(total), rel=1e-5)


class RolledBackTask(toy_task.LineTask):
    """A task whose evaluation zeroes the parameters and resets the moments."""

    def observe(self, aux, params, metrics, hparams):
        return Observation(aux, jax.tree.map(jnp.zeros_like, params), jnp.bool_(True))


def test_an_observation_may_roll_back_parameters_and_reset_the_moments():
    engine, hparams = toy_task.make_engine(RolledBackTask(), toy_task.make_config())
    key = jax.random.key(0)
    state, _ = engine.train_epoch(engine.init(key, hparams), key, hparams)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(state.opt_state)) > 0
    state, _ = engine.evaluate(state, key, hparams)
    for leaf in jax.tree.leaves((state.params, state.opt_state)):
        assert (leaf == 0).all()


class AverageTask(toy_task.LineTask):
    """A task whose aux follows the parameters of the step that was just taken."""

    def init(self, key, hparams):
        params, _ = super().init(key, hparams)
        return params, {"ema": jnp.float32(0.0), "new": params["w"], "moved": jnp.float32(0.0)}

    def after_step(self, aux, old, new, outputs, metrics, hparams):
        moved = jnp.abs(new["w"] - old["w"]).max()
        return aux | {"new": new["w"], "moved": moved}


def test_after_a_step_the_task_sees_the_new_parameters():
    engine, hparams = toy_task.make_engine(AverageTask(), toy_task.make_config())
    key = jax.random.key(0)
    state, _ = engine.train_epoch(engine.init(key, hparams), key, hparams)
    np.testing.assert_array_equal(state.aux["new"], state.params["w"])
    assert state.aux["moved"] > 0


class LargestTermTask(toy_task.LineTask):
    """Two terms, of which only the one with the larger gradient is followed."""

    def terms(self, outputs, batch, hparams):
        return {"error": jnp.mean(outputs**2), "size": jnp.mean(jnp.abs(outputs))}

    def combine(self, objective, params, weights):
        terms, pull, outputs = jax.vjp(objective, params, has_aux=True)
        zeros = jax.tree.map(jnp.zeros_like, terms)
        grads = [pull(zeros | {name: jnp.float32(1.0)})[0]["w"] for name in terms]
        stacked = jnp.stack(grads)
        largest = jnp.argmax(jnp.linalg.norm(stacked, axis=1))
        return Gradients(
            jnp.stack([*terms.values()])[largest], {"w": stacked[largest]}, terms, outputs
        )


def test_combine_makes_the_gradient_of_the_terms():
    config = toy_task.make_config(**{"optimizer.grad_clip": 1e9})
    engine, hparams = toy_task.make_engine(LargestTermTask(), config)
    key = jax.random.key(0)
    state = engine.init(key, hparams)
    batch = jnp.ones((8, 4))
    _, metrics = engine.step(state, batch, key, hparams)
    # The squared error is far from 0 at the start, so that its gradient is the larger one.
    assert metrics["loss"] == metrics["error"] > metrics["size"]


def test_rows_of_repeated_epochs_and_torn_lines_are_dropped(tmp_path):
    path = tmp_path / files.METRICS_FILE
    rows = [json.dumps({"epoch": e, "x": e}) for e in range(4)]
    path.write_text("\n".join(rows) + '\n{"epoch": 4, "x"')
    log.keep_rows_before(path, 2)
    assert path.read_text() == "".join(row + "\n" for row in rows[:2])


def test_the_table_shows_scalars_and_the_length_of_vectors():
    table = text.metrics_table({"eval/a": 0.123456789, "eval/kl": [1.0, 2.0]})
    assert "0.123457" in table
    assert "[2 values]" in table
