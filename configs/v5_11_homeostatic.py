"""v5.11.11: two deep projections, encoder B trained, homeostasis, the zero-structure term.

    python -m tvae.main --config=configs/v5_11_homeostatic.py

The curvature is a real parameter here (the reference system's was inert), and homeostasis is the
corrected one, which restores encoder A's weights when coverage falls; coverage is that of the ball,
so that A stays frozen where the ball does not decode.

Seeds 0..2, from the means (experiments/v5_11); about 26 s on two CPU cores once compiled:

    eval/coverage_mu_a      1.0                   (the frozen autoencoder's)
    eval/hierarchy_a, _b    -0.742 to -0.764, -0.766 to -0.770
    eval/richness_a, _b     0.0048 to 0.0053, 0.0033 to 0.0034
    eval/tree_fidelity_b    0.303 to 0.420
    eval/q_quick_b          1.58 to 1.59
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The reference system's v5_11_11_homeostatic.yaml, as its launcher passed it on."""
    config = config_lib.default("projected_vae")
    config.seed = 0
    config.base_checkpoint = "checkpoints/v5_5_faithful"
    config.epochs = 150
    config.data.high_valuation_share = 0.20
    config.evaluation.every_epochs = 5
    config.log_every_epochs = 5
    config.optimizer.weight_decay = 1e-3
    config.early_stop.metric = "eval/hierarchy_a"
    config.early_stop.mode = "min"
    config.early_stop.patience_epochs = 100
    config.early_stop.min_epochs = 30
    config.model.learnable_curvature = True
    config.homeostasis.hysteresis = 3
    config.homeostasis.annealing_step = 0.005

    loss = config.loss
    loss.inner_radius = 0.10
    loss.outer_radius = 0.85
    loss.radial_phase2_factor = 1.0
    loss.geodesic_start = 0
    loss.geodesic_ramp_epochs = 105
    loss.geodesic_hold_hierarchy = -0.70

    rows = config.objective
    del rows.coverage, rows.hierarchy_b, rows.richness_b, rows.separation_b
    for side in "ab":
        rows[f"radial_{side}"].weight = 2.0
        rows[f"radial_{side}"].margin_weight = 1.0
        rows[f"rank_{side}"].weight = rows[f"geodesic_{side}"].weight = 1.0
        zero = {"term": "zero_structure", "on": side, "weight": 1.5}
        rows[f"zero_{side}"] = zero | {"valuation_weight": 1.0, "sparsity_weight": 0.5}
    return config
