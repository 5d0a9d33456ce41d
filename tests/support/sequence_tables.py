"""Small made tables in the format of HIVDB, and samples with a known law."""

import numpy as np

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
