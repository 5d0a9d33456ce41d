"""v5.12.4 as it was really run: plain encoders, frozen autoencoder, the archive settings.

python -m tvae.main --config=configs/v5_12_published.py
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The task's default recipe with everything that the original did to it."""
    config = config_lib.default("ternary_vae")
    config.seed = 0
    config.loss.zero_weight = 1.0
    config.legacy.zero_factor = 0.5
    config.legacy.euclidean_reference = True
    config.homeostasis.corrected = False
    config.homeostasis.reset_moments = True
    config.homeostasis.restart_schedule = True
    return config
