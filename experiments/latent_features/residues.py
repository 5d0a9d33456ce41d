"""Vectors of the twenty residues: properties, latents of their codons, tree distances, noise.

A codon becomes an operation by an injective map, the operation a point of a model's embedding, and
a residue the mean over its codons.
"""

import pathlib

import numpy as np

import tvae
from tvae.geometry import padic
from tvae.losses import codons
from tvae.losses import genetic_code as code

# fmt: off
PROPERTIES = {
    "hydropathy": (1.8, 2.5, -3.5, -3.5, 2.8, -0.4, -3.2, 4.5, -3.9, 3.8,
                   1.9, -3.5, -1.6, -3.5, -4.5, -0.8, -0.7, 4.2, -0.9, -1.3),
    "volume": (88.6, 108.5, 111.1, 138.4, 189.9, 60.1, 153.2, 166.7, 168.6, 166.7,
               162.9, 114.1, 112.7, 143.8, 173.4, 89.0, 116.1, 140.0, 227.8, 193.6),
    "helix": (0, 0.68, 0.69, 0.40, 0.54, 1, 0.61, 0.41, 0.26, 0.21,
              0.24, 0.65, 3.16, 0.39, 0.21, 0.50, 0.66, 0.61, 0.49, 0.53),
    "charge": (0, 0, -1, -1, 0, 0, 0.1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0),
    "branched": tuple(float(letter in "ITV") for letter in code.RESIDUES),
    "aromatic": tuple({"F": 1.0, "H": 0.5, "W": 1.0, "Y": 1.0}.get(x, 0.0) for x in code.RESIDUES),
}
# fmt: on
"""In the order of ``genetic_code.RESIDUES``: Kyte & Doolittle 1982; Zamyatnin 1972, cubic Angstrom;
propensity for helices in kcal/mol, Pace & Scholtz 1998; charge at pH 7; branched at the beta
carbon; aromatic."""

BASE_DIGITS = {"T": (0, 0, 0), "C": (0, 2, 2), "A": (2, 0, 2), "G": (2, 2, 0)}
"""Ternary digits of a base: purine, strong, and keto or amino."""

RANDOM_SEEDS = (0, 1, 2)


def standardised(values):
    """Columns of mean 0 and variance 1; constant ones are left out."""
    values = values[:, values.std(0) > 1e-9]
    return (values - values.mean(0)) / values.std(0)


def properties():
    """Physico-chemical properties: ``(20, 6)``, standardised."""
    return standardised(np.asarray(list(PROPERTIES.values()), float).T)


def operations_by_index():
    """The codon's number as the operation's: ``(64,)``."""
    return np.arange(len(code.CODONS))


def operations_by_bases():
    """Three digits a base, the second base first, as it decides most: ``(64,)``."""
    digits = [sum((BASE_DIGITS[codon[i]] for i in (1, 0, 2)), ()) for codon in code.CODONS]
    return np.asarray(padic.index_of(np.asarray(digits)))


def of_residues(by_codon):
    """Mean over the codons of each residue: ``(20, c)``, standardised."""
    letters = np.asarray(list(code.TRANSLATION))
    return standardised(np.stack([by_codon[letters == x].mean(0) for x in code.RESIDUES]))


def tree_distances(operations):
    """Distances of each residue's codons to every residue's, by the tree of operations."""
    shared = np.asarray(padic.pair_valuation(operations[:, None], operations[None]))
    letters = np.asarray(list(code.TRANSLATION))
    distance = 3.0**-shared
    return of_residues(np.stack([distance[:, letters == x].mean(1) for x in code.RESIDUES], 1))


def feature_sets(latents):
    """Vectors of the residues by name: ``(20, c)`` each.

    Args:
      latents: folder of latents of v5.11, or None.
    """
    model = tvae.load("v6")
    tables = {"v6": np.asarray(model.embed(np.arange(model.n_items)))}
    if latents:
        tables["v5.11 A"] = np.load(pathlib.Path(latents, "z_A_hyp.npy"))
    maps = {"by index": operations_by_index(), "by bases": operations_by_bases()}
    found = {
        f"{name}, {kind}": of_residues(table[operations])
        for name, table in tables.items()
        for kind, operations in maps.items()
    }
    for kind, operations in maps.items():
        found[f"tree, {kind}"] = tree_distances(operations)
    found["point mutations"] = of_residues(codons.point_mutation_costs())
    for seed in RANDOM_SEEDS:
        noise = np.random.default_rng(seed).normal(size=(len(code.CODONS), model.latent_dim))
        found[f"random {seed}"] = of_residues(noise)
    return found
