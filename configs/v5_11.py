"""v5.11: frozen v5.5 encoders, one shallow projection for both, radii first and distances later.

    python -m tvae.main --config=configs/v5_11.py

The curriculum raises the weight of the distances over 70 epochs and waits while A's hierarchy is
better than -0.70. Nothing is decoded from the ball: the decoder sees the frozen latents.

Seeds 0..2, from the means (experiments/v5_11); about 11 s on two CPU cores once compiled:

    eval/coverage_mu_a      1.0                   (the frozen autoencoder's)
    eval/hierarchy_a, _b    -0.747 to -0.764, -0.751 to -0.763
    eval/richness_a, _b     0.0035 to 0.0040, 0.0049 to 0.0052
    eval/tree_fidelity_a    0.603 to 0.632
    eval/q_quick_b          1.69 to 1.73
"""

from ml_collections import ConfigDict

from tvae import config as config_lib


def get_config() -> ConfigDict:
    """The reference system's v5_11.yaml, with the changes of its training script."""
    config = config_lib.default("projected_vae")
    config.seed = 0
    config.base_checkpoint = "checkpoints/v5_5_faithful"
    config.data.high_valuation_share = 0.20
    config.evaluation.every_epochs = 5
    config.log_every_epochs = 5
    config.optimizer.kind = "adamw"
    config.early_stop.metric = "eval/hierarchy_a"
    config.early_stop.mode = "min"
    config.early_stop.min_epochs = 30

    model = config.model
    model.decode = "latent"
    model.projection = "single"
    model.projection_layers = 1
    model.projection_dropout = 0.0

    groups = config.groups
    groups.encoder_a = groups.encoder_b = "frozen"
    config.homeostasis.enabled = False

    loss = config.loss
    loss.inner_radius = 0.10
    loss.outer_radius = 0.85
    loss.radial_phase2_factor = 1.0
    loss.geodesic_start = 0
    loss.geodesic_ramp_epochs = 70
    loss.geodesic_hold_hierarchy = -0.70

    rows = config.objective
    # With decoder and encoder frozen nothing could learn from the coverage.
    del rows.coverage, rows.hierarchy_b, rows.richness_b, rows.separation_b
    for side in "ab":
        rows[f"radial_{side}"].weight = 2.0
        rows[f"radial_{side}"].margin_weight = 1.0
        rows[f"rank_{side}"].weight = rows[f"geodesic_{side}"].weight = 1.0
    return config
