"""The engine on a whole task: one trace, keys by step, and the loop's parts around it."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import load_config
from tvae.domains import registry
from tvae.engine import optim, step
from tvae.runs import files, log, text


@pytest.fixture(scope="module")
def engine():
    config = load_config("fast")
    settings = optim.OptimizerSettings(**config.optimizer.to_dict())
    return step.make_engine(registry.make_task(config), settings)


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
    assert engine.train_epoch._cache_size() == 1
    assert engine.observe._cache_size() == 1


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
    config = load_config("fast")
    task = registry.make_task(config)
    key = jax.random.key(0)
    state = engine.init(key)
    batch = jax.tree.map(lambda x: x[0], task.batches(jnp.int32(0), key))
    weights = jax.device_get(task.weights(state.aux))  # the step donates its state
    _, metrics = engine.step(state, batch, key)
    total = sum(weights[name] * metrics[name] for name in task.terms)
    assert metrics["loss"] == pytest.approx(float(total), rel=1e-5)


def test_an_observation_may_roll_back_parameters_and_reset_the_moments():
    config = load_config("fast")
    task = registry.make_task(config)

    def observe(aux, params, metrics):
        del metrics
        return aux, jax.tree.map(jnp.zeros_like, params), jnp.bool_(True)

    engine = step.make_engine(
        dataclasses.replace(task, observe=observe, evaluate=lambda *_: {}),
        optim.OptimizerSettings(**config.optimizer.to_dict()),
    )
    key = jax.random.key(0)
    state, _ = engine.train_epoch(engine.init(key), key)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(state.opt_state)) > 0
    state, _ = engine.evaluate(state, key)
    for leaf in jax.tree.leaves((state.params, state.opt_state)):
        assert (leaf == 0).all()


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
