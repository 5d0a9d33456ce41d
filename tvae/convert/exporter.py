"""Export of a converted checkpoint as a ``.pt`` file with the reference system's names."""

import pathlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from tvae.convert.importer import model_slots
from tvae.convert.moments import write_moments
from tvae.convert.placement import from_tree
from tvae.errors import UserError, needs_extra


def export_checkpoint(
    params: Mapping[str, Any], metadata: Mapping[str, Any], moments: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Undo :func:`tvae.convert.importer.import_checkpoint`.

    Returns:
      The checkpoint as the reference system saves it, with NumPy arrays for tensors.

    Raises:
      UserError: if the parameters do not fit the metadata.
    """
    if not {"kind", "model", "buffers", "state", "source"} <= metadata.keys():
        raise UserError("the checkpoint's metadata does not name its PyTorch model")
    slots = model_slots(metadata)
    buffers = {name: np.asarray(x, np.float32) for name, x in metadata["buffers"].items()}
    named, source = buffers | from_tree(params, slots), metadata["source"]
    weights = OrderedDict((slot.name, named[slot.name]) for slot in slots)
    if not source["payload_key"]:
        return weights
    payload = {**metadata["state"], source["payload_key"]: weights}
    if moments is not None:
        payload[source["optimizer_key"]] = write_moments(moments, metadata["optimizer"], slots)
    return payload


def write_torch_file(
    path: pathlib.Path, payload: Mapping[str, Any], dtypes: Mapping[str, str]
) -> None:
    """Save :func:`export_checkpoint`'s payload; ``torch.load(weights_only=True)`` reads it.

    Tensors named in ``dtypes`` are saved as that type.

    Raises:
      UserError: if PyTorch is not installed, or the file exists or cannot be written.
    """
    with needs_extra("torch", "--to_torch"):
        import torch

    def tensors(value: Any, name: str = "") -> Any:
        if isinstance(value, (np.ndarray, np.generic)):
            tensor = torch.from_numpy(np.array(value))
            return tensor.to(kinds[dtypes[name]]) if name in dtypes else tensor
        if isinstance(value, dict):
            return type(value)((key, tensors(item, key)) for key, item in value.items())
        return [tensors(item) for item in value] if isinstance(value, list) else value

    kinds = {"float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}
    try:
        with path.open("xb") as file:
            torch.save(tensors(payload), file)
    except FileExistsError:
        raise UserError(f"output file {path}: exists already") from None
    except OSError as error:
        raise UserError(f"output file {path}: {error.strerror}") from None
