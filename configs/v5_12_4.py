"""v5.12.4 as its documents describe it, made true.

python -m tvae.main --config=configs/v5_12_4.py
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """Improved networks; the autoencoder is tuned to decode the ball, then frozen."""
    config = config_lib.default("ternary_vae")
    config.seed = 0

    model = config.model
    model.encoder = model.decoder = "improved"
    model.encoder_dropout = model.decoder_dropout = 0.1

    groups = config.groups
    groups.decoder = "tuned"
    groups.tuning_epochs = 30
    groups.encoder_a_rate = groups.encoder_b_rate = 1.0

    loss = config.loss
    loss.radius_unit = "euclidean"
    loss.richness_weight = 0.0
    return config
