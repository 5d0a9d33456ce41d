"""What a history says about a run: every rule fires on one history and stays quiet on others."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import toy_task
from tvae.engine import diagnostics
from tvae.engine.task import Task
from tvae.errors import UserError

EPOCHS = np.arange(200.0)
RNG = np.random.default_rng(0)
NOISE = 0.01 * RNG.standard_normal(200)


def falling(start, end, *, begin, length):
    """A loss at ``start`` until ``begin`` that falls to ``end`` within ``length`` epochs."""
    return start + (end - start) * np.clip((EPOCHS - begin) / length, 0, 1)


LEARNED = falling(2.0, 0.01, begin=0, length=20)
HISTORIES = {
    # held-out loss: stuck at 2.5 while training is solved, then it falls
    "grokking": falling(2.5, 0.1, begin=120, length=30) + NOISE,
    "memorisation": np.full(200, 2.5) + NOISE,
    "overfitting": 1.0 + EPOCHS / 50,
    "generalisation": LEARNED + 0.05,
}


@pytest.mark.parametrize("name", HISTORIES)
def test_grokking_fires_on_late_generalisation_only(name):
    held_out = HISTORIES[name]
    fired = diagnostics.first_epoch(diagnostics.is_grokking, EPOCHS, LEARNED, held_out)
    if name == "grokking":
        # The fall begins at 120; 5 % of it, averaged over ten epochs, takes a few.
        assert 120 < fired < 135
    else:
        assert fired is None


def test_the_originals_rule_cannot_fire_where_ours_does():
    held_out = HISTORIES["grokking"]

    def original(epoch, train, held_out):
        del epoch, train
        return held_out.size > 10 and held_out[-10:].mean() < 0.95 * held_out.min()

    assert diagnostics.first_epoch(original, EPOCHS, LEARNED, held_out) is None
    assert diagnostics.first_epoch(diagnostics.is_grokking, EPOCHS, LEARNED, held_out) is not None


def test_grokking_needs_a_training_loss_that_stays_solved():
    unlearned = np.where(EPOCHS > 110, 1.0, LEARNED)
    held_out = HISTORIES["grokking"]
    assert diagnostics.first_epoch(diagnostics.is_grokking, EPOCHS, unlearned, held_out) is None


def test_grokking_is_seen_at_sparse_evaluations():
    some = slice(None, None, 5)
    series = (EPOCHS[some], LEARNED[some], HISTORIES["grokking"][some])
    assert 120 < diagnostics.first_epoch(diagnostics.is_grokking, *series) < 140


def test_memorisation_is_a_gap_at_a_solved_training_loss():
    stuck = diagnostics.is_memorising(LEARNED, HISTORIES["memorisation"])
    assert not stuck[:15].any()
    assert stuck[25:].all()
    assert not diagnostics.is_memorising(LEARNED, HISTORIES["generalisation"]).any()


def test_a_plateau_needs_its_whole_window():
    rule = functools.partial(diagnostics.is_plateau, window_epochs=30, delta=0.05)
    rises = np.minimum(EPOCHS / 100, 1.0)
    assert 124 <= diagnostics.first_epoch(rule, EPOCHS, rises) <= 130
    assert diagnostics.first_epoch(rule, EPOCHS, EPOCHS / 100) is None
    assert not rule(EPOCHS[:30], np.zeros(30))
    assert rule(EPOCHS[:31], np.zeros(31))
    assert not rule(np.zeros(0), np.zeros(0))


def test_a_drop_lasts_and_recovery_forgives_it():
    rule = functools.partial(diagnostics.is_drop, size=0.05, patience_epochs=10)
    lost = np.where(EPOCHS < 100, 0.8, 0.7)
    assert diagnostics.first_epoch(rule, EPOCHS, lost) == 109
    # Nine bad epochs of every ten: the original's counter, which never falls, would stop here.
    dips = np.where(EPOCHS % 10 == 0, 0.8, 0.7)
    assert diagnostics.first_epoch(rule, EPOCHS, dips) is None
    assert diagnostics.first_epoch(rule, EPOCHS, np.full(200, 0.8) + NOISE) is None
    assert not rule(np.zeros(0), np.zeros(0))


def test_an_early_peak_is_a_best_that_never_came_back():
    peak = np.exp(-(((EPOCHS - 8) / 20) ** 2))
    assert diagnostics.first_epoch(diagnostics.is_early_peak, EPOCHS, peak) == 50
    assert diagnostics.first_epoch(diagnostics.is_early_peak, EPOCHS, EPOCHS) is None
    assert not diagnostics.is_early_peak(np.zeros(0), np.zeros(0))


def test_compression_is_a_shrinking_norm():
    shrinks = 10 * np.exp(-EPOCHS / 100)
    assert diagnostics.first_epoch(diagnostics.is_compression, EPOCHS, shrinks) == 3
    assert diagnostics.first_epoch(diagnostics.is_compression, EPOCHS, 10 + NOISE) is None
    assert not diagnostics.is_compression(np.zeros(1), np.ones(1))


@dataclasses.dataclass(frozen=True)
class ApproachTask(Task):
    """One parameter that approaches 1; ``eval/rises`` follows it, ``eval/falls`` is 1 minus it."""

    steps_per_epoch = 2

    def init(self, key, hparams):
        return {"w": jnp.float32(0.0)}, jnp.int32(0)

    def batches(self, epoch, key):
        return jnp.zeros(2)

    def forward(self, params, aux, batch, key, hparams):
        return params["w"]

    def terms(self, outputs, batch, hparams):
        return {"error": (outputs - 1.0) ** 2}

    def learning_rate(self, aux, hparams):
        return jnp.float32(0.01)

    def evaluate(self, params, aux, key, hparams):
        return {"eval/rises": params["w"], "eval/falls": 1.0 - params["w"]}


def toy_config(**early_stop):
    config = toy_task.make_config(epochs=20)
    config.checkpoint.every_epochs = 30
    config.optimizer.weight_decay = 0.0
    config.early_stop.metric, config.early_stop.mode = "eval/rises", "max"
    config.early_stop.min_delta = 10.0  # no improvement, and so no checkpoint, in every epoch
    config.early_stop.plateau.metric = "eval/rises"
    config.early_stop.drop.metric = "eval/falls"
    config.early_stop.update_from_flattened_dict(early_stop)
    return config


PLATEAU = {"plateau.window_epochs": 6, "plateau.delta": 10.0}
DROP = {"drop.size": 0.05, "drop.patience_epochs": 4}


@pytest.mark.parametrize(
    ("early_stop", "epochs"),
    [
        (PLATEAU, 7),
        (PLATEAU | {"min_epochs": 12}, 12),
        # 0.01 a step: first more than 0.05 below the first evaluation in epoch 4, near it in 3.
        (DROP, 7),
        (DROP | {"drop.mode": "min", "plateau.window_epochs": 6, "plateau.delta": 1e-6}, 20),
    ],
)
def test_the_rules_end_a_run(tmp_path, early_stop, epochs):
    final = toy_task.train(toy_config(**early_stop), ApproachTask(), tmp_path)
    assert final["train/epochs"] == epochs


@pytest.mark.parametrize("early_stop", [PLATEAU, DROP])
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(tmp_path, early_stop):
    config = toy_config(**early_stop)
    config.epochs = 5
    toy_task.train(config, ApproachTask(), tmp_path)
    config.epochs = 20
    assert toy_task.train(config, ApproachTask(), tmp_path)["train/epochs"] == 7


def test_a_rule_on_a_metric_that_does_not_exist_is_refused(tmp_path):
    config = toy_config(**PLATEAU)
    config.early_stop.plateau.metric = "eval/absent"
    with pytest.raises(UserError, match=r"early_stop\.plateau\.metric: expected one of eval/falls"):
        toy_task.train(config, ApproachTask(), tmp_path)


def test_norms_of_weights_and_gradients_are_in_every_row(tmp_path):
    toy_task.train(toy_config(), ApproachTask(), tmp_path)
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 20
    for name in ("train/weight_norm", "train/weight_norm/all", "train/grad_norm/all"):
        assert all(f'"{name}": ' in row for row in rows)
