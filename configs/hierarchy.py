"""Your own hierarchy: a CSV of child and parent in, an embedding of its items out.

    python -m tvae.main --config=configs/hierarchy.py --config.data.edges=FILE

Without a file a made tree of 40 items is embedded. experiments/wordnet measures the recipe. Beyond
10,000 items take --config.learning_rate.peak=0.04.
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The defaults of the domain, for up to some thousand items."""
    config = config_lib.default("hierarchy")
    config.seed = 0
    return config
