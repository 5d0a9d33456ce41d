"""Definitions of the ternary models' metrics, and their groups of curves in a report."""

from ml_collections import ConfigDict

from tvae.domains.domain import Curves
from tvae.geometry.padic import N_DIGITS
from tvae.metrics.definitions import Definition, definition

CURVES = (
    Curves("Exact reconstruction", r"eval/(coverage|worst_coverage|score)"),
    Curves("Prior coverage", r"eval/prior_coverage"),
    Curves("Hierarchy: valuation and radius", r"eval/hierarchy"),
    Curves("Tree: distance and 3-adic distance", r"eval/tree_fidelity"),
    Curves("Distance correlations", r"eval/dist_corr"),
    Curves("Q", r"eval/q_"),
    Curves("Richness: spread inside a level", r"eval/richness", logarithmic=True),
    Curves("Neighbours, triplets, triangles", r"eval/(triplet|ultrametric|neighbour|hamming)"),
    Curves("Mean radius by valuation", r"eval/radius_v\d+$", by_level=True),
    Curves("Mean radius by valuation, A", r"eval/radius_v\d+_a", by_level=True),
    Curves("Mean radius by valuation, B", r"eval/radius_v\d+_b", by_level=True),
)
"""Groups of evaluation metrics; those of the same unit share a panel."""


def define(key: str, config: ConfigDict) -> Definition | None:
    """The definition of a metric of a ternary model; None for a key that has none.

    >>> define("eval/hierarchy_b", ConfigDict({"data": {}})).published
    -0.8169
    """
    try:
        return definition(key, n_digits=config.data.get("n_digits", N_DIGITS))
    except KeyError:
        return None
