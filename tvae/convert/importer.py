"""A PyTorch checkpoint as parameters, metadata and, if asked for, Adam's moments."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tvae.convert.configuration import with_config
from tvae.convert.moments import read_moments
from tvae.convert.names import Slot, dual_vae, projected_vae
from tvae.convert.placement import place, to_tree
from tvae.convert.recognition import find_weights, recognise
from tvae.convert.torch_file.reader import MAX_LISTED
from tvae.convert.torch_file.zip_archive import printable
from tvae.errors import UserError

OPTIMIZER_KEYS = ("optimizer", "optimizer_state", "optimizer_state_dict")

MAX_LEFT_OUT = 1000
"""Values outside the state dict that JSON cannot hold, each listed by its path."""


class Imported(NamedTuple):
    """A converted checkpoint.

    Attributes:
      params: nested dictionary of float32 arrays, as the module's ``init`` makes it.
      metadata: JSON-compatible: ``config`` and ``metrics`` as of every checkpoint of this library
        (:func:`~tvae.convert.configuration.with_config`); ``kind``, ``model`` (its sizes),
        ``buffers``, ``source``, and ``state``: everything of the checkpoint but tensors of the
        model and the optimizer, such as rho, lambdas, histories, metrics and config.
      moments: ``{"exp_avg": tree, "exp_avg_sq": tree}`` like ``params``, or None; the number of
        updates and the settings are in the metadata under ``optimizer``.
    """

    params: dict[str, Any]
    metadata: dict[str, Any]
    moments: dict[str, Any] | None


def model_slots(metadata: Mapping[str, Any]) -> list[Slot]:
    """The tensors of a converted checkpoint, from its metadata."""
    model = metadata["model"]
    return dual_vae(**model) if metadata["kind"] == "v5_5" else projected_vae(**model)


def import_checkpoint(
    payload: Any, *, kind: str = "auto", include_optimizer: bool = False
) -> Imported:
    """Recognise a checkpoint and place every tensor.

    Args:
      payload: from :func:`tvae.convert.torch_file.read_torch_file`.
      kind: ``auto``, ``v5_5``, ``v5_11`` or ``v5_12``.
      include_optimizer: also take over Adam's moments.

    Raises:
      UserError: if the checkpoint is not of a known or of the wanted kind, if any tensor is
        missing, unexpected, misshapen or not finite, if a setting is out of range, or if the wanted
        optimizer is missing.
    """
    payload_key, weights = find_weights(payload)
    layout = recognise(weights, payload_key, kind)
    placed = place(weights, layout.slots)
    rest = {key: payload[key] for key in payload if key != payload_key} if payload_key else {}
    optimizer_key = next((key for key in OPTIMIZER_KEYS if key in rest), None)
    optimizer = rest.pop(optimizer_key) if optimizer_key else None
    left_out: list[str] = []
    metadata: dict[str, Any] = {
        "kind": layout.kind,
        "model": layout.model,
        "buffers": {slot.name: placed[slot.name].item() for slot in layout.slots if not slot.path},
        "state": plain(rest, (), left_out),
        "source": {
            "payload_key": payload_key,
            "optimizer_key": optimizer_key,
            "dtypes": {k: x.dtype.name for k, x in weights.items() if x.dtype != np.float32},
            "left_out": left_out,
        },
    }
    moments = None
    if include_optimizer:
        if optimizer is None:
            raise UserError("holds no optimizer to include")
        moments, settings = read_moments(optimizer, layout.slots)
        metadata["optimizer"] = plain(settings, ("optimizer",), left_out)
    return Imported(to_tree(placed, layout.slots), with_config(metadata), moments)


def plain(value: Any, path: tuple[Any, ...], left_out: list[str]) -> Any:
    """JSON-compatible values: NumPy numbers as Python's, tuples, sets and small arrays as lists.

    ``left_out`` receives the dotted paths of what JSON cannot hold; None replaces that.

    Raises:
      UserError: for more than ``MAX_LEFT_OUT`` such values.
    """
    if isinstance(value, dict):
        return {str(key): plain(item, (*path, key), left_out) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, path, left_out) for item in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [plain(item, (*path, [i]), left_out) for i, item in enumerate(value)]
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
        if value.size <= MAX_LISTED:
            return value.tolist()
    elif isinstance(value, (str, int, float, bool, type(None))):
        return value
    if len(left_out) == MAX_LEFT_OUT:
        raise UserError(f"holds more than {MAX_LEFT_OUT} values that are no numbers or text")
    left_out.append(_dotted(path))
    return None


def _dotted(path: tuple[Any, ...]) -> str:
    """A path in short, each index in brackets: ``("a", "b", [0])`` as "a.b[0]"."""
    words = (str(part) if isinstance(part, list) else f".{printable(str(part))}" for part in path)
    return "".join(words).removeprefix(".")
