"""The standard genetic code and tables of its codons and amino acids, in one order.

Codons are numbered ``16 a + 4 b + c`` with the bases T, C, A, G as 0 to 3: the order of the NCBI
translation tables. Residues are numbered alphabetically by their letters.
"""

import itertools

import numpy as np

BASES = "TCAG"
CODONS = tuple(map("".join, itertools.product(BASES, repeat=3)))
"""The 64 codons in their order."""

TRANSLATION = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
"""Letter of the amino acid of each codon, "*" for stops: NCBI translation table 1."""

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
"""The 20 residues in their order."""

IS_STOP = np.array([letter == "*" for letter in TRANSLATION])
HAS_SYNONYMS = np.array([letter not in "MW*" for letter in TRANSLATION])
SYNONYMS = np.array([[a == b for b in TRANSLATION] for a in TRANSLATION])
"""Which codons code for the same residue, ``(64, 64)``; stops are synonyms of stops."""

CODON_BASES = np.array([[[x == b for b in BASES] for x in codon] for codon in CODONS], np.float32)
"""Bases of the codons, one-hot: ``(64, 3, 4)``."""

NEIGHBOURS = np.array([[sum(x != y for x, y in zip(a, b, strict=True)) == 1 for b in CODONS]
                       for a in CODONS])  # fmt: skip
"""Which codons differ in one base, ``(64, 64)``: nine for each."""

HUMAN_USAGE = (
    17.6, 20.3, 7.7, 12.9, 15.2, 17.7, 12.2, 4.4, 12.2, 15.3, 1.0, 0.8, 10.6, 12.6, 1.6, 13.2,
    13.2, 19.6, 7.2, 39.6, 17.5, 19.8, 16.9, 6.9, 10.9, 15.1, 12.3, 34.2, 4.5, 10.4, 6.2, 11.4,
    16.0, 20.8, 7.5, 22.0, 13.1, 18.9, 15.1, 6.1, 17.0, 19.1, 24.4, 31.9, 12.1, 19.5, 12.2, 12.0,
    11.0, 14.5, 7.1, 28.1, 18.4, 27.7, 15.8, 7.4, 21.8, 25.1, 29.0, 39.6, 10.8, 22.2, 16.5, 16.5,
)  # fmt: skip
"""Codons per thousand in human coding sequences (Nakamura, Gojobori & Ikemura 2000)."""

E_COLI_TRNA = (
    0, 2, 1, 1, 0, 2, 1, 1, 0, 3, 0, 0, 0, 1, 1, 1, 0, 1, 1, 4, 0, 1, 1, 1, 0, 1, 2, 2, 4, 0, 0, 1,
    0, 3, 0, 8, 0, 2, 1, 2, 0, 4, 6, 0, 0, 1, 1, 1, 0, 2, 5, 0, 0, 2, 3, 0, 0, 3, 4, 0, 0, 4, 1, 1,
)  # fmt: skip
"""Genes of the tRNA whose anticodon is the complement of each codon, E. coli K-12 (GtRNAdb)."""

POLAR_REQUIREMENT = {
    "A": 7.0, "R": 9.1, "N": 10.0, "D": 13.0, "C": 4.8, "Q": 8.6, "E": 12.5, "G": 7.9, "H": 8.4,
    "I": 4.9, "L": 4.9, "K": 10.1, "M": 5.3, "F": 5.0, "P": 6.6, "S": 7.5, "T": 6.6, "W": 5.2,
    "Y": 5.4, "V": 5.6,
}  # fmt: skip
"""Polar requirement of the residues (Woese et al. 1966, as in Haig & Hurst 1991)."""

BIOSYNTHETIC_COST = {
    "A": 11.7, "C": 24.7, "D": 12.7, "E": 15.3, "F": 52.0, "G": 11.7, "H": 38.3, "I": 32.3,
    "K": 30.3, "L": 27.3, "M": 34.3, "N": 14.7, "P": 20.3, "Q": 16.3, "R": 27.3, "S": 11.7,
    "T": 18.7, "V": 23.3, "W": 74.3, "Y": 50.0,
}  # fmt: skip
"""High-energy phosphate bonds per molecule, ~P (Akashi & Gojobori 2002, table 1)."""

_FAMILIES = ("EQPR", "DNKMTI", "AVL", "SGC", "FYW", "H")
BIOSYNTHETIC_FAMILY = np.array(
    [next((i for i, f in enumerate(_FAMILIES) if x in f), len(_FAMILIES)) for x in TRANSLATION]
)
"""Family of the precursor of each codon's residue in bacteria: glutamate, aspartate, pyruvate,
serine, the aromatic ones, histidine; stops are a family of their own."""


def codon_indices(sequence: str) -> np.ndarray:
    """The codons of a DNA sequence, int ``(length / 3,)``.

    >>> codon_indices("TTTATG").tolist()
    [0, 35]
    """
    return np.array([CODONS.index(sequence[i : i + 3]) for i in range(0, len(sequence), 3)])


def by_codon(by_residue: dict[str, float], stop: float = 0.0) -> np.ndarray:
    """A property of the residue of each codon, ``(64,)``."""
    return np.array([by_residue.get(letter, stop) for letter in TRANSLATION], np.float32)
