"""The configuration of a converted checkpoint, from the sizes of its tensors."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae.convert.torch_file.zip_archive import printable
from tvae.errors import UserError
from tvae.fields import Check, within

# Settings that cannot be inferred from tensor shapes, with the reference system's defaults.
_DEFAULTS = {
    "max_radius": 0.95,
    "curvature": 1.0,
    "projection_dropout": 0.1,
    "encoder_dropout": 0.1,
    "decoder_dropout": 0.1,
    "logvar_min": -10.0,
    "logvar_max": 2.0,
}


def with_config(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a converted checkpoint with the entries that a native one has.

    Args:
      metadata: of :class:`tvae.convert.importer.Imported`, or of any checkpoint. Conversions by
        earlier versions lack ``config`` and ``metrics``.

    Returns:
      The same with ``config`` and ``metrics`` (``eval/rho``: training state of v5.5 and not a
      parameter), unless there is a configuration already or this is not of a conversion.

    Raises:
      UserError: as :func:`make_config`.
    """
    if "config" in metadata or not {"kind", "model", "state"} <= metadata.keys():
        return metadata
    rho = metadata["state"].get("rho")
    known = isinstance(rho, (int, float)) and not isinstance(rho, bool)
    return metadata | {
        "config": make_config(metadata).to_dict(),
        "metrics": {"eval/rho": rho} if known else {},
    }


def make_config(metadata: Mapping[str, Any]) -> ConfigDict:
    """A complete, valid configuration whose module takes a converted checkpoint's parameters.

    Fields of training, data and evaluation have the domain's defaults: they do not describe the run
    that trained the weights. Its split of the operations in particular is not one of ours, so that
    ``evaluation.by_split`` is False.

    Args:
      metadata: ``kind``, ``model`` and ``state`` of :class:`tvae.convert.importer.Imported`.

    Raises:
      UserError: if a setting in the checkpoint is not a number or is out of range.
    """
    dual = metadata["kind"] == "v5_5"
    config = config_lib.default("dual_vae" if dual else "projected_vae")
    config.seed = 0
    config.model.latent_dim = metadata["model"]["latent_dim"]
    if dual:
        config.evaluation.by_split = False
    else:
        config.base_checkpoint = ""
        _describe_projected_vae(config.model, metadata)
    config_lib.validate(config)
    return config


def _describe_projected_vae(config: ConfigDict, metadata: Mapping[str, Any]) -> None:
    sizes, settings = metadata["model"], _settings(metadata["state"])
    if sizes["improved_encoder"]:
        config.encoder = "improved"
        config.encoder_dropout = settings["encoder_dropout"]
        config.logvar_min, config.logvar_max = settings["logvar_min"], settings["logvar_max"]
    if sizes["improved_decoder"]:
        config.decoder = "improved"
        config.decoder_dropout = settings["decoder_dropout"]
    config.decode = "ball" if metadata["kind"] == "v5_12" else "latent"
    config.projection = "dual" if sizes["dual_projection"] else "single"
    config.projection_width, config.projection_layers = sizes["width"], sizes["n_layers"]
    config.projection_dropout = settings["projection_dropout"] if sizes["dropout"] else 0.0
    config.curvature, config.learnable_curvature = settings["curvature"], True
    # The reference system's radius is absolute, ours is in units of the ball's.
    config.max_norm = settings["max_radius"] * math.sqrt(config.curvature)
    config.controller = sizes["use_controller"]


def _settings(state: Mapping[str, Any]) -> dict[str, float]:
    """The checkpoint's own values of ``_DEFAULTS``, from its ``config.model`` where it has one.

    All are checked, those too that its modules do not use: a file with an implausible one is
    damaged, or no checkpoint of the reference system.
    """
    stored: Any = state
    for key in ("config", "model"):
        stored = stored.get(key)
        stored = stored if isinstance(stored, dict) else {}
    found = {name: stored.get(name, default) for name, default in _DEFAULTS.items()}
    known = config_lib.fields("projected_vae")
    for name, value in found.items():
        if name != "max_radius":
            _require(known[f"model.{name}"].check, name, value)
    root, norm = math.sqrt(found["curvature"]), known["model.max_norm"].check
    in_ball = within((norm.low or 0.0) / root, (norm.high or 1.0) / root)
    _require(in_ball, "max_radius", found["max_radius"])
    if found["logvar_min"] >= found["logvar_max"]:
        raise UserError(
            f"config.model.logvar_min in the checkpoint: expected less than logvar_max = "
            f"{found['logvar_max']}, got {found['logvar_min']}"
        )
    return {name: float(value) for name, value in found.items()}


def _require(check: Check, name: str, value: Any) -> None:
    if not check.holds(value):
        got = printable(repr(value))
        raise UserError(
            f"config.model.{name} in the checkpoint: expected {check.expectation}, got {got}"
        )
