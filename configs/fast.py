"""A first try in seconds: 243 operations of five digits, small networks, a short run.

    python -m tvae.main --config=configs/fast.py

Ends in about ten seconds, most of them compilation; a second start takes about four. Reconstruction
from the means is near 1 for both VAEs on what was trained; the test split has only 25 operations.
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The dynamics of v5.5 on a space of 243 operations."""
    config = config_lib.default()
    config.seed = 0
    config.epochs = 40
    config.log_every_epochs = 5
    config.data.n_digits = 5
    config.data.batch_size = 32
    config.model.latent_dim = 8
    config.model.encoder_widths = (64, 32)
    config.model.decoder_a_widths = (32,)
    config.model.decoder_b_width = 32
    config.model.decoder_b_blocks = 1
    config.learning_rate.kind = "cosine"
    config.learning_rate.peak = 1e-2
    config.objective.kl_a.free_bits = config.objective.kl_b.free_bits = 0.0
    config.vae_a.beta_start = config.vae_a.beta_end = 0.1
    config.vae_a.beta_warmup_epochs = 10
    config.vae_b.beta_warmup_epochs = 10
    config.coupling.rho_max = 0.4
    config.coupling.isolation_epochs = 8
    config.coupling.consolidation_end = 24
    config.coupling.resonant_ramp_epochs = 8
    config.coupling.ultra_epoch = 32
    config.evaluation.every_epochs = 5
    config.evaluation.prior_draws = 2_000
    config.evaluation.argmax_draws = 500
    config.checkpoint.every_epochs = 5

    bounds = config.targets
    for vae in ("a", "b"):
        bounds.at_least[f"eval/coverage_mu_{vae}"] = 0.9
        bounds.at_least[f"eval/coverage_mu_test_{vae}"] = 0.8
        bounds.at_least[f"latent/informed_dimensions_{vae}"] = 5
        bounds.at_least[f"latent/active_dimensions_{vae}"] = 5
        bounds.at_least[f"latent/entropy_{vae}"] = 1.5
    return config
