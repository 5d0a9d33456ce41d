"""Your own sequences: a table of aligned sequences and measured values in, a model of them out.

    python -m tvae.main --config=configs/sequences.py --config.data.table=FILE \
        --config.data.labels=ic50

Without a file a made table of 160 sequences is learnt. Tables of the Stanford HIV Drug Resistance
Database need no labels: --config.data.table=stanford_hivdb_ini.txt, and for reverse transcriptase
--config.data.table=stanford_hivdb_nrti.txt --config.data.joined=stanford_hivdb_nnrti.txt.
experiments/hiv_resistance measures the recipe.
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The defaults of the domain."""
    config = config_lib.default("sequences")
    config.seed = 0
    return config
