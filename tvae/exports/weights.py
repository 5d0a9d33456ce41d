"""Parameters as safetensors, under flat names."""

import pathlib

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from tvae.exports.tables import optional
from tvae.model import Model

FILE = "params.safetensors"


def write(folder: pathlib.Path, model: Model) -> None:
    """Write ``params.safetensors``: names such as ``encoder_a/hidden_0/kernel``, bits unchanged.

    Raises:
      UserError: if safetensors is not installed.
    """
    flat = flatten_dict(jax.device_get(model.params), sep="/")
    # A copy in C order: safetensors writes buffers as they lie in memory.
    tensors = {name: np.array(leaf, order="C") for name, leaf in flat.items()}
    # Not save_file, which makes a file that only its owner can read.
    content = optional("safetensors.numpy").save(tensors, {"format": "flax", "task": model.task})
    (folder / FILE).write_bytes(content)
