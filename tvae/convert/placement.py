"""Named tensors of the reference system to parameter trees, checked, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from tvae.convert.names import Slot
from tvae.convert.torch_file.zip_archive import printable
from tvae.errors import UserError

Named = dict[str, np.ndarray]

_MAX_NAMES = 40
"""Names that a message lists of each fault."""


def place(weights: Mapping[str, np.ndarray], slots: list[Slot]) -> Named:
    """Check every tensor against its slot; name to float32 array, in the order of the slots.

    Raises:
      UserError: one line with all missing, unexpected, misshapen, mistyped and non-finite tensors.
    """
    expected = {slot.name for slot in slots}
    faults: dict[str, list[str]] = {
        "missing": [],
        "unexpected": [printable(name) for name in weights if name not in expected],
        "wrong shape": [],
        "no floating-point numbers": [],
        "not finite": [],
    }
    placed = {}
    for slot in slots:
        array = weights.get(slot.name)
        if array is None:
            faults["missing"].append(slot.name)
        elif array.shape != slot.shape:
            faults["wrong shape"].append(f"{slot.name} {array.shape} instead of {slot.shape}")
        elif array.dtype.name not in ("float32", "float64", "float16", "bfloat16"):
            faults["no floating-point numbers"].append(f"{slot.name} ({array.dtype.name})")
        else:
            placed[slot.name] = to_float32(array)
            if not np.isfinite(placed[slot.name]).all():
                faults["not finite"].append(slot.name)
    if lines := [f"{fault}: {_enumerate(listed)}" for fault, listed in faults.items() if listed]:
        raise UserError("does not fit; " + "; ".join(lines))
    return placed


def _enumerate(listed: list[str]) -> str:
    more = len(listed) - _MAX_NAMES
    return ", ".join(listed[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def to_float32(array: np.ndarray) -> np.ndarray:
    """Cast; numbers beyond float32 become infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def to_tree(named: Mapping[str, np.ndarray], slots: list[Slot]) -> dict[str, Any]:
    """Nest arrays by the paths of their slots; matrices are transposed, buffers left out."""
    return unflatten_dict({s.path: named[s.name].T.copy(order="C") for s in slots if s.path})


def from_tree(tree: Mapping[str, Any], slots: list[Slot]) -> Named:
    """The reverse of :func:`to_tree`.

    Raises:
      UserError: if the tree lacks one of the slots.
    """
    leaves = flatten_dict(tree)
    named: Named = {}
    for slot in (s for s in slots if s.path):
        if slot.path not in leaves:
            raise UserError(f"the parameters lack {'/'.join(slot.path)}")
        array = np.asarray(leaves[slot.path]).T.copy(order="C")
        if array.shape != slot.shape:
            raise UserError(f"{'/'.join(slot.path)} has shape {array.T.shape}")
        named[slot.name] = array
    return named
