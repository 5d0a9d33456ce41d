"""Fields of the dual VAE (v5.5)."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from tvae.domains.dual_vae.terms import OBJECTIVE
from tvae.engine.config import refuse_riemannian
from tvae.errors import UserError
from tvae.fields import BOOLEAN, SEED, SHARE, WIDTHS, Field, above, at_least, one_of, within
from tvae.geometry import padic

# A table, one or two lines a field; the defaults are those of v5.5.
# fmt: off
FIELDS: dict[str, Field] = {
    "data.n_digits": Field(9, within(1, 12),
        "digits of an operation; the space has 3 ** n_digits operations"),
    "data.batch_size": Field(64, at_least(1),
        "operations per step; the last batch of an epoch is padded and masked"),
    "data.train_fraction": Field(0.8, above(0.0), "share of operations that is trained on"),
    "data.val_fraction": Field(0.1, above(0.0), "share used for the validation loss"),
    "data.test_fraction": Field(0.1, above(0.0), "share not used before the final metrics"),
    "data.split_seed": Field(42, SEED,
        "seed of the split, so that runs with other seeds share their test set"),
    "model.latent_dim": Field(16, at_least(1), "dimension of each VAE's latent space"),
    "model.encoder_widths": Field((256, 128, 64), WIDTHS, "hidden widths of both encoders"),
    "model.decoder_a_widths": Field((32, 64), WIDTHS, "hidden widths of decoder A"),
    "model.decoder_b_width": Field(128, at_least(1), "width of decoder B's residual stream"),
    "model.decoder_b_blocks": Field(2, at_least(1), "residual blocks of decoder B"),
    "vae_a.beta_start": Field(0.3, at_least(0.0),
        "KL weight at the end of the warm-up", traced=True),
    "vae_a.beta_end": Field(0.8, at_least(0.0), "KL weight at the last epoch", traced=True),
    "vae_a.beta_warmup_epochs": Field(50, at_least(0), "epochs from 0 to beta_start"),
    "vae_a.temperature_start": Field(1.0, at_least(0.0),
        "factor on the posterior noise at epoch 0", traced=True),
    "vae_a.temperature_end": Field(0.3, at_least(0.0),
        "factor on the posterior noise at the last epoch", traced=True),
    "vae_a.temperature_amplitude": Field(0.1, at_least(0.0),
        "amplitude of the 30-epoch cosine, relative to the line; 0 = none", traced=True),
    "vae_a.temperature_boost": Field(0.5, at_least(0.0),
        "absolute amplitude of that cosine from coupling.ultra_epoch on", traced=True),
    "vae_b.beta_ratio": Field(abs(math.sin(0.785)), at_least(0.0),
        "KL weight relative to A's after the warm-up", traced=True),
    "vae_b.beta_warmup_epochs": Field(50, at_least(0),
        "epochs before the KL weight is switched on or reached", traced=True),
    "vae_b.beta_warmup": Field("jump", one_of("jump", "ramp"),
        "jump: KL weight 0 until the warm-up ends (v5.5); ramp: it follows A's ramp"),
    "vae_b.temperature_start": Field(0.9, at_least(0.0),
        "factor on the posterior noise until the lag is over", traced=True),
    "vae_b.temperature_end": Field(0.2, at_least(0.0),
        "factor on the posterior noise at the end of the schedule", traced=True),
    "vae_b.temperature_lag_epochs": Field(30, at_least(0),
        "epochs before the temperature begins to fall"),
    "vae_b.temperature_ultra": Field(0.3, at_least(0.0),
        "factor on the posterior noise from coupling.ultra_epoch on", traced=True),
    "coupling.rho_min": Field(0.1, SHARE,
        "rho, the share of the other VAE's latent, in the isolation phase", traced=True),
    "coupling.rho_consolidated": Field(0.3, SHARE, "rho at consolidation_end", traced=True),
    "coupling.rho_max": Field(0.7, SHARE,
        "rho at the end of the resonant ramp and from ultra_epoch on", traced=True),
    "coupling.isolation_epochs": Field(40, at_least(0),
        "phase 1: epochs with rho_min", traced=True),
    "coupling.consolidation_end": Field(120, at_least(1),
        "phase 2: epoch at which rho has risen to rho_consolidated", traced=True),
    "coupling.resonant_ramp_epochs": Field(80, at_least(1),
        "phase 3: epochs to rho_max while the gradients balance", traced=True),
    "coupling.ultra_epoch": Field(250, at_least(1),
        "phase 4: first epoch with rho_max and boosted temperatures", traced=True),
    "dynamics.lambda_start": Field(0.7, above(0.0),
        "weight of each VAE's loss before any adaptation", traced=True),
    "dynamics.gradient_balance": Field(True, BOOLEAN,
        "scale each loss by the ratio of gradient-norm averages"),
    "dynamics.adaptive": Field(True, BOOLEAN,
        "set lambdas, balance flag and momentum from the gradient ratio"),
    "dynamics.statenet": Field(True, BOOLEAN,
        "let the (untrained) StateNet correct rate and lambdas once per epoch"),
    "dynamics.statenet_rate_scale": Field(0.05, within(0.0, 0.99),
        "relative change of the learning rate per unit of StateNet's output", traced=True),
    "dynamics.statenet_lambda_scale": Field(0.01, at_least(0.0),
        "absolute change of a lambda per unit of StateNet's output", traced=True),
    "dynamics.lambda3_base": Field(0.3, at_least(0.0),
        "weight of the entropy alignment, mean of its 30-epoch cycle", traced=True),
    "dynamics.lambda3_amplitude": Field(0.15, at_least(0.0),
        "amplitude of that cycle", traced=True),
    "evaluation.prior_draws": Field(195_000, at_least(0),
        "categorical prior samples per evaluation and VAE; 0 = none"),
    "evaluation.argmax_draws": Field(0, at_least(0),
        "argmax prior samples per evaluation and VAE; 0 = none"),
    "evaluation.by_split": Field(True, BOOLEAN,
        "also measure reconstruction on the split's parts; False for weights of another split"),
}
# fmt: on

TINY: dict[str, Any] = {
    "data.n_digits": 3,
    "data.batch_size": 8,
    "model.latent_dim": 2,
    "model.encoder_widths": (8,),
    "model.decoder_a_widths": (8,),
    "model.decoder_b_width": 8,
    "model.decoder_b_blocks": 1,
    "evaluation.prior_draws": 10,
    "evaluation.argmax_draws": 10,
}
"""Sizes that compile in seconds, for tests."""


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    refuse_riemannian(config)
    missing = [name for name in ("kl_a", "kl_b") if name not in config.objective]
    if config.dynamics.statenet and missing:
        raise UserError(
            f"config.dynamics.statenet: reads the KLs of both VAEs; expected the row "
            f"{missing[0]!r} in config.objective, got {', '.join(config.objective)}"
        )
    data = config.data
    total = data.train_fraction + data.val_fraction + data.test_fraction
    if abs(total - 1.0) > 1e-6:
        raise UserError(
            "config.data.train_fraction + val_fraction + test_fraction: expected a sum of 1, got "
            f"{data.train_fraction} + {data.val_fraction} + {data.test_fraction} = {total:g}"
        )
    n_operations = padic.count(n_digits=data.n_digits)
    if data.batch_size > n_operations:
        raise UserError(
            f"config.data.batch_size: expected at most the {n_operations} operations of the space, "
            f"got {data.batch_size}"
        )


def migrate(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration of before ``config.objective``, with its terms in that table."""
    if "objective" in stored:
        return dict(stored)
    loss, dynamics = dict(stored.get("loss", {})), stored.get("dynamics", {})
    rows = {name: dict(row) for name, row in OBJECTIVE.items()}
    for name in ("kl_a", "kl_b"):
        rows[name]["free_bits"] = loss.get("free_bits", rows[name]["free_bits"])
    rows["output_entropy_b"]["weight"] = -loss.get("entropy_weight", 0.0)
    rows["repulsion_b"] |= {
        "weight": loss.get("repulsion_weight", 0.0),
        "sigma": loss.get("repulsion_sigma", 0.5),
    }
    rows["entropy_alignment"]["weight"] = float(
        dynamics.get("lambda3_base", 1.0) > 0.0 or dynamics.get("lambda3_amplitude", 1.0) > 0.0
    )
    kept = {name: row for name, row in rows.items() if row["weight"] != 0.0}
    return {k: v for k, v in stored.items() if k != "loss"} | {"objective": kept}
