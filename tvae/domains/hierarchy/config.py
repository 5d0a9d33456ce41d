"""Fields of the domain ``hierarchy``: a table of points, one for each item of the user's own."""

from typing import Any

from ml_collections import ConfigDict

from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.errors import UserError
from tvae.fields import Check, Field, above, at_least, one_of, text, within

FORMATS = (
    "auto", "edges", "lineage", "newick", "distances", "wordnet", "obo", "icd10cm", "ncbi",
    "stored", "table",
)  # fmt: skip
"""How ``data.edges`` is read; "auto" decides by the name of the file, "table" is one in memory."""

# fmt: off
FIELDS: dict[str, Field] = {
    "data.edges": Field("", text("a file or folder; see data.format"),
        "the hierarchy, such as a CSV file of child and parent; '' is a made tree of 40 items"),
    "data.format": Field("auto", one_of(*FORMATS),
        "format of data.edges; auto decides by the file's name"),
    "data.features": Field("", text("a CSV, TSV or Parquet file, or ''"),
        "features of the items, by name; '' for those of data.edges alone"),
    "data.root": Field("", text("a name of an item, or ''"),
        "item whose subtree is embedded; '' for the whole hierarchy"),
    "data.positives": Field("closure", one_of("closure", "edges"),
        "ancestors that are learnt: all, or those of data.edges and data.pairs only"),
    "data.pairs": Field("", text("a file of child and parent, or ''"),
        "further pairs of item and ancestor that are learnt beside the edges"),
    "data.negatives": Field("unrelated", one_of("unrelated", "unlearnt"),
        "items that are to be far: all but ancestors by any path, or all but learnt ones"),
    "data.block": Field(512, at_least(1),
        "consecutive items in preorder that are queries and negatives of each other"),
    "data.blocks": Field(1, at_least(1), "blocks of a step; a step moves the points that it reads"),
    "data.top": Field(192, at_least(0), "items with the largest subtrees, negatives in every step"),
    "data.random": Field(384, at_least(0),
        "negatives drawn from all items in every step, which stand for the rest"),
    "data.ancestors": Field(64, at_least(1),
        "ancestors of an item that enter a step at most; of more, a fixed random choice"),
    "model.geometry": Field("lorentz", one_of(*GEOMETRIES), "space of the points"),
    "model.latent_dim": Field(10, at_least(2), "dimension of the space"),
    "model.curvature": Field(1.0, within(1e-4, 1e4),
        "curvature magnitude c, or where its learning starts", traced=True),
    "model.learn_curvature": Field(False, Check(kind=bool),
        "whether log c is a parameter; of the curved geometries"),
    "model.max_radius": Field(12.0, within(1.0, 14.0),
        "largest hyperbolic radius of a point, in units of 1/sqrt(c): where float32 ends"),
    "model.start": Field("walk", one_of("walk", "radial", "random"),
        "walk: each point near its parent's; radial: distances near those of the tree; random: all "
        "points near the origin"),
    "model.start_step": Field(0.3, above(0.0),
        "length of a step of the walk or of an edge, or scale of the random start", traced=True),
    "loss.temperature": Field(0.5, within(0.01, 100.0),
        "distance by which a factor e in odds is won, at the first step", traced=True),
    "loss.temperature_end": Field(0.25, within(0.01, 100.0),
        "the same at the last step; in between geometric", traced=True),
    "evaluation.queries": Field(500, at_least(1),
        "items whose ancestors are ranked in a periodic evaluation"),
    "evaluation.pairs": Field("", text("a file of child, parent and label, or ''"),
        "labelled pairs: half of them choose how pairs are scored, the others measure F1"),
    "evaluation.exact_up_to": Field(100_000, at_least(1),
        "items up to which the final evaluation ranks the ancestors of all; more are sampled"),
}
# fmt: on

DEFAULTS: dict[str, Any] = {
    "epochs": 200,
    "log_every_epochs": 10,
    "evaluation.every_epochs": 50,
    "checkpoint.every_epochs": 50,
    "early_stop.metric": "eval/map",
    "early_stop.mode": "max",
    "early_stop.patience_epochs": 0,
    "early_stop.plateau.metric": "eval/map",
    "early_stop.drop.metric": "eval/map",
    "optimizer.kind": "riemannian_adam",
    "optimizer.weight_decay": 0.0,
    "optimizer.b2": 0.99,
    # Derivatives across the radius grow with e^r; each row has a moment of its own anyway.
    "optimizer.grad_clip": 1e12,
    "learning_rate.kind": "cosine",
    "learning_rate.peak": 0.1,
}
"""Defaults of shared fields that differ from those of :mod:`tvae.engine.config`."""

TINY: dict[str, Any] = {
    "data.edges": "",
    "data.format": "auto",
    "data.root": "",
    "data.features": "",
    "data.pairs": "",
    "evaluation.pairs": "",
    "data.block": 16,
    "data.top": 4,
    "data.random": 4,
    "model.latent_dim": 2,
    "evaluation.queries": 20,
}
"""Sizes that compile in seconds, for tests."""


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    if config.data.pairs and config.data.positives == "closure":
        raise UserError(
            "config.data.pairs: all ancestors are learnt already; expected data.positives = 'edges'"
        )
    if config.optimizer.weight_decay:
        raise UserError(
            "config.optimizer.weight_decay: expected 0 for points of a table, got "
            f"{config.optimizer.weight_decay}"
        )
    if config.model.learn_curvature and config.model.geometry == "euclidean":
        raise UserError("config.model.learn_curvature: the Euclidean space has no curvature")
