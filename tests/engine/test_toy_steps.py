"""The step by the laws of a task that is small enough to work out: keys, clip, weights, counts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import toy_task
from tvae.engine import step
from tvae.engine.task import Observation, Task, weighted_sum

RATE = 0.5


@dataclasses.dataclass(frozen=True)
class PullTask(Task):
    """One weight, pulled with the force of the batch; its drawn noise is a metric.

    ``shift`` is added to the loss and has no gradient. The optimizer's first step is the rate
    whatever the force, so the norms show what was clipped.
    """

    shift: float = 0.0
    steps_per_epoch = 3

    def init(self, key, hparams):
        return {"w": jnp.float32(4.0)}, {"draw": jax.random.uniform(key), "epoch": jnp.int32(-1)}

    def batches(self, epoch, key):
        return 1.0 + jnp.arange(3.0) + 0.01 * jax.random.uniform(key, (3,))

    def begin_epoch(self, aux, epoch, hparams):
        return aux | {"epoch": epoch}

    def forward(self, params, aux, batch, key, hparams):
        return batch * params["w"], jax.random.uniform(key)

    def terms(self, outputs, batch, hparams):
        return {"pull": outputs[0], "noise": outputs[1], "shift": jnp.float32(self.shift)}

    def weights(self, aux, hparams):
        return {"noise": jnp.float32(0.0)}

    def learning_rate(self, aux, hparams):
        return jnp.float32(RATE)

    def monitor(self, aux, hparams):
        return {"train/epoch": aux["epoch"]}

    def evaluate(self, params, aux, key, hparams):
        return {"eval/draw": jax.random.uniform(key)}

    def final_evaluate(self, params, aux, key, hparams):
        return {"final/draw": jax.random.uniform(key)}


def make(task, **changes):
    settings = {"optimizer.weight_decay": 0.0, "optimizer.grad_clip": 2.0}
    return toy_task.make_engine(task, toy_task.make_config(**settings, **changes))


@pytest.fixture(scope="module")
def pulled():
    """State after each of three steps with forces 1, 3 and -3, and the metrics of each."""
    engine, hparams = make(PullTask())
    key = jax.random.key(7)
    state, found = engine.init(key, hparams), []
    for force in (1.0, 3.0, -3.0):
        state, metrics = engine.step(state, jnp.float32(force), key, hparams)
        found.append(jax.device_get((state, metrics)))
    return found


def test_every_step_draws_other_noise(pulled):
    noise = {float(metrics["noise"]) for _, metrics in pulled}
    assert len(noise) == 3


def test_a_small_gradient_is_not_scaled_and_a_large_one_is_clipped(pulled):
    norms = [float(metrics["grad_norm"]) for _, metrics in pulled]
    clipped = [float(metrics["grad_norm/all"]) for _, metrics in pulled]
    assert norms == pytest.approx([1.0, 3.0, 3.0])
    assert clipped == pytest.approx([1.0, 2.0, 2.0], rel=1e-5)


def test_adam_sees_the_clipped_gradients(pulled):
    # b1 = 0.9: 0.1; 0.9 * 0.1 + 0.1 * 2; 0.9 * 0.29 - 0.1 * 2.
    first = [
        leaf.item()
        for state, _ in pulled
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.opt_state)
        if ".mu" in jax.tree_util.keystr(path)
    ]
    assert first == pytest.approx([0.1, 0.29, 0.061], rel=1e-5)
    assert float(pulled[0][0].params["w"]) == pytest.approx(4.0 - RATE)


def test_a_term_without_a_weight_counts_once(pulled):
    _, metrics = pulled[0]
    assert metrics["loss"] == pytest.approx(4.0)  # 1 * 4 + 0 * noise + 0
    assert weighted_sum({"a": 2.0, "b": 3.0}, {"b": 10.0}) == 32.0


def test_streams_of_different_purpose_and_time_never_meet():
    engine, hparams = make(PullTask())
    key = jax.random.key(7)
    state = engine.init(key, hparams)
    draws = [
        float(state.aux["draw"]),
        float(engine.final_evaluate(state, key, hparams)["final/draw"]),
    ]
    for epoch in range(2):
        state, metrics = engine.evaluate(state, key, hparams)
        draws.append(float(metrics["eval/draw"]))
        state, metrics = engine.train_epoch(state, key, hparams)
        assert int(metrics["train/epoch"]) == epoch
    assert len(set(draws)) == 4
    keys = {tuple(jax.random.key_data(step.purpose_key(key, p)).tolist()) for p in step.Purpose}
    assert len(keys) == len(step.Purpose)


@pytest.mark.parametrize("shift", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_skipped_though_its_gradient_is(shift):
    engine, hparams = make(PullTask(shift=float(shift)))
    key = jax.random.key(0)
    state, metrics = engine.step(engine.init(key, hparams), jnp.float32(1.0), key, hparams)
    assert metrics["grad_norm"] == 1.0
    assert bool(metrics["skipped_updates"])
    assert float(state.params["w"]) == 4.0


def test_as_many_bad_steps_as_allowed_do_not_halt():
    """Two in a row are allowed: the third step learns. Three are not: nothing does any more."""
    engine, hparams = make(PullTask(), **{"optimizer.max_nonfinite_steps": 2})
    key, bad = jax.random.key(0), jnp.float32(jnp.nan)
    state = engine.init(key, hparams)
    counts, learned = [], []
    for batch in (bad, bad, 1.0, bad, bad, bad, 1.0):
        state, metrics = engine.step(state, jnp.float32(batch), key, hparams)
        counts.append(int(state.nonfinite))
        learned.append(not metrics["skipped_updates"])
    assert counts == [1, 2, 0, 1, 2, 3, 4]
    assert learned == [False, False, True, False, False, False, False]


def test_means_leave_out_bad_steps_until_the_run_is_halted():
    """At the limit the epoch's mean is that of its good steps; beyond it the NaN shows."""
    good = toy_task.LineTask(poison=(1, 2))
    key = jax.random.key(0)
    for limit, hidden in ((2, True), (1, False)):
        config = toy_task.make_config(**{"optimizer.max_nonfinite_steps": limit})
        engine, hparams = toy_task.make_engine(good, config)
        _, metrics = engine.train_epoch(engine.init(key, hparams), key, hparams)
        assert bool(jnp.isfinite(metrics["train/loss"])) == hidden


class ResettingTask(PullTask):
    """Asks for fresh moments where the metric, its evaluation's draw, is above a bound."""

    def observe(self, aux, params, metrics, hparams):
        return Observation(aux, params, metrics["eval/draw"] > 0.5)


def test_moments_are_reset_where_the_task_asks_for_it():
    engine, hparams = make(ResettingTask())
    key = jax.random.key(0)
    state, _ = engine.step(engine.init(key, hparams), jnp.float32(1.0), key, hparams)
    for draw in (0.0, 1.0):
        after = engine.observe(state, {"eval/draw": jnp.float32(draw)}, hparams)
        largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(after.opt_state))
        assert (largest == 0.0) == (draw == 1.0)
