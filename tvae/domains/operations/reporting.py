"""Definitions of the ternary models' metrics, published figures, and curves of a report."""

import functools
from collections.abc import Callable, Mapping

from ml_collections import ConfigDict

from tvae.domains.domain import SHARED_DEFINITIONS, Curves
from tvae.domains.operations import coverage, tree
from tvae.geometry.padic import N_DIGITS, PadicTree
from tvae.metrics import embedding
from tvae.metrics.definitions import Definition, Entry, define

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

PUBLISHED = {
    # v5.5's reports; prior coverage is the benchmark's mean of five trials, and the
    # "hash-validated" test.
    "dual_vae": {
        "eval/coverage_mu_a": 1.0,
        "eval/active_dimensions_a": 16.0,
        "eval/active_dimensions_b": 16.0,
        "eval/prior_coverage_195k_a": 0.99624,
        "eval/prior_coverage_195k_b": 0.99608,
        "eval/prior_coverage_argmax_50k_a": 0.8646,
        "eval/prior_coverage_argmax_50k_b": 0.8591,
    },
    # v5.12.4's checkpoint best_Q; its coverage is that of the frozen autoencoder.
    "projected_vae": {
        "eval/coverage_mu_a": 1.0,
        "eval/hierarchy_a": -0.6078,
        "eval/hierarchy_b": -0.8169,
        "eval/richness_a": 0.02556,
        "eval/richness_b": 0.00315,
        "eval/dist_corr_quick_b": 0.738,
        "eval/dist_corr_comprehensive_a": -0.126,
        "eval/dist_corr_comprehensive_b": 0.364,
        "eval/q_quick_b": 1.96,
        "eval/q_comprehensive_a": 0.786,
        "eval/q_comprehensive_b": 1.59,
        "eval/radius_v0_a": 1.235,
        "eval/radius_v0_b": 0.968,
        "eval/radius_v9_a": 0.197,
        "eval/radius_v9_b": 0.086,
    },
}
"""Figures of the reference system's files and reports, by the domain whose model they are of.

Its README's headline (hierarchy -0.8321, richness 0.00787) is of no single model and left out."""

_MIXTURE = (
    "The README's headline joins three models: coverage of the frozen autoencoder, hierarchy of "
    "encoder B, richness of encoder A of another run."
)
_SAMPLED = "The reference system measures posterior samples; the standard deviation of that is "

_NOTES = {
    "eval/hierarchy": "Level 0 apart from the rest gives -0.801. " + _MIXTURE,
    "eval/richness": "Published quick figures use Euclidean norms, four to five times smaller. "
    + _MIXTURE,
    "eval/dist_corr_quick": _SAMPLED + "0.01.",
    "eval/q_quick": _SAMPLED + "0.011.",
    "eval/q_comprehensive": "Of the same checkpoint as the 1.96 of q_quick, under the same name Q.",
    "eval/neighbour_valuation_consistency": "Chance is about 1/2.",
    "eval/radius_v9": _SAMPLED + "0.09 for A (one point).",
    "latent/informed_dimensions": "Nine digits need no more than nine.",
}


@functools.cache
def entries(items: PadicTree) -> dict[str, Entry]:
    """Metric key without the suffix of an encoder -> entry, of all domains of operations."""
    measures = embedding.definitions(items)
    found = coverage.DEFINITIONS | tree.DEFINITIONS | SHARED_DEFINITIONS
    found |= {f"eval/{name}": entry for name, entry in measures.items()}
    for key, note in _NOTES.items():
        if key in found:
            found[key] = found[key]._replace(note=f"{found[key].note} {note}".strip())
    return found


def define_with(
    own: Mapping[str, Entry] | None = None, published: Mapping[str, float] | None = None
) -> Callable[[str, ConfigDict], Definition | None]:
    """The ``define`` of a domain of operations with its own entries.

    Published figures are of all operations of nine digits: models of fewer have none.

    >>> config = ConfigDict({"data": {}})
    >>> define_with(published=PUBLISHED["projected_vae"])("eval/hierarchy_b", config).published
    -0.8169
    >>> round(define_with()("eval/prior_coverage_argmax_50k_a", config).ceiling, 4)
    0.9212
    """

    def defined(key: str, config: ConfigDict) -> Definition | None:
        items = PadicTree(3, config.data.get("n_digits", N_DIGITS))
        known = entries(items) | dict(own or {}) | coverage.prior_entry(key)
        figures = published if items.n == N_DIGITS else None
        return define(key, known, tree=items, published=figures)

    return defined
