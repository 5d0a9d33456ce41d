"""The configuration: every field with its meaning and unit, and the checks on it.

A file of ``configs/`` starts from :func:`default` and changes what it needs. The default is the
recipe of the original v5.5 system.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from tvae.geometry import ternary
from tvae.types import UserError


def default() -> ConfigDict:
    """The v5.5 recipe; see the comments for each field."""
    config = ConfigDict()
    config.task = "dual_vae"  # which domain is trained: "dual_vae"
    config.seed = 42  # of initialisation, batches, noise and evaluation draws
    config.epochs = 400  # passes over the training split, at most
    config.log_every_epochs = 1  # reporting interval; metrics leave the device this often

    config.data = data = ConfigDict()
    data.n_digits = 9  # digits of an operation; the space has 3 ** n_digits operations
    data.batch_size = 64  # operations per step; the last batch of an epoch is padded and masked
    data.train_fraction = 0.8  # share of operations that is trained on
    data.val_fraction = 0.1  # share used for the validation loss
    data.test_fraction = 0.1  # share never used before the final metrics
    data.split_seed = 42  # of the split, so that runs with other seeds share their test set

    config.model = model = ConfigDict()
    model.latent_dim = 16  # dimension of each VAE's latent space
    model.encoder_widths = (256, 128, 64)  # hidden widths of both encoders
    model.decoder_a_widths = (32, 64)  # hidden widths of decoder A
    model.decoder_b_width = 128  # width of decoder B's residual stream
    model.decoder_b_blocks = 2  # residual blocks of decoder B

    config.optimizer = optimizer = ConfigDict()
    optimizer.weight_decay = 1e-4  # AdamW's decoupled decay, per unit of learning rate
    optimizer.b1 = 0.9  # decay of the first moment, per step
    optimizer.b2 = 0.999  # decay of the second moment, per step
    optimizer.eps = 1e-8  # added to the root of the second moment
    optimizer.grad_clip = 1.0  # global gradient norm over the trainable groups

    config.learning_rate = rate = ConfigDict()
    rate.kind = "piecewise"  # "piecewise" (boundaries, rates) or "cosine" (peak, end, warmup)
    rate.boundaries = (0, 50, 120, 180, 220, 250, 300, 350)  # epochs where the next value begins
    rate.rates = (1e-3, 5e-4, 3e-4, 1e-4, 5e-5, 2e-5, 1e-5, 5e-6)  # one rate per boundary
    rate.peak = 3e-3  # cosine: rate at the end of the warm-up
    rate.end = 0.0  # cosine: rate at the last epoch
    rate.warmup_epochs = 0.0  # cosine: epochs from 0 to peak, fractions allowed

    config.loss = loss = ConfigDict()
    loss.free_bits = 0.5  # floor of the KL per sample and dimension, nats; 0 = no floor
    loss.entropy_weight = 0.05  # of B's output entropy (enters with a minus)
    loss.repulsion_weight = 0.01  # of B's latent repulsion
    loss.repulsion_sigma = 0.5  # length scale of the repulsion, latent units

    config.vae_a = a = ConfigDict()
    a.beta_start = 0.3  # KL weight at the end of the warm-up
    a.beta_end = 0.8  # KL weight at the last epoch
    a.beta_warmup_epochs = 50  # epochs from 0 to beta_start
    a.temperature_start = 1.0  # factor on the posterior noise at epoch 0
    a.temperature_end = 0.3  # at the last epoch
    a.temperature_amplitude = 0.1  # of the 30-epoch cosine, relative to the line; 0 = none
    a.temperature_boost = 0.5  # absolute amplitude from coupling.ultra_epoch on

    config.vae_b = b = ConfigDict()
    b.beta_ratio = abs(math.sin(0.785))  # KL weight relative to A's after the warm-up
    b.beta_warmup_epochs = 50  # epochs before the KL weight is switched on or reached
    b.beta_warmup = "jump"  # "jump": 0 until the warm-up ends (v5.5); "ramp": follows A's ramp
    b.temperature_start = 0.9  # factor on the posterior noise until the lag is over
    b.temperature_end = 0.2  # reached at the end of the schedule
    b.temperature_lag_epochs = 30  # epochs before the temperature begins to fall
    b.temperature_ultra = 0.3  # from coupling.ultra_epoch on

    config.coupling = coupling = ConfigDict()
    coupling.rho_min = 0.1  # share of the other VAE's latent while isolated
    coupling.rho_consolidated = 0.3  # at the end of the consolidation
    coupling.rho_max = 0.7  # at the end of the resonant ramp and from ultra_epoch on
    coupling.isolation_epochs = 40  # phase 1: rho_min
    coupling.consolidation_end = 120  # phase 2 ends here: rho ramps to rho_consolidated
    coupling.resonant_ramp_epochs = 80  # phase 3: epochs to rho_max while gradients balance
    coupling.ultra_epoch = 250  # phase 4: rho_max, boosted temperatures

    config.dynamics = dynamics = ConfigDict()
    dynamics.lambda_start = 0.7  # weight of each VAE's loss before any adaptation
    dynamics.gradient_balance = True  # scale each loss by the ratio of gradient-norm averages
    dynamics.adaptive = True  # lambda rule, balance flag and momentum from the gradient ratio
    dynamics.statenet = True  # let the (untrained) StateNet correct rate and lambdas per epoch
    dynamics.statenet_rate_scale = 0.05  # relative change of the rate per unit output
    dynamics.statenet_lambda_scale = 0.01  # absolute change of a lambda per unit output
    dynamics.lambda3_base = 0.3  # weight of the entropy alignment, mean of its 30-epoch cycle
    dynamics.lambda3_amplitude = 0.15  # amplitude of that cycle

    config.evaluation = evaluation = ConfigDict()
    evaluation.every_epochs = 1  # epochs between evaluations
    evaluation.prior_draws = 195_000  # categorical prior samples per evaluation and VAE; 0 = none
    evaluation.argmax_draws = 0  # argmax prior samples per evaluation and VAE; 0 = none

    config.early_stop = stop = ConfigDict()
    stop.metric = "val/loss"  # evaluation metric that selects the best checkpoint and may stop
    stop.mode = "min"  # "min" or "max"
    stop.min_delta = 0.0  # smallest change that counts as an improvement, metric units
    stop.patience_epochs = 100  # epochs without improvement before stopping; 0 = never
    stop.min_epochs = 0  # never stop before this many epochs

    config.checkpoint = checkpoint = ConfigDict()
    checkpoint.every_epochs = 10  # epochs between saves; the last epoch is always saved
    return config


Check = tuple[Callable[[Any], bool], str]


def _at_least(bound: float) -> Check:
    return lambda value: value >= bound, f"a number >= {bound}"


def _above(bound: float) -> Check:
    return lambda value: value > bound, f"a number > {bound}"


def _within(low: float, high: float) -> Check:
    return lambda value: low <= value <= high, f"a number in [{low}, {high}]"


def _one_of(*choices: str) -> Check:
    return lambda value: value in choices, "one of " + ", ".join(map(repr, choices))


_SHARE = _within(0.0, 1.0)
_WIDTHS: Check = (
    lambda value: len(value) > 0 and all(isinstance(w, int) and w > 0 for w in value),
    "a tuple of positive integers",
)

CHECKS: dict[str, Check] = {
    "task": _one_of("dual_vae"),
    "seed": _within(0, 2**31 - 1),
    "epochs": _at_least(1),
    "log_every_epochs": _at_least(1),
    "data.n_digits": _within(1, 12),
    "data.batch_size": _at_least(1),
    "data.train_fraction": _above(0.0),
    "data.val_fraction": _above(0.0),
    "data.test_fraction": _above(0.0),
    "data.split_seed": _within(0, 2**31 - 1),
    "model.latent_dim": _at_least(1),
    "model.encoder_widths": _WIDTHS,
    "model.decoder_a_widths": _WIDTHS,
    "model.decoder_b_width": _at_least(1),
    "model.decoder_b_blocks": _at_least(1),
    "optimizer.weight_decay": _at_least(0.0),
    "optimizer.b1": _within(0.0, 0.9999999),
    "optimizer.b2": _within(0.0, 0.9999999),
    "optimizer.eps": _above(0.0),
    "optimizer.grad_clip": _above(0.0),
    "learning_rate.kind": _one_of("piecewise", "cosine"),
    "learning_rate.boundaries": (
        lambda b: len(b) > 0 and b[0] == 0 and all(x < y for x, y in itertools.pairwise(b)),
        "increasing epochs that begin with 0",
    ),
    "learning_rate.rates": (lambda v: all(x >= 0.0 for x in v), "rates >= 0"),
    "learning_rate.peak": _above(0.0),
    "learning_rate.end": _at_least(0.0),
    "learning_rate.warmup_epochs": _at_least(0.0),
    "loss.free_bits": _at_least(0.0),
    "loss.entropy_weight": _at_least(0.0),
    "loss.repulsion_weight": _at_least(0.0),
    "loss.repulsion_sigma": _above(0.0),
    "vae_a.beta_start": _at_least(0.0),
    "vae_a.beta_end": _at_least(0.0),
    "vae_a.beta_warmup_epochs": _at_least(0),
    "vae_a.temperature_start": _at_least(0.0),
    "vae_a.temperature_end": _at_least(0.0),
    "vae_a.temperature_amplitude": _at_least(0.0),
    "vae_a.temperature_boost": _at_least(0.0),
    "vae_b.beta_ratio": _at_least(0.0),
    "vae_b.beta_warmup_epochs": _at_least(0),
    "vae_b.beta_warmup": _one_of("jump", "ramp"),
    "vae_b.temperature_start": _at_least(0.0),
    "vae_b.temperature_end": _at_least(0.0),
    "vae_b.temperature_lag_epochs": _at_least(0),
    "vae_b.temperature_ultra": _at_least(0.0),
    "coupling.rho_min": _SHARE,
    "coupling.rho_consolidated": _SHARE,
    "coupling.rho_max": _SHARE,
    "coupling.isolation_epochs": _at_least(0),
    "coupling.consolidation_end": _at_least(1),
    "coupling.resonant_ramp_epochs": _at_least(1),
    "coupling.ultra_epoch": _at_least(1),
    "dynamics.lambda_start": _above(0.0),
    "dynamics.statenet_rate_scale": _within(0.0, 0.99),
    "dynamics.statenet_lambda_scale": _at_least(0.0),
    "dynamics.lambda3_base": _at_least(0.0),
    "dynamics.lambda3_amplitude": _at_least(0.0),
    "evaluation.every_epochs": _at_least(1),
    "evaluation.prior_draws": _at_least(0),
    "evaluation.argmax_draws": _at_least(0),
    "early_stop.metric": (lambda name: "/" in name, "a metric key such as 'val/loss'"),
    "early_stop.mode": _one_of("min", "max"),
    "early_stop.min_delta": _at_least(0.0),
    "early_stop.patience_epochs": _at_least(0),
    "early_stop.min_epochs": _at_least(0),
    "checkpoint.every_epochs": _at_least(1),
}


def validate(config: ConfigDict) -> None:
    """Check every field.

    Args:
      config: a configuration with the fields of :func:`default`.

    Raises:
      UserError: naming the first field that is missing, unknown or out of range, with its value
        and what was expected.
    """
    given, known = _leaves(config), _leaves(default())
    for path in given.keys() ^ known.keys():
        state = "unknown" if path in given else "missing"
        raise UserError(f"config.{path}: {state} field")
    for path, (holds, expectation) in CHECKS.items():
        value = given[path]
        finite = not isinstance(value, float) or math.isfinite(value)
        if not finite or not holds(value):
            raise UserError(f"config.{path}: expected {expectation}, got {value!r}")
    _validate_together(config)


def _validate_together(config: ConfigDict) -> None:
    """Check what involves several fields."""
    data, rate = config.data, config.learning_rate
    total = data.train_fraction + data.val_fraction + data.test_fraction
    if abs(total - 1.0) > 1e-6:
        raise UserError(
            "config.data.train_fraction + val_fraction + test_fraction: expected a sum of 1, got "
            f"{data.train_fraction} + {data.val_fraction} + {data.test_fraction} = {total:g}"
        )
    n_operations = ternary.count(n_digits=data.n_digits)
    if data.batch_size > n_operations:
        raise UserError(
            f"config.data.batch_size: expected at most the {n_operations} operations of the space, "
            f"got {data.batch_size}"
        )
    if len(rate.boundaries) != len(rate.rates):
        raise UserError(
            f"config.learning_rate.rates: expected one per boundary ({len(rate.boundaries)}), "
            f"got {len(rate.rates)}"
        )


def _leaves(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
    return leaves


def difference(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Fields in which two configurations differ, as ``path: old -> new`` lines.

    >>> changed = default()
    >>> changed.seed = 7
    >>> difference(default(), changed)
    ['seed: 42 -> 7']
    """
    before, after = _leaves(old), _leaves(new)
    absent = "(absent)"
    return [
        f"{path}: {before.get(path, absent)} -> {after.get(path, absent)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, absent) != after.get(path, absent)
    ]
