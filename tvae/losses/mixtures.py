"""Objectives of contrastive and redundancy training as tables for ``config.objective``.

Mixtures, hand-overs from one loss to another and warm-ups are weights of terms, numbers or
schedules over epochs, and need no loss of their own::

    config.objective = MIXTURES["mixed"]

The domain offers the inputs that the rows name. Terms of one direction stand twice, with the
modalities exchanged.

==================  ===============================================================================
mixture             what it is
==================  ===============================================================================
mixed               cross-modal, joint and supervised losses of the reference system's
                    MixedMultimodalLoss
simple              the SimpleContrastiveLoss of its factory
vicreg              VICReg with the weights of its paper
vicreg_warm_up      its variance and covariance grow over five epochs, after the curriculum of the
                    VICRegLoss, whose factors stop at a half
hybrid              from contrast to VICReg between epochs 3 and 4 (HybridPretrainVICRegLoss); for a
                    change that a measure starts see :class:`tvae.losses.memory.Handover`
moco                keys of a teacher and a queue in both directions
byol                a teacher without negatives in both directions
heads               first of three stages: heads on frozen encoders
fusion              second stage: a queue, and a classifier of matched pairs
everything          third stage: hard negatives, and ties to the parameters at its start
==================  ===============================================================================
"""

from typing import Any

Rows = dict[str, dict[str, Any]]


def _ramp(start: float, end: float, *, begin: float, epochs: float) -> dict[str, Any]:
    """A linear schedule of a weight."""
    return {"schedule": "linear", "start": start, "end": end, "begin": begin, "epochs": epochs}


def _both_ways(term: str, weight: float, forth: dict[str, str], back: dict[str, str]) -> Rows:
    """A term of one direction and its opposite, half the weight each."""
    return {
        f"{term}_xy": {"term": term, "weight": weight / 2, "inputs": forth},
        f"{term}_yx": {"term": term, "weight": weight / 2, "inputs": back},
    }


_MOCO = _both_ways(
    "moco",
    1.0,
    {"x": "x", "y": "key_y", "queue": "queue_y"},
    {"x": "y", "y": "key_x", "queue": "queue_x"},
)

MIXTURES: dict[str, Rows] = {
    "mixed": {
        "clip": {"term": "clip", "weight": 0.4},
        "nt_xent": {"term": "nt_xent", "weight": 0.3},
        "supervised": {"term": "supervised_contrastive", "weight": 0.3},
    },
    "simple": {
        "clip": {"term": "clip", "weight": 1.0, "temperature": 0.1},
        "match_distance": {"term": "match_distance", "weight": 0.5},
        "decorrelation": {"term": "decorrelation", "weight": 0.2},
    },
    "vicreg": {
        "invariance": {"term": "vicreg_invariance", "weight": 25.0},
        "variance": {"term": "vicreg_variance", "weight": 25.0},
        "covariance": {"term": "vicreg_covariance", "weight": 1.0},
    },
    "vicreg_warm_up": {
        "invariance": {"term": "vicreg_invariance", "weight": 25.0},
        "variance": {
            "term": "vicreg_variance",
            "weight": _ramp(0.25, 25.0, begin=0.0, epochs=5.0),
        },
        "covariance": {
            "term": "vicreg_covariance",
            "weight": _ramp(0.01, 1.0, begin=0.0, epochs=5.0),
        },
    },
    "hybrid": {
        "clip": {"term": "clip", "weight": _ramp(1.0, 0.0, begin=3.0, epochs=1.0)},
        "invariance": {
            "term": "vicreg_invariance",
            "weight": _ramp(0.0, 25.0, begin=3.0, epochs=1.0),
        },
        "variance": {
            "term": "vicreg_variance",
            "weight": _ramp(0.0, 25.0, begin=3.0, epochs=1.0),
        },
        "covariance": {
            "term": "vicreg_covariance",
            "weight": _ramp(0.0, 1.0, begin=3.0, epochs=1.0),
        },
    },
    "moco": _MOCO,
    "byol": _both_ways(
        "byol",
        2.0,
        {"x": "prediction_x", "y": "teacher_y"},
        {"x": "prediction_y", "y": "teacher_x"},
    ),
    "heads": {
        "clip": {"term": "clip", "weight": 1.0},
        "decorrelation": {"term": "decorrelation", "weight": 0.25},
    },
    "fusion": _MOCO
    | {
        "decorrelation": {"term": "decorrelation", "weight": 0.25},
        "match": {
            "term": "binary_nll",
            "weight": 1.0,
            "inputs": {"prediction": "match_logit", "outcome": "match"},
        },
    },
    "everything": {
        "hard_negatives": {
            "term": "info_nce",
            "weight": 1.0,
            "mining": "semi_hard",
            "temperature": 0.05,
        },
        "consistency_x": {"term": "feature_consistency", "weight": 0.5},
        "consistency_y": {
            "term": "feature_consistency",
            "weight": 0.5,
            "inputs": {"x": "y", "reference": "reference_y"},
        },
        "decorrelation": {"term": "decorrelation", "weight": 0.1},
    },
}
"""Name -> rows of ``config.objective``; temperatures and weights are starting points."""
