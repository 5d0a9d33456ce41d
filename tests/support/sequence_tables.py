"""Small made tables in the format of HIVDB, and samples with a known law."""

import numpy as np

from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.sequences import source
from tvae.domains.sequences.samples import Samples

REFERENCE = "MKVAP"
HEADER = ["SeqID", "AAA", "BBB", *(f"P{i}" for i in range(1, 6)), "CompMutList"]
ROWS = [
    ["1", "2.0", "NA", "-", "-", "-", "-", "-", "NULL"],
    ["2", ">40", "0.5", "L", "-", "-", "-", "-", "M1L"],
    ["3", "100", "<0.4", "L", "KR", ".", "-", "-", "M1L, K2KR"],
    ["4", "3.5", "1.0", "-", "-", "X", "T#", "~", "A4T#, P5~"],
    ["5", "1.0", "2.0", "*", " R", "-", "-", "-", "M1*, K2R, V3I"],
]
MADE_GENE = """
name = "G"
length = 5
reference = "made"
source = "made"
cutoffs_source = "made"
[positions]
C = [2, 4]
[drugs]
AAA = {class = "C", cutoffs = [2, 5]}
"""


def write(path, rows=ROWS, header=HEADER):
    """A tab-separated file."""
    path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n")
    return path


def made_samples(rows=250, features=30, seed=0, groups=None):
    """Two correlated labels that saturate, of sparse binary features; the second often missing."""
    generator = np.random.default_rng(seed)
    x = (generator.random((rows, features)) < 0.2).astype(np.float32)
    groups = np.arange(rows) if groups is None else groups
    x = x[groups]
    weights = generator.normal(size=features) * (generator.random(features) < 0.5)
    signal = np.tanh(x @ weights)
    noise = 0.1 * generator.normal(size=(rows, 2))
    targets = np.stack([signal, 0.8 * signal], 1) + noise
    targets[generator.random(rows) < 0.6, 1] = np.nan
    return Samples(x, targets, np.zeros(targets.shape, np.int8), groups.astype(np.int64))


def made_config(file="", **changes):
    """A small configuration of all kinds of models, of a CSV file of :func:`write_own_table`."""
    config = config_lib.default("sequences")
    config.update_from_flattened_dict(dict(registry.get("sequences").tiny))
    config.update_from_flattened_dict(
        {"epochs": 4, "log_every_epochs": 4, "evaluation.every_epochs": 4,
         "checkpoint.every_epochs": 4, "learning_rate.warmup_epochs": 1.0,
         "model.kind": "average", "data.table": str(file), "data.labels": "ic50, ec50", **changes}
    )  # fmt: skip
    config_lib.validate(config)
    return config


def write_own_table(path):
    """The made table as a CSV file."""
    table = source.made_table()
    lines = ["id,sequence,ic50,ec50"]
    for row in range(len(table.ids)):
        letters = "".join(table.alphabet.text(int(cell)) for cell in table.cells[row])
        marks = [">" if bound else "" for bound in table.censored[row]]
        values = [
            "" if np.isnan(value) else f"{mark}{value:.6g}"
            for mark, value in zip(marks, table.values[row], strict=True)
        ]
        lines.append(",".join([table.ids[row], letters, *values]))
    path.write_text("\n".join(lines))
    return path
