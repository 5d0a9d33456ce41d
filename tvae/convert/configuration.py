"""The module that a converted checkpoint's parameters belong to."""

import math
from typing import Any

from tvae.domains.dual_vae.module import DualVAE
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.errors import UserError
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.projections import HyperbolicProjection

# What the original's configurations say, for files that carry none.
_DEFAULTS = {
    "max_radius": 0.95,
    "curvature": 1.0,
    "projection_dropout": 0.1,
    "encoder_dropout": 0.1,
    "decoder_dropout": 0.1,
    "logvar_min": -10.0,
    "logvar_max": 2.0,
}


def _settings(metadata: dict[str, Any]) -> dict[str, float]:
    """Settings that no tensor shows, from the configuration in the checkpoint where it has them."""
    settings: Any = metadata["state"]
    for key in ("config", "model"):
        settings = settings.get(key)
        settings = settings if isinstance(settings, dict) else {}
    found = {name: settings.get(name, default) for name, default in _DEFAULTS.items()}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UserError(f"config.model.{name} in the checkpoint is no number")
    return found


def make_module(metadata: dict[str, Any]) -> DualVAE | ProjectedVAE:
    """Build the module of a converted checkpoint.

    Args:
      metadata: of :class:`tvae.convert.importer.Imported`.

    Returns:
      A module whose parameters have the checkpoint's structure and shapes.
    """
    model = metadata["model"]
    if metadata["kind"] == "v5_5":
        return DualVAE(latent_dim=model["latent_dim"])
    settings = _settings(metadata)
    encoder, decoder = Encoder(latent_dim=model["latent_dim"]), Decoder()
    if model["improved_encoder"]:
        encoder = Encoder(
            latent_dim=model["latent_dim"],
            normalize=True,
            dropout=settings["encoder_dropout"],
            logvar_bounds=(settings["logvar_min"], settings["logvar_max"]),
        )
    if model["improved_decoder"]:
        decoder = Decoder(normalize=True, dropout=settings["decoder_dropout"])
    return ProjectedVAE(
        encoder=encoder,
        decoder=decoder,
        projection=HyperbolicProjection(
            width=model["width"],
            n_layers=model["n_layers"],
            dropout=settings["projection_dropout"] if model["dropout"] else 0.0,
            # The original's radius is absolute, the module's in units of the ball's.
            max_norm=settings["max_radius"] * math.sqrt(settings["curvature"]),
            curvature=settings["curvature"],
            learnable_curvature=True,
        ),
        dual_projection=model["dual_projection"],
        decode_ball=metadata["kind"] == "v5_12",
        use_controller=model["use_controller"],
    )
