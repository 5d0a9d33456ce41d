"""Fields of the hyperbolic VAE (v6): one embedding in the Poincaré ball that decodes by itself."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from tvae.domains.hyperbolic_vae.terms import OBJECTIVE
from tvae.domains.objective import complete
from tvae.engine.config import refuse_riemannian
from tvae.errors import UserError
from tvae.fields import SEED, SHARE, WIDTHS, Field, above, at_least, one_of, within
from tvae.geometry import padic

POWER_OF_3 = one_of(
    *(3**k for k in range(padic.N_DIGITS + 1)), words=f"a power of 3 up to {padic.count()}"
)

# A table, one or two lines a field; the defaults are those of v6. The intervals of radius, tree and
# chord are not traced: they enter programs as tables that NumPy makes in float64.
# fmt: off
FIELDS: dict[str, Field] = {
    "data.block": Field(243, POWER_OF_3, "operations of a step from the affine walk"),
    "data.roots": Field(81, POWER_OF_3, "operations of highest valuation added to every step"),
    "data.anchors": Field(27, at_least(1), "operations of a block that are paired with all of it"),
    "data.even_share": Field(0.25, SHARE,
        "share of the weight spread evenly over the levels; the rest goes by their size",
        traced=True),
    "data.held_out_share": Field(0.0, within(0.0, 0.9),
        "share of operations without any weight, to measure generalisation"),
    "data.split_seed": Field(42, SEED,
        "seed of the held-out share, the same for runs with other seeds"),
    "model.latent_dim": Field(16, at_least(2), "dimension of the ball"),
    "model.encoder_widths": Field((256, 128, 64), WIDTHS, "hidden widths of the encoder"),
    "model.decoder_widths": Field((32, 64), WIDTHS, "hidden widths of the decoder"),
    "model.decoder_scale": Field(3.0, above(0.0),
        "factor on log_0 of a point before the decoder", traced=True),
    "model.projection_width": Field(64, at_least(1),
        "hidden width of the direction net; the radius net has half of it, at least 32"),
    "model.projection_layers": Field(2, at_least(1), "hidden layers of direction and radius nets"),
    "model.max_norm": Field(0.95, within(0.01, 0.995),
        "largest Euclidean norm of an embedded operation", traced=True),
    "model.logvar_start": Field(-4.0, within(-20.0, 4.0),
        "posterior log-variance at the start; -4 is a deviation of 0.14 hyperbolic length",
        traced=True),
    "model.logvar_min": Field(-10.0, within(-20.0, 4.0),
        "lower clamp of the posterior log-variance", traced=True),
    # Wider samples never come near the embedding.
    "model.logvar_max": Field(-2.0, within(-20.0, 4.0),
        "upper clamp of it; -2 is a deviation of 0.37 hyperbolic length", traced=True),
    "model.prior_scale": Field(0.8, above(0.0),
        "standard deviation of the prior per direction, hyperbolic length", traced=True),
}
# fmt: on

DEFAULTS: dict[str, Any] = {
    "early_stop.metric": "eval/score",
    "early_stop.mode": "max",
    "early_stop.plateau.metric": "eval/score",
    "early_stop.drop.metric": "eval/tree_fidelity",
}
"""Defaults of shared fields that differ from those of :mod:`tvae.engine.config`."""

TINY: dict[str, Any] = {
    "data.block": 9,
    "data.roots": 3,
    "data.anchors": 3,
    "model.latent_dim": 2,
    "model.encoder_widths": (8,),
    "model.decoder_widths": (8,),
    "model.projection_width": 8,
    "model.projection_layers": 1,
}
"""Sizes that compile in seconds, for tests."""


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    refuse_riemannian(config)
    data, model = config.data, config.model
    in_order = {
        "data.anchors": (data.anchors, data.block, "data.block"),
        "model.logvar_min": (model.logvar_min, model.logvar_max, "model.logvar_max"),
    }
    farthest = 2.0 * math.atanh(model.max_norm)
    for name, row in config.objective.to_dict().items():
        in_order |= _order_of_options(f"objective.{name}", row, farthest)
    for path, (low, high, bound) in in_order.items():
        if low > high:
            raise UserError(
                f"config.{path}: expected at most {bound}, margins included: {low:g} > {high:g}"
            )
    if data.block < 9:
        raise UserError(f"config.data.block: expected at least 9, got {data.block}")


def _order_of_options(
    path: str, row: Mapping[str, Any], farthest: float
) -> dict[str, tuple[float, float, str]]:
    """Options of a row that must not exceed others: path -> (value, bound, name of the bound)."""
    if row["term"] == "radius_intervals":
        row = complete({path: row})[path]
        return {
            f"{path}.inner": (row["inner"], row["outer"], f"{path}.outer"),
            f"{path}.outer": (row["outer"], farthest, "2 artanh(model.max_norm)"),
            f"{path}.gap": (row["gap"], 1.0 - row["margin"], f"1 - {path}.margin"),
        }
    if row["term"] == "chord_intervals":
        row = complete({path: row})[path]
        low, high = row["same"] + row["margin"], row["far"] - row["margin"]
        return {f"{path}.same": (low, high, f"{path}.far")}
    return {}


def migrate(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration of before ``config.objective``, with its terms in that table."""
    if "objective" in stored:
        return dict(stored)
    kept = {k: v for k, v in stored.items() if k not in ("weights", "radius", "tree", "chord")}
    rows = {
        name: dict(row) | dict(stored.get(name, {})) | {"weight": stored["weights"][name]}
        for name, row in OBJECTIVE.items()
        if stored.get("weights", {}).get(name, 0.0) > 0.0
    }
    return kept | {"objective": rows}
