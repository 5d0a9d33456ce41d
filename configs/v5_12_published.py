"""v5.12.4 as it was really run: plain networks, frozen autoencoder, the archive settings.

    python -m tvae.main --config=configs/v5_12_published.py

It stands on a base of the original's recipe (checkpoints/v5_5_faithful), as the published run did.
Its homeostasis, its double weight of the zero-structure term, its inactive richness term and its
restarts of optimizer and learning rate are the original's. Evaluations draw posterior samples, as
the original's do; the final table is measured from the means.

EXPECTED
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The task's default recipe with everything that the original did to it."""
    config = config_lib.default("ternary_vae")
    config.seed = 0
    config.base_checkpoint = "checkpoints/v5_5_faithful"
    config.evaluation.sampled = True
    config.loss.zero_weight = 1.0
    config.legacy.zero_factor = 0.5
    config.legacy.euclidean_reference = True
    config.homeostasis.corrected = False
    config.homeostasis.reset_moments = True
    config.homeostasis.restart_schedule = True
    return config
