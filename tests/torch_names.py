"""Weights of the original system under their torch names, as parameters of our modules.

Linear layers and layer norms are numbered in the order of their places in the original
``Sequential``, because the places themselves move with the dropout rate.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

PARTS = {
    "encoder_A": "encoder_a",
    "encoder_B": "encoder_b",
    "decoder_A": "decoder_a",
    "projection.proj_A": "projection_a",
    "projection.proj_B": "projection_b",
    "projection": "projection_a",
    "controller": "controller",
}


def _stack(weights: Mapping[str, np.ndarray], prefix: str, last: str | None) -> dict[str, Any]:
    """``prefix.<place>.weight|bias`` as hidden_i, norm_i and, with ``last``, the final layer."""
    places = sorted({int(k.split(".")[-2]) for k in weights if k.startswith(prefix + ".")})
    stack: dict[str, Any] = {}
    linears = 0
    for place in places:
        weight = np.asarray(weights[f"{prefix}.{place}.weight"], np.float32)
        bias = np.asarray(weights[f"{prefix}.{place}.bias"], np.float32)
        if weight.ndim == 1:
            stack[f"norm_{linears - 1}"] = {"scale": weight, "bias": bias}
            continue
        name = last if last is not None and place == places[-1] else f"hidden_{linears}"
        stack[name] = {"kernel": weight.T, "bias": bias}
        linears += 1
    return stack


def encoder(weights: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Any]:
    """Parameters of :class:`tvae.models.encoders.Encoder`."""
    heads = {
        ours: {
            "kernel": np.asarray(weights[f"{prefix}{theirs}.weight"], np.float32).T,
            "bias": np.asarray(weights[f"{prefix}{theirs}.bias"], np.float32),
        }
        for ours, theirs in (("mu", "fc_mu"), ("logvar", "fc_logvar"))
    }
    return _stack(weights, f"{prefix}encoder", None) | heads


def decoder(weights: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Any]:
    """Parameters of :class:`tvae.models.decoders.Decoder`."""
    return _stack(weights, f"{prefix}decoder", "logits")


def controller(weights: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Any]:
    """Parameters of :class:`tvae.models.controllers.DifferentiableController`."""
    return _stack(weights, f"{prefix}net", "output")


def projection(weights: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Any]:
    """Parameters of a HyperbolicProjection with learnable curvature."""
    return {
        "direction": _stack(weights, f"{prefix}direction_net", "output"),
        "radius": _stack(weights, f"{prefix}radius_net", "output"),
        "inverse_softplus_c": np.asarray(weights[f"{prefix}manifold.isp_c"], np.float32),
    }


def ternary_vae(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Parameters of :class:`tvae.models.ternary_vae.TernaryVAE` with learnable curvature."""
    dual = any(key.startswith("projection.proj_A.") for key in weights)
    projections = ("projection.proj_A", "projection.proj_B") if dual else ("projection",)
    read = {"encoder_A": encoder, "encoder_B": encoder, "decoder_A": decoder}
    read |= dict.fromkeys(projections, projection)
    if any(key.startswith("controller.") for key in weights):
        read["controller"] = controller
    return {PARTS[part]: make(weights, f"{part}.") for part, make in read.items()}
