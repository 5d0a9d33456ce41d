"""Places for new items of your own hierarchy, from their paths or their features.

    python -m tvae.main --config=configs/hierarchy_vae.py --config.data.edges=FILE

Without a file a made tree of 40 items is encoded. `--config.model.inputs=features` reads the other
columns of the file in place of the paths. experiments/icd10 and experiments/path_codes measure
both.
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The defaults of the domain."""
    config = config_lib.default("hierarchy_vae")
    config.seed = 0
    return config
