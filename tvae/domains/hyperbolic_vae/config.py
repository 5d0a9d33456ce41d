"""Fields of the hyperbolic VAE (v6): one embedding in the Poincaré ball that decodes by itself."""

import math
from typing import Any

from ml_collections import ConfigDict

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
        "share of the weight spread evenly over the levels; the rest goes by their size"),
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
    "radius.outer": Field(3.56, above(0.0), "upper end of level 0's band, hyperbolic length"),
    "radius.inner": Field(0.05, above(0.0),
        "upper end of level 9's band (index 0 alone), hyperbolic length"),
    "radius.gap": Field(0.7, at_least(0.0),
        "share of a half band left empty around its middle: spread inside a level"),
    "radius.margin": Field(0.05, within(-1.0, 1.0),
        "share of a half band left empty at its ends; negative: levels overlap"),
    "tree.outer": Field(3.7, above(0.0),
        "pairs that differ in the first digit lie further apart, hyperbolic length"),
    "tree.ratio": Field(0.7, within(0.01, 0.99),
        "factor on the edge for each further digit that a pair shares"),
    "tree.margin": Field(0.05, at_least(0.0),
        "length left empty on both sides of an edge, hyperbolic length"),
    "chord.same": Field(0.8, above(0.0),
        "pairs of one level lie nearer than this, others further, Euclidean length"),
    "chord.far": Field(1.4, within(0.0, 2.0),
        "pairs two or more levels apart lie further, Euclidean length"),
    "chord.margin": Field(0.05, at_least(0.0),
        "length left empty on both sides of an edge, Euclidean length"),
    "weights.reconstruction": Field(1.0, at_least(0.0),
        "weight of the cross-entropy of an operation, per nat", traced=True),
    "weights.kl": Field(0.003, at_least(0.0),
        "weight of the KL to the wrapped normal prior, per nat", traced=True),
    "weights.radius": Field(100.0, at_least(0.0),
        "weight of the radii's intervals, per squared hyperbolic length", traced=True),
    "weights.tree": Field(30.0, at_least(0.0),
        "weight of the tree's intervals, per squared hyperbolic length", traced=True),
    "weights.chord": Field(10.0, at_least(0.0),
        "weight of the chords' intervals, per squared Euclidean length", traced=True),
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
    data, model, radius, chord = config.data, config.model, config.radius, config.chord
    farthest = 2.0 * math.atanh(model.max_norm)
    in_order = {
        "data.anchors": (data.anchors, data.block, "data.block"),
        "model.logvar_min": (model.logvar_min, model.logvar_max, "model.logvar_max"),
        "radius.inner": (radius.inner, radius.outer, "radius.outer"),
        "radius.outer": (radius.outer, farthest, "2 artanh(model.max_norm)"),
        "radius.gap": (radius.gap, 1.0 - radius.margin, "1 - radius.margin"),
        "chord.same": (chord.same + chord.margin, chord.far - chord.margin, "chord.far"),
    }
    for path, (low, high, bound) in in_order.items():
        if low > high:
            raise UserError(
                f"config.{path}: expected at most {bound}, margins included: {low:g} > {high:g}"
            )
    if data.block < 9:
        raise UserError(f"config.data.block: expected at least 9, got {data.block}")
