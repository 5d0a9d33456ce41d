"""The rows of the table of metrics; :func:`tvae.metrics.definitions.definition` reads them.

Published figures are those of the original system's own files and reports: v5.12.4's checkpoint
``best_Q`` for encoders A and B, the README's headline for keys without a suffix, v5.5's reports for
the base.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from tvae.geometry.padic import N_DIGITS
from tvae.metrics import hierarchy, neighbourhood, tree
from tvae.metrics.embedding import N_NEIGHBOURS
from tvae.metrics.latent import HISTOGRAM_BINS

Better = Literal["higher", "lower", "neither"]

_NONE: Mapping[str, float] = {}


class Entry(NamedTuple):
    """A row of the table: a definition for all suffixes of a key.

    Attributes:
      text: one line.
      measured_on: what goes in.
      better: which way is an improvement.
      ceiling: ``n_digits -> value``, or None.
      published: suffix ("", "_a", "_b") -> the original's figure.
      note: what to know before a published figure, or the metric, is believed.
    """

    text: str
    measured_on: str
    better: Better
    ceiling: Callable[[int], float] | None = None
    published: Mapping[str, float] = _NONE
    note: str = ""


def _one(n_digits: int) -> float:
    del n_digits
    return 1.0


def _entropy_ceiling(n_digits: int) -> float:
    del n_digits
    return math.log(HISTOGRAM_BINS)


_MEANS = "posterior means of all operations"
_BALL = "points of the ball of all operations, from posterior means"
_PAIRS = "a stratified sample of 265,707 pairs of such points, the same in every run"
_MIXTURE = (
    "The README's headline joins three models: coverage of the frozen autoencoder, hierarchy of "
    "encoder B, richness of encoder A of another run."
)
_SAMPLED = "The original measures posterior samples; its standard deviation is "

_COVERAGE: dict[str, Entry] = {
    "eval/coverage_ball": Entry(
        "share of operations that the decoder reproduces from the point of the ball alone",
        _BALL,
        "higher",
        _one,
        note="The original never published it; its own weights reach 0.002 to 0.009.",
    ),
    "eval/coverage_ball_held_out": Entry(
        "share of operations held out of training that decode from the ball alone",
        "points of the ball of the held-out operations",
        "higher",
        _one,
    ),
    "eval/coverage_sampled": Entry(
        "share of operations reproduced from one posterior sample each",
        "one sample of the posterior of every operation",
        "higher",
        _one,
    ),
    "eval/coverage_mu": Entry(
        "share of operations that the decoder reproduces from the encoder's own mean",
        _MEANS,
        "higher",
        _one,
        {"_a": 1.0},
        "In v5.12 the frozen autoencoder's figure, past the ball: published there as the model's.",
    ),
    "eval/coverage_mu_train": Entry(
        "share of the training split that decodes from the own mean",
        "means of that split",
        "higher",
        _one,
    ),
    "eval/coverage_mu_val": Entry(
        "share of the validation split that decodes from the own mean",
        "means of that split",
        "higher",
        _one,
    ),
    "eval/coverage_mu_test": Entry(
        "share of the test split, never trained on, that decodes from the own mean",
        "means of that split",
        "higher",
        _one,
        note='The original\'s "holdout 100 %" draws from all operations, four in five trained on.',
    ),
    "eval/coverage_coupled": Entry(
        "share of operations reproduced by the forward pass that mixes both means by rho",
        _MEANS,
        "higher",
        _one,
        note="Each VAE can read the answer through the other's leak: compare coverage_mu.",
    ),
    "eval/worst_coverage": Entry(
        "smaller over both VAEs of reconstruction coverage times argmax prior coverage",
        "means and draws of the prior",
        "higher",
    ),
}

_BASE: dict[str, Entry] = {
    "eval/rho": Entry(
        "share of the other VAE's latent in the coupled pass",
        "state of training at its end; no parameter tells it",
        "neither",
    ),
    "eval/latent_entropy": Entry(
        "entropy of each latent dimension's histogram over [-3, 3], nats, mean of dimensions",
        _MEANS,
        "higher",
        _entropy_ceiling,
    ),
    "eval/kl": Entry("KL divergence from the standard normal prior, nats", _MEANS, "neither"),
    "eval/kl_per_dimension": Entry(
        "KL divergence from the prior by latent dimension: a vector, nats", _MEANS, "neither"
    ),
    "eval/active_dimensions": Entry(
        "latent dimensions whose mean has a variance above 0.01",
        _MEANS,
        "higher",
        published={"_a": 16.0, "_b": 16.0},
        note="At most latent_dim.",
    ),
}

_EMBEDDING: dict[str, Entry] = {
    "eval/curvature": Entry("curvature magnitude c of the ball", "the projection", "neither"),
    "eval/hierarchy": Entry(
        "Spearman correlation of valuation and hyperbolic radius",
        _BALL,
        "lower",
        lambda n: hierarchy.hierarchy_ceiling(n_digits=n),
        {"": -0.8321, "_a": -0.6078, "_b": -0.8169},
        "Level 0 apart from the rest gives -0.801. Ties in the radius raise the ceiling to -1. "
        + _MIXTURE,
    ),
    "eval/richness": Entry(
        "mean over levels of the variance of hyperbolic radius inside a level",
        _BALL,
        "higher",
        published={"": 0.00787, "_a": 0.02556, "_b": 0.00315},
        note="Published quick figures use Euclidean norms, four to five times smaller. " + _MIXTURE,
    ),
    "eval/dist_corr_quick": Entry(
        "Spearman correlation of |r_i - r_j| (Euclidean norms) and |v_i - v_j|",
        _PAIRS,
        "higher",
        lambda n: tree.dist_corr_quick_ceiling(n_digits=n),
        {"_b": 0.738},
        "Radii once more, no distance of points. " + _SAMPLED + "0.01.",
    ),
    "eval/dist_corr_comprehensive": Entry(
        "Spearman correlation of the Euclidean distance in the ball and |v_i - v_j|",
        _PAIRS,
        "higher",
        lambda n: tree.dist_corr_quick_ceiling(n_digits=n),
        {"_a": -0.126, "_b": 0.364},
        "|v_i - v_j| is no 3-adic distance: an embedding of the tree does not reach this ceiling.",
    ),
    "eval/q_quick": Entry(
        "dist_corr_quick + 1.5 |hierarchy|",
        _PAIRS,
        "higher",
        lambda n: tree.q_ceiling(n_digits=n),
        {"_b": 1.96},
        "An inverted hierarchy scores as well. " + _SAMPLED + "0.011.",
    ),
    "eval/q_comprehensive": Entry(
        "dist_corr_comprehensive + 1.5 |hierarchy|",
        _PAIRS,
        "higher",
        lambda n: tree.q_ceiling(n_digits=n),
        {"_a": 0.786, "_b": 1.59},
        "Of the same checkpoint as the 1.96 of q_quick, under the same name Q.",
    ),
    "eval/tree_fidelity": Entry(
        "Spearman correlation of hyperbolic pair distance and 3-adic distance: the tree itself",
        _PAIRS,
        "higher",
        lambda n: tree.tree_fidelity_ceiling(n_digits=n),
    ),
    "eval/hamming_correlation": Entry(
        "Spearman correlation of hyperbolic pair distance and Hamming distance of the tables",
        _PAIRS,
        "neither",
        lambda n: tree.hamming_correlation_ceiling(n_digits=n),
        note="Tree and Hamming cube are different spaces: no embedding reaches both ceilings.",
    ),
    "eval/triplet_concordance": Entry(
        "share of triplets whose anchor is nearer to the 3-adically nearer of the two others",
        "5,000 triplets of such points",
        "higher",
        _one,
        note="Chance is 1/2.",
    ),
    "eval/ultrametric_compliance": Entry(
        "share of triangles whose two longest sides agree within a tenth",
        "5,000 triangles of such points",
        "higher",
        _one,
        note="Random points in many dimensions score high too: read with triplet_concordance.",
    ),
    "eval/neighbour_valuation_consistency": Entry(
        "share of the ten nearest neighbours that have the valuation of their query",
        "256 queries against all points",
        "higher",
        lambda n: neighbourhood.neighbour_valuation_consistency_ceiling(N_NEIGHBOURS, n_digits=n),
        note="Chance is about 1/2. The ceiling is that of all points: a sample may pass it.",
    ),
    "eval/intrinsic_dimension": Entry(
        "dimension estimated from the two nearest neighbours",
        "256 queries against all points",
        "neither",
        note="Standard error about 6 % of the value; 0 where all points coincide with another.",
    ),
    "eval/score": Entry(
        "coverage_ball * hierarchy * tree_fidelity, each over its ceiling", _BALL, "higher", _one
    ),
}

_PUBLISHED_RADII = {0: {"_a": 1.235, "_b": 0.968}, 9: {"_a": 0.197, "_b": 0.086}}

_RADII: dict[str, Entry] = {
    f"eval/radius_v{level}": Entry(
        f"mean hyperbolic radius of the operations of valuation {level}",
        _BALL,
        "neither",
        published=_PUBLISHED_RADII.get(level, _NONE),
        note=_SAMPLED + "0.09 for A (one point)." if level == N_DIGITS else "",
    )
    for level in range(N_DIGITS + 1)
}

_VALIDATION = "means of the validation split, coupled; needs the state of training"

_TRAINING: dict[str, Entry] = {
    "val/loss": Entry("weighted sum of the terms that are trained on", _VALIDATION, "lower"),
    "val/cross_entropy": Entry("cross-entropy, nats per operation", _VALIDATION, "lower"),
    "val/kl": Entry("KL divergence with free bits, nats", _VALIDATION, "neither"),
    "val/output_entropy": Entry("entropy of the decoder's digits, nats", _VALIDATION, "neither"),
    "val/repulsion": Entry("mean kernel of pairs of latents", _VALIDATION, "neither"),
    "val/entropy_alignment": Entry(
        "difference of both VAEs' histogram entropies, nats", _VALIDATION, "lower"
    ),
    "train/epochs": Entry("epochs trained", "the run", "neither"),
    "train/best_epoch": Entry("epoch of the best early-stop metric", "the run", "neither"),
}

_POSTERIORS = "posteriors of all operations, in units of the prior"
_FLAT = "In the ball of v6 that of the tangent Gaussians, which neglects its curvature."

_LATENT: dict[str, Entry] = {
    "latent/kl": Entry("KL divergence from the prior, nats", _POSTERIORS, "neither", note=_FLAT),
    "latent/kl_per_dimension": Entry(
        "the same by latent dimension: a vector, nats", _POSTERIORS, "neither", note=_FLAT
    ),
    "latent/informed_dimensions": Entry(
        "latent dimensions with a KL above 0.01 nats: the others have collapsed",
        _POSTERIORS,
        "higher",
        note="At most latent_dim; nine digits need no more than nine.",
    ),
    "latent/active_dimensions": Entry(
        "latent dimensions whose mean has a variance above 0.01",
        _POSTERIORS,
        "higher",
        note="At most latent_dim.",
    ),
    "latent/entropy": Entry(
        "entropy of each latent dimension's histogram over [-3, 3], nats, mean of dimensions",
        _POSTERIORS,
        "higher",
        _entropy_ceiling,
    ),
}

TABLE: dict[str, Entry] = _COVERAGE | _BASE | _EMBEDDING | _RADII | _LATENT | _TRAINING
"""Key without the suffixes ``_a`` and ``_b`` -> entry; prior coverages are made by rule."""
