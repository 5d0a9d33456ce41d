"""Fields of the domain ``hierarchy_vae``: an encoder to a space, and a decoder to paths."""

from typing import Any

from ml_collections import ConfigDict

from tvae.domains.hierarchy.config import FIELDS as OF_TABLE
from tvae.engine.config import refuse_riemannian
from tvae.errors import UserError
from tvae.fields import BOOLEAN, SEED, SHARE, WIDTHS, Field, above, at_least, one_of, within

_SHARED = (
    "data.edges", "data.format", "data.features", "data.root", "model.geometry",
    "evaluation.queries", "evaluation.exact_up_to",
)  # fmt: skip
"""Fields that mean the same for a table."""

# fmt: off
FIELDS: dict[str, Field] = {path: OF_TABLE[path] for path in _SHARED} | {
    "evaluation.distances": Field(True, BOOLEAN,
        "whether the final evaluation measures ranks and distances of all items, as of a table"),
    "data.block": Field(32, at_least(1), "consecutive seen items in preorder that share a batch"),
    "data.blocks": Field(16, at_least(1), "blocks of a batch"),
    "data.anchors": Field(64, at_least(1),
        "items of a batch whose distances to all others enter the terms"),
    "data.new_siblings": Field(0.5, SHARE,
        "share of these whose own digits are replaced by random ones, where paths are the inputs: "
        "a new child belongs beside its siblings", traced=True),
    "data.held_out_share": Field(0.0, within(0.0, 0.9),
        "share of the leaves, or of the subtrees of a level, that training does not see"),
    "data.held_out_level": Field(0, at_least(0),
        "level of the roots of held-out subtrees; 0: single leaves"),
    "data.split_seed": Field(42, SEED,
        "seed of the held-out share, the same for runs with other seeds"),
    "data.buckets": Field(2**15, within(1, 2**22), "different tokens of features after hashing"),
    "data.tokens": Field(96, within(1, 4096), "tokens of an item at most"),
    "model.inputs": Field("path", one_of("path", "features"),
        "what the encoder reads: digits of the path, or features of the item"),
    "model.latent_dim": Field(16, at_least(2), "dimension of the space"),
    "model.curvature": Field(1.0, within(1e-4, 1e4),
        "curvature magnitude c; of Euclidean space 1/c is the squared unit of length",
        traced=True),
    # The decoder reads logarithms at the origin, in which siblings lie e^-r apart.
    "model.max_radius": Field(5.0, within(1.0, 14.0),
        "largest hyperbolic radius of a point, in units of 1/sqrt(c)"),
    "model.bag_width": Field(128, at_least(1), "width of the vectors of tokens"),
    "model.token_dropout": Field(0.3, within(0.0, 0.95),
        "share of an item's tokens left out in training", traced=True),
    "model.encoder_widths": Field((256, 256), WIDTHS, "hidden widths of the encoder"),
    "model.decoder_widths": Field((256, 256), WIDTHS, "hidden widths of the decoder"),
    "model.lineage_levels": Field(0, at_least(0),
        "levels below the root on which a softmax predicts the ancestor; 0: digits alone"),
    "model.direct": Field(False, BOOLEAN,
        "whether ancestors are predicted from the encoder's inputs too, past the space"),
    "model.linear_rate": Field(5.0, above(0.0),
        "factor on the learning rate of the vectors of tokens and of the direct map: each sees few "
        "items", traced=True),
    "loss.temperature": Field(0.2, within(0.01, 100.0),
        "distance by which siblings win a factor e in odds against other items", traced=True),
    "model.logvar_start": Field(-4.0, within(-20.0, 4.0),
        "posterior log-variance at the start; -4 is a deviation of 0.14 of the unit of length",
        traced=True),
    "model.logvar_min": Field(-10.0, within(-20.0, 4.0),
        "lower clamp of the posterior log-variance", traced=True),
    "model.logvar_max": Field(-1.0, within(-20.0, 4.0), "upper clamp of it", traced=True),
    "model.prior_scale": Field(2.0, above(0.0),
        "standard deviation of the prior per direction, in units of length", traced=True),
}
# fmt: on

DEFAULTS: dict[str, Any] = {
    "epochs": 60,
    "log_every_epochs": 5,
    "evaluation.every_epochs": 20,
    "checkpoint.every_epochs": 20,
    "early_stop.metric": "eval/decoded",
    "early_stop.mode": "max",
    "early_stop.patience_epochs": 0,
    "early_stop.plateau.metric": "eval/decoded",
    "early_stop.drop.metric": "eval/decoded",
    "optimizer.weight_decay": 0.0,
    "optimizer.b2": 0.99,
    "learning_rate.kind": "cosine",
    "learning_rate.peak": 3e-3,
}
"""Defaults of shared fields that differ from those of :mod:`tvae.engine.config`."""

TINY: dict[str, Any] = {
    "data.edges": "",
    "data.format": "auto",
    "data.root": "",
    "data.features": "",
    "data.held_out_level": 0,
    "data.block": 8,
    "data.blocks": 2,
    "data.anchors": 4,
    "data.buckets": 32,
    "data.tokens": 8,
    "model.inputs": "path",
    "model.latent_dim": 2,
    "model.bag_width": 8,
    "model.encoder_widths": (8,),
    "model.decoder_widths": (8,),
    "evaluation.queries": 20,
}
"""Sizes that compile in seconds, for tests."""


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    refuse_riemannian(config)
    model = config.model
    if model.logvar_min > model.logvar_max:
        raise UserError(
            f"config.model.logvar_min: expected at most model.logvar_max = {model.logvar_max:g}, "
            f"got {model.logvar_min:g}"
        )
    if model.direct and not model.lineage_levels:
        raise UserError("config.model.direct: needs model.lineage_levels above 0, got 0")
    if config.data.anchors > config.data.block * config.data.blocks:
        raise UserError(
            f"config.data.anchors: expected at most data.block times data.blocks = "
            f"{config.data.block * config.data.blocks}, got {config.data.anchors}"
        )
