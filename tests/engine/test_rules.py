"""Rules of stopping, saving and refusing at their bounds, without a run."""

import contextlib
import math
import pathlib

import numpy as np
import pytest

from tests.support import toy_task
from tvae.engine import config as engine_config
from tvae.engine import diagnostics, loop, record, stopping
from tvae.errors import DivergedError, UserError

FIVE = np.arange(5)


def test_a_plateau_is_movement_below_the_size():
    for size, expected in ((0.5, False), (0.51, True)):
        value = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
        found = diagnostics.is_plateau(FIVE, value, window_epochs=4, delta=size)
        assert found is expected


def test_a_drop_is_more_than_the_size_for_as_long_as_the_patience():
    lost = np.array([1.0, 1.0, 0.5, 0.5, 0.5])
    for size, patience, expected in ((0.5, 1, False), (0.25, 3, True), (0.25, 4, False)):
        found = diagnostics.is_drop(FIVE, lost, size=size, patience_epochs=patience)
        assert found is expected


@pytest.mark.parametrize(("mode", "fires"), [("max", True), ("min", False)])
def test_a_drop_follows_the_better_end(mode, fires):
    rule = diagnostics.DropStop("eval/x", mode, size=0.1, patience_epochs=2)
    assert rule.fires(FIVE, np.array([1.0, 0.8, 0.6, 0.4, 0.2])) is fires


def test_grokking_compares_with_the_best_of_the_plateau():
    epoch, train = np.arange(40.0), np.full(40, 0.01)
    # Between 2 and 3 for 30 epochs, then 1.95: below 95 % of the mean and of the worst, not of 2.
    held_out = np.where(epoch < 30, 2.0 + (epoch % 2), 1.95)
    assert not diagnostics.is_grokking(epoch, train, held_out)
    assert diagnostics.is_grokking(epoch, train, np.where(epoch < 30, held_out, 1.85))


def test_an_early_peak_may_lie_at_the_very_end_of_its_share():
    epoch = np.arange(101.0)
    for peak, expected in ((20, True), (21, False)):
        value = np.where(epoch == peak, 1.0, 0.5)
        assert diagnostics.is_early_peak(epoch, value, share=0.2) is expected


def config_of(**early_stop):
    config = toy_task.make_config(epochs=20)
    config.early_stop.update_from_flattened_dict({"patience_epochs": 5} | early_stop)
    return config


@pytest.mark.parametrize(
    ("epoch", "early_stop", "finished"),
    [
        (14, {}, False),
        (15, {}, True),  # five epochs after the best
        (15, {"min_epochs": 15}, True),
        (15, {"min_epochs": 16}, False),
        (15, {"patience_epochs": 0}, False),
        (20, {"patience_epochs": 0, "min_epochs": 30}, True),
    ],
)
def test_patience_and_least_epochs_are_inclusive(epoch, early_stop, finished):
    progress = stopping.Progress(epoch=epoch, best_score=1.0, best_epoch=10)
    assert stopping.is_finished(config_of(**early_stop), progress) is finished


@pytest.mark.parametrize(("mode", "sign"), [("min", -1.0), ("max", 1.0)])
def test_a_larger_score_is_better_in_both_modes(mode, sign):
    assert stopping.score(config_of(mode=mode), {"val/loss": 3.0}) == sign * 3.0


class Saved(list):
    """A store that notes the scores it is given."""

    def save(self, step, state, progress, *, score):
        self.append(score)


class State:
    step = 0


def test_an_equal_score_is_no_improvement():
    config, store = config_of(), Saved()
    made = record.Record(config, pathlib.Path(), store, contextlib.ExitStack())
    progress = made.progress
    progress.epoch = 1
    config.checkpoint.every_epochs = 30
    for loss in (3.0, 3.0, 2.0):
        made.keep({"val/loss": loss}, State())
        progress.epoch += 1
    assert store == [-3.0, -2.0]
    assert (progress.best_score, progress.best_epoch) == (-2.0, 3)
    assert math.isfinite(progress.best_score)


def test_a_save_comes_with_an_evaluation():
    config = config_of()
    config.log_every_epochs, config.evaluation.every_epochs = 4, 10
    config.checkpoint.every_epochs = 6
    found, epoch = [], 0
    while epoch < 20:
        epoch, evaluates = loop.block_end(config, epoch)
        found.append((epoch, evaluates))
    due = {6, 10, 12, 18, 20}  # and logs at multiples of four
    assert found == [(e, e in due) for e in (4, 6, 8, 10, 12, 16, 18, 20)]


def test_a_row_of_as_many_bad_steps_as_allowed_does_not_stop_the_run():
    row = {"train/loss": np.float32(1.0), "train/skipped_updates": np.int32(2)}
    row["train/weight_norm"] = np.float32(1.0)
    check = {"steps": 3, "limit": 2, "n_weights": 4, "last_good": "none"}
    assert record.check_rows([(4, dict(row))], in_a_row=2, **check) == [(4, row)]
    broken = row | {"train/loss": np.float32(np.nan)}
    # Of the two bad steps at the end of epoch 4 nothing is known but that they were allowed.
    with pytest.raises(DivergedError, match=r"in epoch 4 \(steps 12 to 14\): (?!.*in a row)"):
        record.check_rows([(4, dict(broken))], in_a_row=2, **check)
    with pytest.raises(DivergedError, match=r"steps 12 to 14\).*more than 2 steps in a row"):
        record.check_rows([(4, dict(broken))], in_a_row=3, **check)


def test_a_warm_up_ends_before_the_run_and_each_boundary_has_its_rate():
    config = toy_task.make_config(**{"learning_rate.kind": "cosine"})
    engine_config.validate(config)
    config.learning_rate.warmup_epochs = float(config.epochs)
    with pytest.raises(UserError, match="warmup_epochs: expected less than"):
        engine_config.validate(config)
    for boundaries in ((0,), (0, 1, 2)):
        config = toy_task.make_config()
        config.learning_rate.boundaries, config.learning_rate.rates = boundaries, (1.0, 0.1)
        with pytest.raises(UserError, match=r"rates: expected one per boundary \(\d\), got 2"):
            engine_config.validate(config)
