"""Fields that every task has: run, optimizer, learning rate, evaluation, stopping, saving."""

import itertools
import math

from ml_collections import ConfigDict

from tvae.errors import UserError
from tvae.fields import SEED, Check, above, at_least, one_of, within


def fields() -> ConfigDict:
    """The shared fields, with the values of the v5.5 recipe."""
    config = ConfigDict()
    config.seed = 42  # of initialisation, batches, noise and evaluation draws
    config.epochs = 400  # passes over the training data, at most
    config.log_every_epochs = 1  # reporting interval; metrics leave the device this often
    config.report = True  # write report.html and figures/ at the end

    config.optimizer = optimizer = ConfigDict()
    # "adamw" (decoupled decay), "adam_l2" (decay in the gradient), or "riemannian_adam" (for points
    # of the Poincaré ball, where the model has such parameters; adam_l2 for the others).
    optimizer.kind = "adamw"
    optimizer.weight_decay = 1e-4  # per unit of learning rate (adamw), or L2 coefficient
    optimizer.b1 = 0.9  # decay of the first moment, per step
    optimizer.b2 = 0.999  # decay of the second moment, per step
    optimizer.eps = 1e-8  # added to the root of the second moment
    optimizer.grad_clip = 1.0  # global gradient norm over the groups that learn
    # A step whose loss or gradient is not finite is skipped; more than this many in a row stop.
    optimizer.max_nonfinite_steps = 10

    config.learning_rate = rate = ConfigDict()
    rate.kind = "piecewise"  # "piecewise", "cosine" or "warm_restarts"; see the fields of each
    rate.boundaries = (0, 50, 120, 180, 220, 250, 300, 350)  # piecewise: epochs of the next rate
    rate.rates = (1e-3, 5e-4, 3e-4, 1e-4, 5e-5, 2e-5, 1e-5, 5e-6)  # piecewise: one per boundary
    rate.peak = 3e-3  # cosine, warm_restarts: rate at the end of the warm-up or of a restart
    rate.end = 0.0  # cosine: rate at the last epoch
    rate.warmup_epochs = 0.0  # cosine: epochs from 0 to peak, fractions allowed
    rate.cycle_epochs = 20  # warm_restarts: length of the first cycle, epochs
    rate.cycle_growth = 2  # warm_restarts: factor on the length of each next cycle

    config.evaluation = evaluation = ConfigDict()
    evaluation.every_epochs = 1  # epochs between evaluations

    config.early_stop = stop = ConfigDict()
    stop.metric = "val/loss"  # evaluation metric that selects the best checkpoint and may stop
    stop.mode = "min"  # "min" or "max"
    stop.min_delta = 0.0  # smallest change that counts as an improvement, metric units
    stop.patience_epochs = 100  # epochs without improvement before stopping; 0 = never
    stop.min_epochs = 0  # never stop before this many epochs, for whatever reason
    stop.plateau = plateau = ConfigDict()
    plateau.metric = "eval/coverage_mu_a"  # evaluation metric that ends the run by standing still
    plateau.window_epochs = 0  # epochs without movement before stopping; 0 = off
    plateau.delta = 5e-4  # smallest movement that counts as one, metric units
    stop.drop = drop = ConfigDict()
    drop.metric = "eval/coverage_mu_a"  # evaluation metric that ends the run by being lost
    drop.mode = "max"  # "min" or "max": which is the better end of that metric
    drop.size = 0.05  # distance below the best that counts as lost, metric units
    drop.patience_epochs = 0  # epochs that it stays so low before stopping; 0 = off

    config.checkpoint = checkpoint = ConfigDict()
    checkpoint.every_epochs = 30  # epochs between saves; the last epoch is always saved

    # What the final metrics of a good run reach: bounds by metric key, for the report and
    # for the validation of artifacts.
    config.targets = targets = ConfigDict()
    targets.at_least = ConfigDict()  # such as {"eval/coverage_ball": 1.0}
    targets.at_most = ConfigDict()  # such as {"eval/hierarchy": -0.83}
    return config


METRIC = Check(lambda name: "/" in name, "a metric key such as 'val/loss'")
TARGETS = ("targets.at_least.", "targets.at_most.")
"""Sections whose fields are metric keys, so that they are not listed here."""

CHECKS: dict[str, Check] = {
    "seed": SEED,
    "epochs": at_least(1),
    "log_every_epochs": at_least(1),
    "optimizer.kind": one_of("adamw", "adam_l2", "riemannian_adam"),
    "optimizer.weight_decay": at_least(0.0),
    "optimizer.b1": within(0.0, 0.9999999),
    "optimizer.b2": within(0.0, 0.9999999),
    "optimizer.eps": at_least(1e-30),  # less is 0 in float32, and 0 / 0 is no update
    "optimizer.grad_clip": above(0.0),
    "optimizer.max_nonfinite_steps": at_least(0),
    "learning_rate.kind": one_of("piecewise", "cosine", "warm_restarts"),
    "learning_rate.boundaries": Check(
        lambda b: len(b) > 0 and b[0] == 0 and all(x < y for x, y in itertools.pairwise(b)),
        "increasing epochs that begin with 0",
    ),
    "learning_rate.rates": Check(lambda v: all(x >= 0.0 for x in v), "rates >= 0"),
    "learning_rate.peak": above(0.0),
    "learning_rate.end": at_least(0.0),
    "learning_rate.warmup_epochs": at_least(0.0),
    "learning_rate.cycle_epochs": at_least(1),
    "learning_rate.cycle_growth": at_least(1),
    "evaluation.every_epochs": at_least(1),
    "early_stop.metric": METRIC,
    "early_stop.mode": one_of("min", "max"),
    "early_stop.min_delta": at_least(0.0),
    "early_stop.patience_epochs": at_least(0),
    "early_stop.min_epochs": at_least(0),
    "early_stop.plateau.metric": METRIC,
    "early_stop.plateau.window_epochs": at_least(0),
    "early_stop.plateau.delta": above(0.0),
    "early_stop.drop.metric": METRIC,
    "early_stop.drop.mode": one_of("min", "max"),
    "early_stop.drop.size": at_least(0.0),
    "early_stop.drop.patience_epochs": at_least(0),
    "checkpoint.every_epochs": at_least(1),
}


def validate(config: ConfigDict) -> None:
    """Check what involves several shared fields, and the targets."""
    _validate_targets(config.get("targets", ConfigDict()))
    rate = config.learning_rate
    if len(rate.boundaries) != len(rate.rates):
        raise UserError(
            f"config.learning_rate.rates: expected one per boundary ({len(rate.boundaries)}), "
            f"got {len(rate.rates)}"
        )
    if rate.kind == "cosine" and rate.warmup_epochs >= config.epochs:
        raise UserError(
            f"config.learning_rate.warmup_epochs: expected less than config.epochs = "
            f"{config.epochs}, got {rate.warmup_epochs}"
        )


def _validate_targets(targets: ConfigDict) -> None:
    """Each target is a metric key with a finite number."""
    for side, bounds in targets.items():
        for name, bound in bounds.items():
            where = f"config.targets.{side}.{name}"
            if not METRIC[0](name):
                raise UserError(f"{where}: expected {METRIC[1]}")
            number = isinstance(bound, float | int) and not isinstance(bound, bool)
            if not number or not math.isfinite(bound):
                raise UserError(f"{where}: expected a finite number, got {bound!r}")
