"""Fields of the VAE that projects into the Poincaré ball (v5.11 to v5.12.4)."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from tvae.domains.objective import Rows
from tvae.domains.operations.sampling import stratified_counts
from tvae.domains.projected_vae.terms import OBJECTIVE
from tvae.engine.config import refuse_riemannian
from tvae.errors import UserError
from tvae.fields import BOOLEAN, SHARE, WIDTHS, Field, above, at_least, one_of, text, within
from tvae.geometry import padic

# When a group learns: never, in the first tuning_epochs, as homeostasis decides, always.
LEARNING = one_of("frozen", "tuned", "gated", "trained")
DROPOUT = within(0.0, 0.9)

# A table, one or two lines a field; the defaults are those of the published v5.12.4 run.
# fmt: off
FIELDS: dict[str, Field] = {
    "base_checkpoint": Field("checkpoints/v5_5", text("a folder, or ''"),
        "folder of v5.5 parameters that the encoders and decoder A start from: one that ships, "
        "or converted from PyTorch; '' = random initialisation"),
    "data.batch_size": Field(512, at_least(16), "operations per step, drawn with replacement"),
    "data.high_valuation_share": Field(0.25, SHARE,
        "share of a batch for the levels of valuation 4 to 9"),
    "evaluation.sampled": Field(False, BOOLEAN,
        "measure posterior samples, as the reference system does, instead of the means"),

    "model.latent_dim": Field(16, at_least(1),
        "dimension of each encoder's latent space, and of the ball"),
    "model.encoder": Field("plain", one_of("plain", "improved"),
        "plain: ReLU (v5.5); improved: layer norm and SiLU"),
    "model.encoder_widths": Field((256, 128, 64), WIDTHS, "hidden widths of both encoders"),
    "model.encoder_dropout": Field(0.0, DROPOUT,
        "dropout rate behind hidden layers while the encoder learns"),
    "model.logvar_min": Field(-10.0, within(-30.0, 10.0),
        "improved encoders: lower clamp of the log-variance", traced=True),
    "model.logvar_max": Field(2.0, within(-30.0, 10.0),
        "improved encoders: upper clamp of the log-variance", traced=True),
    "model.decoder": Field("plain", one_of("plain", "improved"),
        "plain: ReLU (v5.5); improved: layer norm and SiLU"),
    "model.decoder_widths": Field((32, 64), WIDTHS, "hidden widths of the decoder"),
    "model.decoder_dropout": Field(0.0, DROPOUT,
        "dropout rate behind hidden layers while the decoder learns"),
    "model.decode": Field("ball", one_of("ball", "latent"),
        "input of the decoder; ball: log_0(z_hyp) (v5.12); latent: the latents (v5.11)"),
    "model.projection": Field("dual", one_of("single", "dual", "shared_direction"),
        "single: one for both encoders; dual: one each; shared_direction: dual with one "
        "direction net"),
    "model.projection_width": Field(64, at_least(1), "hidden width of the direction nets"),
    "model.projection_layers": Field(2, at_least(1), "hidden layers of direction and radius nets"),
    "model.projection_dropout": Field(0.1, DROPOUT,
        "dropout rate behind the projections' hidden layers"),
    "model.max_norm": Field(0.95, within(0.01, 0.999),
        "largest Euclidean norm, in units of the ball's radius", traced=True),
    "model.curvature": Field(1.0, within(0.01, 100.0),
        "curvature magnitude c of the ball (at the start, where learnable)", traced=True),
    "model.learnable_curvature": Field(False, BOOLEAN, "make c a parameter of each projection"),
    "model.translated": Field(False, BOOLEAN,
        "translate each ball by a learned point, which riemannian_adam moves"),
    "model.controller": Field(False, BOOLEAN,
        "let a controller set tau and the radial weight from batch statistics"),
    "model.posterior_noise": Field(1.0, at_least(0.0),
        "factor on the posterior's deviation in training; 0 = means", traced=True),

    "groups.encoder_a": Field("gated", LEARNING,
        "when encoder A learns; frozen: never; tuned: in the first tuning_epochs; gated: then, "
        "and later as homeostasis decides; trained: always"),
    "groups.encoder_b": Field("gated", LEARNING,
        "when encoder B learns, likewise; gated: as homeostasis decides"),
    "groups.decoder": Field("frozen", one_of("frozen", "tuned", "trained"),
        "when the decoder learns, likewise"),
    "groups.controller": Field("gated", one_of("frozen", "gated", "trained"),
        "when the controller learns, likewise"),
    "groups.tuning_epochs": Field(0, at_least(0),
        "epochs in which tuned groups, and encoder A if gated, learn", traced=True),
    "groups.encoder_a_rate": Field(0.05, above(0.0),
        "factor on encoder A's learning rate", traced=True),
    "groups.encoder_b_rate": Field(0.1, above(0.0),
        "factor on encoder B's learning rate", traced=True),
    "groups.decoder_rate": Field(1.0, above(0.0),
        "factor on the decoder's learning rate", traced=True),
    "groups.projection_a_rate": Field(1.0, above(0.0),
        "factor on projection A's learning rate", traced=True),
    "groups.projection_b_rate": Field(1.0, above(0.0),
        "factor on projection B's learning rate", traced=True),
    "groups.controller_rate": Field(1.0, above(0.0),
        "factor on the controller's learning rate", traced=True),

    "loss.inner_radius": Field(0.08, at_least(0.0),
        "target radius of valuation 9, unit: see radius_unit", traced=True),
    "loss.outer_radius": Field(0.90, above(0.0),
        "target radius of valuation 0, unit: see radius_unit", traced=True),
    "loss.radius_unit": Field("hyperbolic", one_of("hyperbolic", "euclidean"),
        "hyperbolic: length (as run); euclidean: norm (as tuned)"),
    "loss.richness_spread": Field(0.0, at_least(0.0),
        "reference deviation inside a level, in level spacings; 0 = the deviation at the start",
        traced=True),
    "loss.radial_phase2_factor": Field(0.5, at_least(0.0),
        "factor on radial_weight from geodesic_start on", traced=True),
    "loss.geodesic_start": Field(30, at_least(0), "first epoch of phase 2", traced=True),
    "loss.geodesic_ramp_epochs": Field(0, at_least(0),
        "epochs from weight 0 to the full weight (v5.11's tau); 0 = at once", traced=True),
    "loss.geodesic_hold_hierarchy": Field(-1.0, within(-1.0, 1.0),
        "the ramp waits while A's hierarchy, a correlation, is at or below this", traced=True),

    "legacy.euclidean_reference": Field(False, BOOLEAN,
        "measure richness against Euclidean radii, which makes the term inactive (v5.12)"),

    "homeostasis.enabled": Field(True, BOOLEAN,
        "let homeostasis decide when gated groups learn; without it they are refused"),
    "homeostasis.corrected": Field(True, BOOLEAN,
        "corrected decisions, from coverage_ball; False = those of the reference system"),
    "homeostasis.coverage_freeze": Field(0.995, SHARE,
        "encoder A is frozen when the share of coverage falls below this", traced=True),
    "homeostasis.coverage_unfreeze": Field(1.0, SHARE,
        "least share of coverage at which encoder A may learn", traced=True),
    "homeostasis.coverage_floor": Field(0.95, SHARE,
        "annealing never lowers coverage_freeze below this", traced=True),
    "homeostasis.coverage_ceiling": Field(1.0, SHARE,
        "annealing never raises coverage_unfreeze above this (corrected)", traced=True),
    "homeostasis.coverage_gap": Field(0.005, SHARE,
        "least distance that annealing keeps between the two", traced=True),
    "homeostasis.stall_patience": Field(5, at_least(1),
        "consecutive stalled evaluations before encoder A may learn", traced=True),
    "homeostasis.plateau_threshold": Field(0.001, at_least(0.0),
        "change of a hierarchy over the window that counts as none", traced=True),
    "homeostasis.plateau_patience": Field(5, at_least(1),
        "evaluations without change before encoder B is frozen", traced=True),
    "homeostasis.plateau_patience_ceiling": Field(15, at_least(1),
        "largest patience that annealing gives encoder B, evaluations", traced=True),
    "homeostasis.degradation": Field(0.01, at_least(0.0),
        "fall of the hierarchy between two evaluations that unfreezes encoder B", traced=True),
    "homeostasis.grad_threshold": Field(0.01, at_least(0.0),
        "gradient norm of the controller that counts as none", traced=True),
    "homeostasis.grad_patience": Field(3, at_least(1),
        "evaluations below it before the controller is frozen", traced=True),
    "homeostasis.grad_patience_ceiling": Field(10, at_least(1),
        "largest patience that annealing gives the controller, evaluations", traced=True),
    "homeostasis.grad_revival": Field(2.0, at_least(0.0),
        "multiple of the window's mean gradient norm that unfreezes the controller", traced=True),
    "homeostasis.warmup": Field(5, at_least(0),
        "evaluations (corrected) or epochs before the first decision", traced=True),
    "homeostasis.hysteresis": Field(2, at_least(0),
        "least evaluations (corrected) or epochs between two changes of a group", traced=True),
    "homeostasis.annealing": Field(True, BOOLEAN,
        "let completed cycles move thresholds and patience"),
    "homeostasis.annealing_step": Field(0.003, at_least(0.0),
        "change of the coverage thresholds by a cycle", traced=True),
    "homeostasis.q_tolerance": Field(0.05, at_least(0.0),
        "loss of Q over a cycle that does not tighten the thresholds", traced=True),
    "homeostasis.reset_moments": Field(False, BOOLEAN,
        "reset Adam's moments when a gate changes (published)"),
    "homeostasis.restart_schedule": Field(False, BOOLEAN,
        "restart the learning rate's schedule when a gate changes (published)"),
}
# fmt: on

DEFAULTS: dict[str, Any] = {
    "epochs": 100,
    "optimizer.kind": "adam_l2",
    "learning_rate.kind": "warm_restarts",
    "learning_rate.peak": 1e-3,
    "evaluation.every_epochs": 2,
    "log_every_epochs": 2,
    "early_stop.metric": "eval/q_quick_b",
    "early_stop.mode": "max",
    "early_stop.patience_epochs": 40,
    "early_stop.min_epochs": 40,
    "early_stop.plateau.metric": "eval/hierarchy_b",
    "early_stop.drop.metric": "eval/hierarchy_b",
    "early_stop.drop.mode": "min",
}
"""Defaults of shared fields that differ from those of :mod:`tvae.engine.config`."""

TINY: dict[str, Any] = {
    "base_checkpoint": "",
    "data.batch_size": 64,
    "model.latent_dim": 2,
    "model.encoder_widths": (8,),
    "model.decoder_widths": (8,),
    "model.projection_width": 8,
    "model.projection_layers": 1,
} | {
    f"objective.{name}_{side}.pairs": 10 for name in ("radial", "rank", "geodesic") for side in "ab"
}
"""Sizes that compile in seconds, for tests."""


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    loss, model, data = config.loss, config.model, config.data
    if not model.translated:
        refuse_riemannian(config)
    elif config.optimizer.kind == "riemannian_adam" and model.learnable_curvature:
        # A Riemannian step needs the curvature of its ball, which is fixed when the run starts.
        raise UserError(
            "config.optimizer.kind: 'riemannian_adam' moves the points of config.model.translated "
            "in a ball of fixed curvature; expected config.model.learnable_curvature False, got "
            "True"
        )
    _validate_groups(config)
    outer, logvar_max = loss.outer_radius, model.logvar_max
    limit = 1.0 if loss.radius_unit == "euclidean" else math.inf
    in_order = {
        "loss.inner_radius": (loss.inner_radius, outer, f"outer_radius = {outer}"),
        "loss.outer_radius": (outer, limit, "1 in units of the ball's radius"),
        "model.logvar_min": (model.logvar_min, logvar_max, f"logvar_max = {logvar_max}"),
    }
    for path, (low, high, bound) in in_order.items():
        if low >= high:
            raise UserError(f"config.{path}: expected less than {bound}, got {low}")
    try:
        stratified_counts(data.batch_size, data.high_valuation_share)
    except ValueError as error:
        raise UserError(f"config.data.batch_size: expected a larger one; {error}") from error
    if data.batch_size > padic.count():
        raise UserError(
            f"config.data.batch_size: expected at most {padic.count()}, the operations of the "
            f"space, got {data.batch_size}"
        )


def _validate_groups(config: ConfigDict) -> None:
    """Check that groups are tuned or gated only where something opens them."""
    groups = config.groups
    for name in ("encoder_a", "encoder_b", "decoder", "controller"):
        if groups[name] == "tuned" and groups.tuning_epochs == 0:
            raise UserError(f"config.groups.{name}: 'tuned' expected tuning_epochs > 0, got 0")
        used = name != "controller" or config.model.controller
        if groups[name] == "gated" and used and not config.homeostasis.enabled:
            raise UserError(
                f"config.groups.{name}: expected 'frozen', 'tuned' or 'trained' where "
                "config.homeostasis.enabled is off, got 'gated'"
            )


def migrate(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration of before ``config.objective``, with its terms in that table."""
    if "objective" in stored:
        return dict(stored)
    loss, legacy = dict(stored.get("loss", {})), dict(stored.get("legacy", {}))
    zero_factor = legacy.pop("zero_factor", 1.0)
    weights = {k.removesuffix("_weight"): loss.pop(k) for k in _EARLIER_WEIGHTS if k in loss}
    weights["zero"] = weights.get("zero", 0.0) * zero_factor
    options = {
        name: {option: loss.pop(k) for k, option in names.items() if k in loss}
        for name, names in _EARLIER_OPTIONS.items()
    }
    rows = {}
    for name, row in (dict(OBJECTIVE) | dict(_OPTIONAL_ROWS)).items():
        kind = name.removesuffix("_a").removesuffix("_b")
        if weights.get(kind, 0.0) > 0.0:
            rows[name] = dict(row) | options.get(kind, {}) | {"weight": weights[kind]}
    if stored.get("model", {}).get("controller"):
        rows["control_penalty"] = {"term": "control_penalty", "weight": 1.0}
    return dict(stored) | {"loss": loss, "legacy": legacy, "objective": rows}


_OPTIONAL_ROWS: Rows = {
    f"{name}_{side}": {"term": term, "on": side}
    for side in "ab"
    for name, term in {
        "zero": "zero_structure",
        "monotonic": "monotonic_radial",
        "stratification": "radial_stratification",
    }.items()
}
_EARLIER_WEIGHTS = tuple(
    f"{name}_weight"
    for name in (
        "coverage", "hierarchy", "richness", "separation", "radial", "rank", "geodesic", "zero",
        "monotonic", "stratification",
    )
)  # fmt: skip
_EARLIER_OPTIONS = {
    "richness": {"min_richness_ratio": "min_ratio"},
    "radial": {"margin_weight": "margin_weight", "margin_pairs": "pairs"},
    "rank": {"rank_temperature": "temperature", "rank_pairs": "pairs"},
    "geodesic": {
        "geodesic_max_distance": "max_distance",
        "geodesic_scale": "level_scale",
        "geodesic_pairs": "pairs",
    },
    "zero": {
        "zero_valuation_weight": "valuation_weight",
        "zero_sparsity_weight": "sparsity_weight",
    },
}
