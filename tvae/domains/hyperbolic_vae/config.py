"""Fields of the hyperbolic VAE (v6): one embedding in the Poincaré ball that decodes by itself."""

import math

from ml_collections import ConfigDict

from tvae.errors import UserError
from tvae.fields import SEED, SHARE, WIDTHS, Check, above, at_least, refuse_riemannian, within
from tvae.geometry import padic as ternary


def _is_power_of_3(value: int) -> bool:
    return value in [3**k for k in range(ternary.N_DIGITS + 1)]


POWER_OF_3 = Check(_is_power_of_3, f"a power of 3 up to {ternary.count()}")


def add_fields(config: ConfigDict) -> None:
    """Add the task's fields, with the values of the v6 recipe."""
    config.early_stop.metric = "eval/score"
    config.early_stop.mode = "max"
    config.early_stop.plateau.metric = "eval/score"
    config.early_stop.drop.metric = "eval/tree_fidelity"

    config.data = data = ConfigDict()
    data.block = 243  # operations of a step from the affine walk, a power of 3
    data.roots = 81  # operations of highest valuation added to every step, a power of 3
    data.anchors = 27  # operations of a block that are paired with all of it
    data.even_share = 0.25  # share of the weight spread evenly over the levels, the rest by size
    data.held_out_share = 0.0  # share of operations without any weight, to measure generalisation
    data.split_seed = 42  # of the operations held out, the same for runs with other seeds

    config.model = model = ConfigDict()
    model.latent_dim = 16  # dimension of the ball
    model.encoder_widths = (256, 128, 64)  # hidden widths of the encoder
    model.decoder_widths = (32, 64)  # hidden widths of the decoder
    model.decoder_scale = 3.0  # factor on log_0 of a point before the decoder
    model.projection_width = 64  # hidden width of the direction net; radius net: max(32, half)
    model.projection_layers = 2  # hidden layers of direction and radius nets
    model.max_norm = 0.95  # largest Euclidean norm of an embedded operation
    model.logvar_start = -4.0  # posterior log-variance at the start; -4: 0.14 hyperbolic length
    model.logvar_min = -10.0  # lower clamp of the posterior log-variance
    model.logvar_max = -2.0  # upper clamp; -2: 0.37, wider samples never come near the embedding
    model.prior_scale = 0.8  # standard deviation of the prior per direction, hyperbolic length

    config.radius = radius = ConfigDict()
    radius.outer = 3.56  # upper end of level 0's band, hyperbolic length
    radius.inner = 0.05  # upper end of level 9's band (index 0 alone), hyperbolic length
    radius.gap = 0.7  # share of a half band left empty around its middle: spread inside a level
    radius.margin = 0.05  # share of a half band left empty at its ends; negative: levels overlap

    config.tree = tree = ConfigDict()
    tree.outer = 3.7  # pairs that differ in the first digit lie further apart, hyperbolic length
    tree.ratio = 0.7  # each further digit that a pair shares contracts the edge by this factor
    tree.margin = 0.05  # length left empty on both sides of an edge, hyperbolic length

    config.chord = chord = ConfigDict()
    chord.same = 0.8  # pairs of one level lie nearer than this, others further, Euclidean length
    chord.far = 1.4  # pairs two or more levels apart lie further, Euclidean length
    chord.margin = 0.05  # length left empty on both sides of an edge, Euclidean length

    config.weights = weights = ConfigDict()
    weights.reconstruction = 1.0  # of the cross-entropy of an operation, per nat
    weights.kl = 0.003  # of the KL to the wrapped normal prior, per nat
    weights.radius = 100.0  # of the radii's intervals, per squared hyperbolic length
    weights.tree = 30.0  # of the tree's intervals, per squared hyperbolic length
    weights.chord = 10.0  # of the chords' intervals, per squared Euclidean length


CHECKS: dict[str, Check] = {
    "data.block": POWER_OF_3,
    "data.roots": POWER_OF_3,
    "data.anchors": at_least(1),
    "data.even_share": SHARE,
    "data.held_out_share": within(0.0, 0.9),
    "data.split_seed": SEED,
    "model.latent_dim": at_least(2),
    "model.encoder_widths": WIDTHS,
    "model.decoder_widths": WIDTHS,
    "model.decoder_scale": above(0.0),
    "model.projection_width": at_least(1),
    "model.projection_layers": at_least(1),
    "model.max_norm": within(0.01, 0.995),
    "model.logvar_start": within(-20.0, 4.0),
    "model.logvar_min": within(-20.0, 4.0),
    "model.logvar_max": within(-20.0, 4.0),
    "model.prior_scale": above(0.0),
    "radius.outer": above(0.0),
    "radius.inner": above(0.0),
    "radius.gap": at_least(0.0),
    "radius.margin": within(-1.0, 1.0),
    "tree.outer": above(0.0),
    "tree.ratio": within(0.01, 0.99),
    "tree.margin": at_least(0.0),
    "chord.same": above(0.0),
    "chord.far": within(0.0, 2.0),
    "chord.margin": at_least(0.0),
    "weights.reconstruction": at_least(0.0),
    "weights.kl": at_least(0.0),
    "weights.radius": at_least(0.0),
    "weights.tree": at_least(0.0),
    "weights.chord": at_least(0.0),
}


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
