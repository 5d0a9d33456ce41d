"""Fields that every task has: run, optimizer, learning rate, evaluation, stopping, saving."""

from ml_collections import ConfigDict

from tvae.engine import balancing
from tvae.errors import UserError
from tvae.fields import BOOLEAN, SEED, Check, Field, above, at_least, one_of, text, within

_NUMBER = Check(kind=float)
METRIC = text("a metric key such as 'val/loss'", part="/")
BOUNDS = Check(kind=dict, words="a number by metric key")
EPOCHS = Check(
    kind=int, low=0, several=True, increasing=True, words="increasing epochs that begin with 0"
)
RATES = Check(kind=float, low=0.0, several=True, words="rates >= 0")

# A table, one or two lines a field; the defaults are those of v5.5.
# fmt: off
FIELDS: dict[str, Field] = {
    "seed": Field(42, SEED, "seed of initialisation, batches, noise and evaluation draws"),
    "epochs": Field(400, at_least(1), "passes over the training data, at most"),
    "log_every_epochs": Field(1, at_least(1),
        "epochs between log rows; metrics leave the device this often"),
    "report": Field(True, BOOLEAN, "write report.html and figures/ at the end"),
    "optimizer.kind": Field("adamw", one_of("adamw", "adam_l2", "riemannian_adam"),
        "adamw: decoupled decay; adam_l2: decay in the gradient; riemannian_adam: for points of "
        "the Poincaré ball, where the model has such parameters, and adam_l2 for the others"),
    "optimizer.weight_decay": Field(1e-4, at_least(0.0),
        "decay per unit of learning rate (adamw), or L2 coefficient (others)", traced=True),
    "optimizer.b1": Field(0.9, within(0.0, 0.9999999), "decay of the first moment, per step"),
    "optimizer.b2": Field(0.999, within(0.0, 0.9999999), "decay of the second moment, per step"),
    # Below 1e-30 it is 0 in float32, and 0 / 0 gives no update.
    "optimizer.eps": Field(1e-8, at_least(1e-30), "added to the root of the second moment"),
    "optimizer.grad_clip": Field(1.0, above(0.0),
        "largest global gradient norm over the groups that learn", traced=True),
    "optimizer.max_nonfinite_steps": Field(10, at_least(0),
        "steps in a row that may be skipped for a loss or gradient that is not finite; more stop "
        "the run"),
    "learning_rate.kind": Field("piecewise", one_of("piecewise", "cosine", "warm_restarts"),
        "schedule of the learning rate"),
    "learning_rate.boundaries": Field((0, 50, 120, 180, 220, 250, 300, 350), EPOCHS,
        "piecewise: epochs at which the next rate begins", traced=True),
    "learning_rate.rates": Field((1e-3, 5e-4, 3e-4, 1e-4, 5e-5, 2e-5, 1e-5, 5e-6), RATES,
        "piecewise: one rate per boundary", traced=True),
    "learning_rate.peak": Field(3e-3, above(0.0),
        "cosine, warm_restarts: rate at the end of the warm-up or at a restart", traced=True),
    "learning_rate.end": Field(0.0, at_least(0.0), "cosine: rate at the last epoch", traced=True),
    "learning_rate.warmup_epochs": Field(0.0, at_least(0.0),
        "cosine: epochs from 0 to the peak, fractions allowed"),
    "learning_rate.cycle_epochs": Field(20, at_least(1),
        "warm_restarts: length of the first cycle, epochs"),
    "learning_rate.cycle_growth": Field(2, at_least(1),
        "warm_restarts: factor on the length of each next cycle"),
    "balancing.kind": Field("static", one_of(*balancing.KINDS),
        "how the weighted loss terms share the gradient: static: their sum; uncertainty: learned "
        "variances (Kendall et al. 2018); gradnorm: equal gradient norms (Chen et al. 2018); dwa: "
        "by the fall from epoch to epoch (Liu et al. 2019); pcgrad: conflicting parts of gradients "
        "removed (Yu et al. 2020)"),
    "balancing.learning_rate": Field(0.025, at_least(0.0),
        "uncertainty, gradnorm: Adam's rate for what the method learns, per step", traced=True),
    "balancing.asymmetry": Field(1.5, at_least(0.0),
        "gradnorm: alpha, how strongly terms that lag behind are preferred; 0 = equal norms",
        traced=True),
    "balancing.temperature": Field(2.0, above(0.0),
        "dwa: T, above which ratio of losses the weights become even", traced=True),
    "balancing.log_gradients": Field(False, BOOLEAN,
        "log the gradient norm of each weighted term, for a backward pass a term"),
    "evaluation.every_epochs": Field(1, at_least(1), "epochs between evaluations"),
    "early_stop.metric": Field("val/loss", METRIC,
        "evaluation metric that selects the best checkpoint and may stop the run"),
    "early_stop.mode": Field("min", one_of("min", "max"), "better end of that metric"),
    "early_stop.min_delta": Field(0.0, at_least(0.0),
        "smallest change that counts as an improvement, metric units"),
    "early_stop.patience_epochs": Field(100, at_least(0),
        "epochs without improvement before stopping; 0 = never"),
    "early_stop.min_epochs": Field(0, at_least(0), "epochs before which nothing stops the run"),
    "early_stop.plateau.metric": Field("eval/coverage_mu_a", METRIC,
        "evaluation metric that stops the run when it stands still"),
    "early_stop.plateau.window_epochs": Field(0, at_least(0),
        "epochs without movement before stopping; 0 = off"),
    "early_stop.plateau.delta": Field(5e-4, above(0.0),
        "smallest change that counts as movement, metric units"),
    "early_stop.drop.metric": Field("eval/coverage_mu_a", METRIC,
        "evaluation metric that stops the run when it is lost"),
    "early_stop.drop.mode": Field("max", one_of("min", "max"), "better end of that metric"),
    "early_stop.drop.size": Field(0.05, at_least(0.0),
        "distance from the best value that counts as lost, metric units"),
    "early_stop.drop.patience_epochs": Field(0, at_least(0),
        "epochs that the metric stays lost before stopping; 0 = off"),
    "checkpoint.every_epochs": Field(30, at_least(1),
        "epochs between saves; the last epoch is always saved"),
    "targets.at_least": Field({}, BOUNDS,
        "lower bounds on the final metrics of a good run, such as {'eval/coverage_ball': 1.0}"),
    "targets.at_most": Field({}, BOUNDS,
        "upper bounds on the final metrics of a good run, such as {'eval/hierarchy': -0.83}"),
}
# fmt: on


def validate(config: ConfigDict) -> None:
    """Check what involves several shared fields, and the entries of the targets."""
    for side, bounds in config.get("targets", {}).items():
        for name, bound in bounds.items():
            where = f"config.targets.{side}.{name}"
            if not METRIC.holds(name):
                raise UserError(f"{where}: expected {METRIC.expectation}")
            if not _NUMBER.holds(bound):
                got = " ".join(repr(bound).split())  # of a section several lines
                raise UserError(f"{where}: expected a finite number, got {got:.60}")
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


def refuse_riemannian(config: ConfigDict) -> None:
    """Refuse the optimizer for points of the ball, for a model whose parameters are all flat."""
    if config.optimizer.kind == "riemannian_adam":
        raise UserError(
            "config.optimizer.kind: 'riemannian_adam' has nothing to act on: no parameter of this "
            "model is a point of the ball (config.model.translated of 'projected_vae' makes some); "
            "expected 'adam_l2', which the reference system's Riemannian Adam amounts to, or "
            "'adamw'"
        )
