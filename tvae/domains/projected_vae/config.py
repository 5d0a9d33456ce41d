"""Fields of the ternary VAE in the Poincaré ball (v5.11 to v5.12.4)."""

from ml_collections import ConfigDict

from tvae.domains.operations.sampling import stratified_counts
from tvae.errors import UserError
from tvae.fields import SHARE, WIDTHS, Check, above, at_least, one_of, refuse_riemannian, within
from tvae.geometry import padic as ternary

LEARNING = ("frozen", "tuned", "gated", "trained")
"""When a group learns: never, during the tuning, as homeostasis decides, always."""


def add_fields(config: ConfigDict) -> None:
    """Add the task's fields, with the values of the published v5.12.4 run."""
    _add_shared(config)
    _add_model(config)
    _add_groups(config)
    _add_loss(config)
    _add_homeostasis(config)


def _add_shared(config: ConfigDict) -> None:
    """Fields that are no section of their own, and the published values of the engine's."""
    # Folder of v5.5 parameters (shipped, or converted from PyTorch) that the encoders and decoder A
    # start from; relative to the current directory; "" = random initialisation.
    config.base_checkpoint = "checkpoints/v5_5"
    config.data = data = ConfigDict()
    data.batch_size = 512  # operations per step, drawn with replacement
    data.high_valuation_share = 0.25  # of a batch for the levels of valuation 4 to 9
    config.evaluation.sampled = False  # measure posterior samples (the original), not the means

    config.epochs = 100
    config.optimizer.kind = "adam_l2"
    config.learning_rate.kind = "warm_restarts"
    config.learning_rate.peak = 1e-3
    config.evaluation.every_epochs = 2
    config.log_every_epochs = 2
    config.early_stop.metric = "eval/q_quick_b"
    config.early_stop.mode = "max"
    config.early_stop.patience_epochs = 40
    config.early_stop.min_epochs = 40
    config.early_stop.plateau.metric = "eval/hierarchy_b"
    config.early_stop.drop.metric = "eval/hierarchy_b"
    config.early_stop.drop.mode = "min"


def _add_model(config: ConfigDict) -> None:
    config.model = model = ConfigDict()
    model.latent_dim = 16  # dimension of each encoder's latent space, and of the ball
    model.encoder = "plain"  # "plain" (ReLU, v5.5) or "improved" (layer norm, SiLU)
    model.encoder_widths = (256, 128, 64)  # hidden widths of both encoders
    model.encoder_dropout = 0.0  # rate behind hidden layers while the encoder learns
    model.logvar_min = -10.0  # improved encoders: lower clamp of the log-variance
    model.logvar_max = 2.0  # improved encoders: upper clamp of the log-variance
    model.decoder = "plain"  # "plain" (ReLU, v5.5) or "improved" (layer norm, SiLU)
    model.decoder_widths = (32, 64)  # hidden widths of the decoder
    model.decoder_dropout = 0.0  # rate behind hidden layers while the decoder learns
    model.decode = "ball"  # what is decoded: "ball" = log_0(z_hyp) (v5.12), "latent" (v5.11)
    model.projection = "dual"  # "single", "dual", or "shared_direction" (dual, one direction net)
    model.projection_width = 64  # hidden width of the direction nets
    model.projection_layers = 2  # hidden layers of direction and radius nets
    model.projection_dropout = 0.1  # rate behind the projections' hidden layers
    model.max_norm = 0.95  # largest Euclidean norm, in units of the ball's radius
    model.curvature = 1.0  # curvature magnitude c of the ball (at the start, where learnable)
    model.learnable_curvature = False  # make c a parameter of each projection
    model.translated = False  # translate each ball by a learned point ("riemannian_adam" moves it)
    model.controller = False  # let a controller set tau and the radial weight from batch statistics
    model.posterior_noise = 1.0  # factor on the posterior's deviation in training; 0 = means


def _add_groups(config: ConfigDict) -> None:
    config.groups = groups = ConfigDict()
    # When a group learns: "frozen" (never), "tuned" (the first tuning_epochs), "gated" (then, and
    # after that as homeostasis decides), "trained" (always).
    groups.encoder_a = "gated"
    groups.encoder_b = "gated"
    groups.decoder = "frozen"
    groups.controller = "gated"
    groups.tuning_epochs = 0  # epochs in which "tuned" groups, and A if "gated", learn
    groups.encoder_a_rate = 0.05  # factor on the learning rate
    groups.encoder_b_rate = 0.1  # factor on the learning rate
    groups.decoder_rate = 1.0  # factor on the learning rate
    groups.projection_a_rate = 1.0  # factor on the learning rate
    groups.projection_b_rate = 1.0  # factor on the learning rate
    groups.controller_rate = 1.0  # factor on the learning rate


def _add_loss(config: ConfigDict) -> None:
    config.loss = loss = ConfigDict()
    loss.inner_radius = 0.08  # target radius of valuation 9, unit: see radius_unit
    loss.outer_radius = 0.90  # target radius of valuation 0, unit: see radius_unit
    loss.radius_unit = "hyperbolic"  # "hyperbolic" length (as run), or "euclidean" norm (as tuned)
    loss.coverage_weight = 1.0  # of A's cross-entropy, nats per digit
    loss.hierarchy_weight = 5.0  # of B's squared distances of level means from their targets
    loss.richness_weight = 2.0  # of B's levels whose spread fell below min_richness_ratio
    loss.richness_spread = 0.0  # reference deviation inside a level, level spacings; 0 = at start
    loss.min_richness_ratio = 0.5  # share of the reference variance that is to be kept
    loss.separation_weight = 3.0  # of B's level means that lie less than 0.01 apart
    loss.radial_weight = 1.0  # of A's and B's squared distances from the radial targets
    loss.radial_phase2_factor = 0.5  # on radial_weight from geodesic_start on
    loss.margin_weight = 0.5  # of the margin in the radial term
    loss.margin_pairs = 1000  # pairs of the margin, per batch and encoder; 0 = all
    loss.rank_weight = 0.5  # of A's and B's global rank term
    loss.rank_temperature = 0.1  # of its logistic curve, hyperbolic length
    loss.rank_pairs = 2000  # pairs per batch and encoder; 0 = all
    loss.geodesic_weight = 0.3  # of A's and B's distances against the 3-adic ones
    loss.geodesic_start = 30  # first epoch of phase 2
    loss.geodesic_ramp_epochs = 0  # epochs from weight 0 to full (v5.11's tau); 0 = at once
    loss.geodesic_hold_hierarchy = -1.0  # the ramp waits while A's hierarchy is at or below this
    loss.geodesic_max_distance = 3.0  # hyperbolic distance wanted between operations of valuation 0
    loss.geodesic_scale = 3.0  # levels per factor e of the wanted distance
    loss.geodesic_pairs = 2000  # pairs per batch and encoder; 0 = all
    loss.zero_weight = 0.0  # of A's and B's zero-structure terms; the published run has 1
    loss.zero_valuation_weight = 0.5  # of the zero valuation inside them
    loss.zero_sparsity_weight = 0.3  # of the zero count inside them
    loss.monotonic_weight = 0.0  # of A's and B's monotonic radial term
    loss.stratification_weight = 0.0  # of A's and B's radial stratification term

    config.legacy = legacy = ConfigDict()
    legacy.zero_factor = 1.0  # the original's second factor on zero_weight: v5.12 0.5, v5.11 1.5
    legacy.euclidean_reference = False  # richness against Euclidean radii: never active (v5.12)


def _add_homeostasis(config: ConfigDict) -> None:
    config.homeostasis = homeostasis = ConfigDict()
    homeostasis.enabled = True  # without it "gated" groups are refused
    homeostasis.corrected = True  # mended, fed with coverage_ball; False = the original's decisions
    homeostasis.coverage_freeze = 0.995  # A is frozen when coverage falls below this
    homeostasis.coverage_unfreeze = 1.0  # least coverage at which A may learn
    homeostasis.coverage_floor = 0.95  # annealing never lowers coverage_freeze below this
    homeostasis.coverage_ceiling = 1.0  # nor raises coverage_unfreeze above this (corrected)
    homeostasis.coverage_gap = 0.005  # least distance that it keeps between the two
    homeostasis.stall_patience = 5  # stalled evaluations before A may learn
    homeostasis.plateau_threshold = 0.001  # change of a hierarchy that counts as none
    homeostasis.plateau_patience = 5  # evaluations without change before B is frozen
    homeostasis.plateau_patience_ceiling = 15  # largest patience that annealing gives B
    homeostasis.degradation = 0.01  # fall of the hierarchy that unfreezes B
    homeostasis.grad_threshold = 0.01  # gradient norm of the controller that counts as none
    homeostasis.grad_patience = 3  # evaluations below it before the controller is frozen
    homeostasis.grad_patience_ceiling = 10  # largest patience that annealing gives the controller
    homeostasis.grad_revival = 2.0  # multiple of the window's mean norm that unfreezes it
    homeostasis.warmup = 5  # no decision before: evaluations (corrected) or epochs
    homeostasis.hysteresis = 2  # least time between two changes: evaluations (corrected) or epochs
    homeostasis.annealing = True  # whether completed cycles move thresholds and patience
    homeostasis.annealing_step = 0.003  # by which a cycle moves the coverage thresholds
    homeostasis.q_tolerance = 0.05  # loss of Q over a cycle that is not worth tightening for
    homeostasis.reset_moments = False  # forget Adam's moments when a gate moves (published)
    homeostasis.restart_schedule = False  # restart the learning rate then (published)


CHECKS: dict[str, Check] = {
    "base_checkpoint": Check(lambda path: isinstance(path, str), "a folder, or ''"),
    "data.batch_size": at_least(16),
    "data.high_valuation_share": SHARE,
    "model.latent_dim": at_least(1),
    "model.encoder": one_of("plain", "improved"),
    "model.encoder_widths": WIDTHS,
    "model.encoder_dropout": within(0.0, 0.9),
    "model.logvar_min": within(-30.0, 10.0),
    "model.logvar_max": within(-30.0, 10.0),
    "model.decoder": one_of("plain", "improved"),
    "model.decoder_widths": WIDTHS,
    "model.decoder_dropout": within(0.0, 0.9),
    "model.decode": one_of("ball", "latent"),
    "model.projection": one_of("single", "dual", "shared_direction"),
    "model.projection_width": at_least(1),
    "model.projection_layers": at_least(1),
    "model.projection_dropout": within(0.0, 0.9),
    "model.max_norm": within(0.01, 0.999),
    "model.curvature": within(0.01, 100.0),
    "model.posterior_noise": at_least(0.0),
    "groups.encoder_a": one_of(*LEARNING),
    "groups.encoder_b": one_of(*LEARNING),
    "groups.decoder": one_of("frozen", "tuned", "trained"),
    "groups.controller": one_of("frozen", "gated", "trained"),
    "groups.tuning_epochs": at_least(0),
    "groups.encoder_a_rate": above(0.0),
    "groups.encoder_b_rate": above(0.0),
    "groups.decoder_rate": above(0.0),
    "groups.projection_a_rate": above(0.0),
    "groups.projection_b_rate": above(0.0),
    "groups.controller_rate": above(0.0),
    "loss.inner_radius": at_least(0.0),
    "loss.outer_radius": above(0.0),
    "loss.radius_unit": one_of("hyperbolic", "euclidean"),
    "loss.coverage_weight": at_least(0.0),
    "loss.hierarchy_weight": at_least(0.0),
    "loss.richness_weight": at_least(0.0),
    "loss.richness_spread": at_least(0.0),
    "loss.min_richness_ratio": at_least(0.0),
    "loss.separation_weight": at_least(0.0),
    "loss.radial_weight": at_least(0.0),
    "loss.radial_phase2_factor": at_least(0.0),
    "loss.margin_weight": at_least(0.0),
    "loss.margin_pairs": at_least(0),
    "loss.rank_weight": at_least(0.0),
    "loss.rank_temperature": at_least(0.001),
    "loss.rank_pairs": at_least(0),
    "loss.geodesic_weight": at_least(0.0),
    "loss.geodesic_start": at_least(0),
    "loss.geodesic_ramp_epochs": at_least(0),
    "loss.geodesic_hold_hierarchy": within(-1.0, 1.0),
    "loss.geodesic_max_distance": above(0.0),
    "loss.geodesic_scale": above(0.0),
    "loss.geodesic_pairs": at_least(0),
    "loss.zero_weight": at_least(0.0),
    "loss.zero_valuation_weight": at_least(0.0),
    "loss.zero_sparsity_weight": at_least(0.0),
    "loss.monotonic_weight": at_least(0.0),
    "loss.stratification_weight": at_least(0.0),
    "legacy.zero_factor": at_least(0.0),
    "homeostasis.coverage_freeze": SHARE,
    "homeostasis.coverage_unfreeze": SHARE,
    "homeostasis.coverage_floor": SHARE,
    "homeostasis.coverage_ceiling": SHARE,
    "homeostasis.coverage_gap": SHARE,
    "homeostasis.stall_patience": at_least(1),
    "homeostasis.plateau_threshold": at_least(0.0),
    "homeostasis.plateau_patience": at_least(1),
    "homeostasis.plateau_patience_ceiling": at_least(1),
    "homeostasis.degradation": at_least(0.0),
    "homeostasis.grad_threshold": at_least(0.0),
    "homeostasis.grad_patience": at_least(1),
    "homeostasis.grad_patience_ceiling": at_least(1),
    "homeostasis.grad_revival": at_least(0.0),
    "homeostasis.warmup": at_least(0),
    "homeostasis.hysteresis": at_least(0),
    "homeostasis.annealing_step": at_least(0.0),
    "homeostasis.q_tolerance": at_least(0.0),
}


def _validate_translation(config: ConfigDict) -> None:
    """A Riemannian step needs the curvature of its ball, which is fixed when the run starts."""
    if config.optimizer.kind == "riemannian_adam" and config.model.learnable_curvature:
        raise UserError(
            "config.optimizer.kind: 'riemannian_adam' moves the points of config.model.translated "
            "in a ball of fixed curvature; expected config.model.learnable_curvature False, got "
            "True"
        )


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    if config.model.translated:
        _validate_translation(config)
    else:
        refuse_riemannian(config)
    _validate_groups(config)
    loss, model = config.loss, config.model
    if loss.inner_radius >= loss.outer_radius:
        raise UserError(
            f"config.loss.inner_radius: expected less than outer_radius = {loss.outer_radius}, "
            f"got {loss.inner_radius}"
        )
    if loss.radius_unit == "euclidean" and loss.outer_radius >= 1.0:
        raise UserError(
            "config.loss.outer_radius: expected less than 1 in units of the ball's radius, got "
            f"{loss.outer_radius}"
        )
    if model.logvar_min >= model.logvar_max:
        raise UserError(
            f"config.model.logvar_min: expected less than logvar_max = {model.logvar_max}, got "
            f"{model.logvar_min}"
        )
    try:
        stratified_counts(config.data.batch_size, config.data.high_valuation_share)
    except ValueError as error:
        raise UserError(f"config.data.batch_size: expected a larger one; {error}") from error
    if config.data.batch_size > ternary.count():
        raise UserError(
            f"config.data.batch_size: expected at most {ternary.count()}, the operations of the "
            f"space, got {config.data.batch_size}"
        )


def _validate_groups(config: ConfigDict) -> None:
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
