"""Our own recipe: one model whose Poincaré embedding alone decodes to the operation.

    python -m tvae.main --config=configs/v6.py

EXPECTED
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """Eighty epochs from scratch, Adam with a cosine; the fields of the task are the recipe."""
    config = config_lib.default("hyperbolic_vae")
    config.seed = 0
    config.epochs = 80
    config.log_every_epochs = 5

    config.optimizer.b2 = 0.99
    config.optimizer.weight_decay = 0.0

    rate = config.learning_rate
    rate.kind = "cosine"
    rate.peak = 3e-3
    rate.warmup_epochs = 4.0

    config.evaluation.every_epochs = 20
    config.early_stop.patience_epochs = 0
    config.checkpoint.every_epochs = 40
    return config
