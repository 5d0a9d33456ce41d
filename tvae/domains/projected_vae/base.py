"""The module of a ternary VAE's configuration, and the base that its weights come from."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tvae import shipped
from tvae.domains.projected_vae.module import PARTS, ProjectedVAE
from tvae.engine import rows
from tvae.engine.task import Params
from tvae.errors import UserError
from tvae.geometry import padic
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.projections import HyperbolicProjection
from tvae.runs import parameters

NEEDED = ("encoder_a", "encoder_b", "decoder_a")
"""Parts that a base must have; others are taken where both sides have them."""


def make_model(config: ConfigDict) -> ProjectedVAE:
    """The module that the configuration describes."""
    model = config.model
    bounds = (model.logvar_min, model.logvar_max)
    improved = model.encoder == "improved"
    return ProjectedVAE(
        encoder=Encoder(
            latent_dim=model.latent_dim,
            widths=tuple(model.encoder_widths),
            normalize=improved,
            dropout=model.encoder_dropout,
            logvar_bounds=bounds if improved else None,
        ),
        decoder=Decoder(
            widths=tuple(model.decoder_widths),
            normalize=model.decoder == "improved",
            dropout=model.decoder_dropout,
        ),
        projection=HyperbolicProjection(
            width=model.projection_width,
            n_layers=model.projection_layers,
            dropout=model.projection_dropout,
            max_norm=model.max_norm,
            curvature=model.curvature,
            learnable_curvature=model.learnable_curvature,
            translated=model.translated,
        ),
        dual_projection=model.projection != "single",
        share_direction=model.projection == "shared_direction",
        decode_ball=model.decode == "ball",
        use_controller=model.controller,
    )


def init_params(model: ProjectedVAE, key: jax.Array) -> Params:
    """Fresh parameters of every part."""
    example = jnp.zeros((2, padic.N_DIGITS))
    return model.init(key, example, method=ProjectedVAE.touch)["params"]


@dataclasses.dataclass(frozen=True)
class Base:
    """Parameters by part that a run starts from; two are equal if their digests are."""

    digest: str
    parts: dict[str, Any] = dataclasses.field(compare=False, repr=False)


def load_base(folder: str, model: ProjectedVAE) -> Base:
    """Read the parameters that a run starts from; ``""`` has none.

    Linear layers of a plain network fit the improved one, whose layer norms then stay fresh.

    Raises:
      UserError: if the folder is missing or damaged, lacks a part, or holds a tensor that the
        model has not or has in another shape.
    """
    if not folder:
        return Base("", {})
    found, metadata = parameters.load_params(shipped.find_checkpoint(folder))
    shapes = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    if absent := [part for part in NEEDED if part not in found]:
        raise UserError(f"config.base_checkpoint {folder}: lacks {', '.join(absent)}")
    base = {part: found[part] for part in PARTS if part in found and part in shapes}
    wanted, given = _flat({part: shapes[part] for part in base}), _flat(base)
    faults = [
        f"{name} {list(leaf.shape)} instead of {list(wanted[name].shape)}"
        for name, leaf in given.items()
        if name in wanted and leaf.shape != wanted[name].shape
    ]
    faults += [f"{name} unexpected" for name in given if name not in wanted]
    faults += [f"{name} missing" for name in wanted if name not in given and "/norm_" not in name]
    if faults:
        raise UserError(
            f"config.base_checkpoint {folder} does not fit config.model: {'; '.join(faults)}"
        )
    return Base(metadata["sha256"], base)


def transplant(params: Params, base: dict[str, Any]) -> Params:
    """Parameters with every tensor of the base in its place."""

    def place(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        source: Any = base
        for entry in path:
            if entry.key not in source:
                return leaf
            source = source[entry.key]
        return jnp.asarray(source, leaf.dtype)

    return jax.tree_util.tree_map_with_path(place, params)


def _flat(tree: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {rows.path_name(path): leaf for path, leaf in leaves}
