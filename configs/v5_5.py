"""The original v5.5 recipe, faithful including its dynamics.

    python -m tvae.main --config=configs/v5_5.py

It stops by itself near epoch 105: validation loss grows with the KL weight, so its best epoch is
about 5 and patience (100) ends the run. See experiments/v5_5_reproduction for the trajectory.
"""

from ml_collections import ConfigDict

from tvae import config


def get_config() -> ConfigDict:
    """The default configuration is this recipe."""
    return config.default()
