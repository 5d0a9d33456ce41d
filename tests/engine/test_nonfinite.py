"""Steps whose loss or gradient is not finite: skipped, counted, and not for ever."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import toy_task
from tvae.cli import command
from tvae.engine import step
from tvae.errors import UserError


def make_engine(task, limit=10):
    config = toy_task.make_config(**{"optimizer.max_nonfinite_steps": limit})
    return toy_task.make_engine(task, config)


class RootedTask(toy_task.LineTask):
    """The toy's loss and a root at zero: finite, with a gradient of 0 * inf."""

    def terms(self, outputs, batch, hparams):
        root = jnp.sqrt(jnp.abs(0.0 * batch[0, 0] * outputs[0]))
        return {"error": jnp.mean(outputs**2) + root}


class CollapsedTask(toy_task.LineTask):
    """A task whose final evaluation is not finite."""

    def final_evaluate(self, params, aux, key, hparams):
        return {"latent/kl": jnp.asarray([1.0, jnp.inf])}


NAN = np.full((8, 4), np.nan, np.float32)
INFINITE = np.full((8, 4), 1e30, np.float32)
CASES = {
    "loss is nan": (toy_task.LineTask(), NAN),
    "loss is infinite": (toy_task.LineTask(), INFINITE),
    "gradient alone is nan": (
        RootedTask(),
        np.ones((8, 4), np.float32),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_such_a_step_changes_nothing_but_the_counts(case):
    task, batch = CASES[case]
    (engine, hparams), key = make_engine(task), jax.random.key(0)
    state = engine.init(key, hparams)
    before = jax.device_get(state)
    state, metrics = engine.step(state, jnp.asarray(batch), key, hparams)
    if "alone" in case:
        assert jnp.isfinite(metrics["loss"])
    assert metrics["skipped_updates"]
    for name in ("params", "opt_state", "aux"):
        jax.tree.map(np.testing.assert_array_equal, getattr(state, name), getattr(before, name))
    assert (int(state.step), int(state.nonfinite)) == (1, 1)


def test_the_next_finite_step_learns_and_ends_the_row():
    (engine, hparams), key = make_engine(toy_task.LineTask()), jax.random.key(0)
    state, _ = engine.step(engine.init(key, hparams), jnp.asarray(NAN), key, hparams)
    before = jax.device_get(state.params)
    state, metrics = engine.step(state, jnp.ones((8, 4)), key, hparams)
    assert not metrics["skipped_updates"]
    assert (before["w"] != state.params["w"]).all()
    assert (int(state.step), int(state.nonfinite)) == (2, 0)


def test_means_are_over_the_steps_that_counted():
    task, key = toy_task.LineTask(poison=(1, 1)), jax.random.key(3)
    engine, hparams = make_engine(task)
    state, losses = engine.init(key, hparams), []
    epoch_state, means = engine.train_epoch(engine.init(key, hparams), key, hparams)
    for batch in task.batches(0, step.purpose_key(key, step.Purpose.BATCHES)):
        state, metrics = engine.step(state, batch, key, hparams)
        losses.append(float(metrics["loss"]))
    assert np.isnan(losses[1])
    assert float(means["train/loss"]) == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-6)
    assert int(means["train/skipped_updates"]) == 1
    np.testing.assert_allclose(epoch_state.params["w"], state.params["w"], rtol=1e-6)


def test_after_too_many_in_a_row_nothing_moves_any_more():
    """The loop looks only at the end of a block; until then the last good state is kept."""
    engine, hparams = make_engine(toy_task.LineTask(poison=(0, 2)), limit=2)
    key = jax.random.key(0)
    state = engine.init(key, hparams)
    before = jax.device_get(state.params)
    for _ in range(2):  # the data of the second epoch are good
        state, metrics = engine.train_epoch(state, key, hparams)
    np.testing.assert_array_equal(before["w"], state.params["w"])
    assert (int(state.nonfinite), int(metrics["train/skipped_updates"])) == (6, 3)


def test_a_run_survives_an_epoch_of_bad_data(trainers, tmp_path):
    """Step 2 to 6: the second epoch has no mean at all, those beside it have less steps."""
    workdir = tmp_path / "run"
    assert trainers.run(workdir, poison=(2, 6)) == (0, [])
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["train/skipped_updates"] for row in rows] == [1, 3, 1, 0, 0, 0, 0, 0]
    assert ["train/loss" in row for row in rows] == [True, False] + [True] * 6
    assert "train/ema" in rows[1]
    assert rows[-1]["val/loss"] < rows[0]["val/loss"]


def test_too_many_in_a_row_stop_the_run_by_name(trainers, tmp_path):
    workdir = tmp_path / "run"
    config = {"log_every_epochs": 2, "optimizer.max_nonfinite_steps": 4}
    status, messages = trainers.run(workdir, config, poison=(8, 99))
    assert status == command.USER_ERROR_STATUS
    assert len(messages) == 1
    # Four bad steps are allowed, so epochs 2 and 3 pass; the fifth is the first of epoch 4.
    assert "error: train/error is nan, " in messages[0]
    assert "in epoch 4 (steps 8 to 14)" in messages[0]
    assert "for more than 4 steps in a row" in messages[0]
    last = toy_task.last_state(workdir)
    assert f"Last good checkpoint: {workdir / 'checkpoints' / str(int(last.step))}" in messages[0]
    assert np.isfinite(last.params["w"]).all()


def test_a_final_evaluation_that_is_not_finite_is_an_error(tmp_path):
    """Every step may have been finite: the weights that they led to need not be."""
    task = CollapsedTask()
    with pytest.raises(UserError, match=r"latent/kl is \[1\.0, inf\] in the final evaluation"):
        toy_task.train(toy_task.make_config(), task, tmp_path)
    assert not (tmp_path / "metrics.json").exists()
    assert toy_task.last_state(tmp_path).step > 0


class HurlingTask(toy_task.LineTask):
    """A rate that throws the weights far away; the loss and all metrics stay finite."""

    def learning_rate(self, aux, hparams):
        return jnp.float32(1e6)

    def terms(self, outputs, batch, hparams):
        return {"error": jnp.mean(jnp.tanh(outputs) ** 2)}


def test_a_model_that_is_lost_does_not_end_well(tmp_path):
    with pytest.raises(UserError, match=r"train/weight_norm is .*e\+10 in epoch 0 .* diverged or"):
        toy_task.train(toy_task.make_config(), HurlingTask(), tmp_path)
    assert not (tmp_path / "metrics.json").exists()
