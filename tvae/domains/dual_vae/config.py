"""Fields of the dual VAE (v5.5)."""

import math

from ml_collections import ConfigDict

from tvae.errors import UserError
from tvae.fields import (
    SEED,
    SHARE,
    WIDTHS,
    Check,
    above,
    at_least,
    one_of,
    refuse_riemannian,
    within,
)
from tvae.geometry import padic as ternary


def add_fields(config: ConfigDict) -> None:
    """Add the task's fields, with the values of the v5.5 recipe."""
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

    evaluation = config.evaluation
    evaluation.prior_draws = 195_000  # categorical prior samples per evaluation and VAE; 0 = none
    evaluation.argmax_draws = 0  # argmax prior samples per evaluation and VAE; 0 = none


CHECKS: dict[str, Check] = {
    "data.n_digits": within(1, 12),
    "data.batch_size": at_least(1),
    "data.train_fraction": above(0.0),
    "data.val_fraction": above(0.0),
    "data.test_fraction": above(0.0),
    "data.split_seed": SEED,
    "model.latent_dim": at_least(1),
    "model.encoder_widths": WIDTHS,
    "model.decoder_a_widths": WIDTHS,
    "model.decoder_b_width": at_least(1),
    "model.decoder_b_blocks": at_least(1),
    "loss.free_bits": at_least(0.0),
    "loss.entropy_weight": at_least(0.0),
    "loss.repulsion_weight": at_least(0.0),
    "loss.repulsion_sigma": above(0.0),
    "vae_a.beta_start": at_least(0.0),
    "vae_a.beta_end": at_least(0.0),
    "vae_a.beta_warmup_epochs": at_least(0),
    "vae_a.temperature_start": at_least(0.0),
    "vae_a.temperature_end": at_least(0.0),
    "vae_a.temperature_amplitude": at_least(0.0),
    "vae_a.temperature_boost": at_least(0.0),
    "vae_b.beta_ratio": at_least(0.0),
    "vae_b.beta_warmup_epochs": at_least(0),
    "vae_b.beta_warmup": one_of("jump", "ramp"),
    "vae_b.temperature_start": at_least(0.0),
    "vae_b.temperature_end": at_least(0.0),
    "vae_b.temperature_lag_epochs": at_least(0),
    "vae_b.temperature_ultra": at_least(0.0),
    "coupling.rho_min": SHARE,
    "coupling.rho_consolidated": SHARE,
    "coupling.rho_max": SHARE,
    "coupling.isolation_epochs": at_least(0),
    "coupling.consolidation_end": at_least(1),
    "coupling.resonant_ramp_epochs": at_least(1),
    "coupling.ultra_epoch": at_least(1),
    "dynamics.lambda_start": above(0.0),
    "dynamics.statenet_rate_scale": within(0.0, 0.99),
    "dynamics.statenet_lambda_scale": at_least(0.0),
    "dynamics.lambda3_base": at_least(0.0),
    "dynamics.lambda3_amplitude": at_least(0.0),
    "evaluation.prior_draws": at_least(0),
    "evaluation.argmax_draws": at_least(0),
}


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    refuse_riemannian(config)
    data = config.data
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
