"""Checkpoints as models: shipped ones, runs, and conversions from PyTorch."""

import os
import pathlib
from typing import Any, NamedTuple

import flax.errors
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae import shipped
from tvae.convert import configuration
from tvae.domains import registry
from tvae.engine import loop
from tvae.errors import UserError
from tvae.model import Description, Model
from tvae.runs import archive, files, parameters
from tvae.runs.run import Run

_OF_TRAINING = ("base_checkpoint", "data.pairs", "evaluation.pairs")
"""Fields that name what only a training reads, and what may be gone by now."""


class CheckpointInfo(NamedTuple):
    """A checkpoint in a list, with the headline figures of its card."""

    name: str
    task: str
    metrics: dict[str, float]
    path: pathlib.Path


def load(checkpoint: str | os.PathLike[str]) -> Model:
    """Read a model.

    Args:
      checkpoint: the name of one that ships, such as ``v6``; or a folder with ``params/`` and
        ``metadata.json``, as from ``python -m tvae.convert_torch_ckpt``; or a run's working
        directory, whose newest checkpoint is read.

    Returns:
      The model, parameters on the default device.

    Raises:
      UserError: if the folder is missing, damaged, or no checkpoint of a known model.
    """
    folder = shipped.find_checkpoint(checkpoint)
    if (folder / files.CONFIG_FILE).exists():
        return load_run(Run.open(folder))
    return _from_parameters(folder)


def list_checkpoints(folder: str | os.PathLike[str] | None = None) -> list[CheckpointInfo]:
    """The checkpoints of known tasks in a folder, by default those that ship.

    Raises:
      UserError: if there is no such folder, or one of them is damaged.
    """
    found = []
    for path in shipped.checkpoints().values() if folder is None else _entries(folder):
        if not (path / files.METADATA_FILE).is_file():
            continue
        metadata = files.read_json(path / files.METADATA_FILE, follow_links=True)
        task = metadata.get("config", {}).get("task")
        if task not in registry.names():
            continue
        metrics = metadata.get("metrics", {})
        shown = {key: metrics[key] for key in registry.get(task).headline if key in metrics}
        found.append(CheckpointInfo(path.name, task, shown, path))
    return found


def _entries(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    home = pathlib.Path(folder).expanduser().absolute()
    if not home.is_dir():
        raise UserError(f"checkpoints {home}: no such folder")
    return sorted(home.iterdir())


def load_run(run: Run) -> Model:
    """The newest checkpoint of a run, with the card that ``python -m tvae ship`` writes.

    Raises:
      UserError: if it has no intact checkpoint of a known model.
    """
    stored = run.config.to_dict()
    config = config_lib.complete(stored)
    alone, present = config.copy_and_resolve_references(), dict(config_lib.leaves(config))
    alone.update_from_flattened_dict({path: "" for path in _OF_TRAINING if path in present})
    alone = registry.locate_data(alone, run.folder)
    params = loop.restore_params(
        alone, registry.make_task(alone), config_lib.hparams(alone), run.folder
    )
    about = dict(run.provenance)
    # A card repeats the command without the folder of one machine.
    arguments = [a for a in about.pop("command")[1:] if not a.startswith("--workdir")]
    card = {
        "command": " ".join(["python -m tvae.main", *arguments]),
        "config": stored,
        "run": about,
        "metrics": run.final if run.finished else {},
    }
    return _model(run.folder, params, card, config)


def _from_parameters(folder: pathlib.Path) -> Model:
    """A folder that :func:`tvae.runs.parameters.save_params` wrote, natively or converted."""
    params, metadata = parameters.load_params(folder)
    metadata = configuration.with_config(metadata)
    if "config" in metadata:
        return _model(folder, params, metadata, config_lib.complete(metadata["config"]))
    raise UserError(
        f"checkpoint {folder}: {files.METADATA_FILE} has neither a configuration nor the "
        "metadata of a conversion from PyTorch, so its model is unknown"
    )


def _model(folder: pathlib.Path, params: Any, card: dict[str, Any], config: ConfigDict) -> Model:
    """The model, if its parameters fit its module."""
    views = registry.get(config.task).make_views(registry.locate_data(config, folder))
    params = jax.tree.map(jnp.asarray, params)
    about = Description(folder, views, config, card, digest=archive.digest(params))
    model = Model(params, about)
    try:
        jax.eval_shape(lambda: model.views.encode(params, model.views.examples(1)))
        for name in model.embeddings:
            jax.eval_shape(lambda n=name: model.curvature(n))
        for space, names in model.decoders.items():
            for name in names:
                z = jnp.zeros(model.latent_dim)
                jax.eval_shape(lambda z, n=name, s=space: model.decode(z, n, space=s), z)
    except flax.errors.FlaxError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"checkpoint {folder}: its parameters are not those of its model: {reason}"
        ) from error
    return model
