"""Read a PyTorch ``.pt`` file without PyTorch and without running code from it."""

import os
import pathlib
from typing import Any

import numpy as np

from tvae.convert.torch_file.budget import BYTES_PER_VALUE, EXPANSION, SLACK_BYTES, Budget
from tvae.convert.torch_file.pickle_machine import Global, Machine
from tvae.convert.torch_file.values import Constructors
from tvae.convert.torch_file.zip_archive import find_root, printable, read_entries
from tvae.errors import UserError
from tvae.runs import files

DEFAULT_MAX_BYTES = 2**30
# A training run's pickle has tens of kilobytes.
MAX_PICKLE_BYTES = 4 * 2**20
_MAX_DEPTH = 64
# NumPy's numbers as Python's, which is what becomes of small arrays outside the weights.
_BYTES_PER_LISTED_NUMBER = 32
MAX_LISTED = 4096
"""Numbers of an array that a listing of plain values shows at most."""

# torch.save's magic number before version 1.6, pickled, and the header of the yet older tar.
_LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def read_torch_file(
    source: str | os.PathLike[str] | bytes, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> Any:
    """Read a checkpoint that ``torch.save`` wrote.

    Args:
      source: path, or the file's bytes.
      max_bytes: limit for the file, for what it unpacks to and for its tensors, each in bytes.

    Returns:
      The saved value: nested plain containers with each tensor as a NumPy array of its own
      (bfloat16 and float8 as ml_dtypes' types) in native byte order. Ordered dictionaries become
      dictionaries in the same order.

    Raises:
      UserError: if the file is not such a checkpoint, is damaged, too large, or asks for code.
    """
    label, data = "file", source
    if not isinstance(data, bytes):
        path = pathlib.Path(data)
        label = printable(path.name)
        data = files.read_bytes(path, limit=max_bytes, follow_links=True)
    try:
        return _parse(data, max_bytes)
    except UserError as error:
        raise UserError(f"{label}: {error}") from None


def _parse(data: bytes, max_bytes: int) -> Any:
    if not data:
        raise UserError("is empty")
    if len(data) > max_bytes:
        raise UserError(f"is larger than the limit of {max_bytes} bytes")
    if _LEGACY_MAGIC in data[:32] or data[257:262] == b"ustar":
        raise UserError(
            "has PyTorch's format from before version 1.6; load and save it with a newer PyTorch"
        )
    if not data.startswith(b"PK"):
        raise UserError("is not a PyTorch checkpoint (no zip file)")
    entries = read_entries(data, max_bytes)
    root = find_root(list(entries), "data.pkl")
    pickle = entries[root + "data.pkl"]
    if len(pickle) > MAX_PICKLE_BYTES:
        raise UserError(f"its pickle has {len(pickle)} bytes, more than {MAX_PICKLE_BYTES}")
    byteorder = entries.get(root + "byteorder", b"little").decode("latin1").strip()
    if byteorder not in ("little", "big"):
        raise UserError("its byte order is neither little nor big")
    folder = root + "data/"
    storages = {
        name.removeprefix(folder): content
        for name, content in entries.items()
        if name.startswith(folder)
    }
    content = sum(map(len, entries.values()))
    budget = Budget(min(max_bytes, SLACK_BYTES + EXPANSION * content))
    constructors = Constructors(storages, byteorder, budget)
    value = Machine(constructors.table, constructors.load_storage, budget).run(pickle)
    return _unfold(value, 0, budget)


def _unfold(value: Any, depth: int, budget: Budget) -> Any:
    """Copy values of the machine as plain ones; refuse loops and exploding references.

    Each reference to a value counts with the whole of it: those who list, print or store the result
    follow them all.
    """
    if depth > _MAX_DEPTH:
        raise UserError(f"its values are nested more than {_MAX_DEPTH} levels deep")
    budget.charge(_size(value))
    if isinstance(value, dict):
        for key in value:
            budget.charge(_size(key))
        return {key: _unfold(item, depth + 1, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_unfold(item, depth + 1, budget) for item in value]
    if isinstance(value, tuple):
        return tuple(_unfold(item, depth + 1, budget) for item in value)
    if isinstance(value, (set, frozenset)):
        for item in value:
            budget.charge(_size(item))
        return value
    if isinstance(value, Global) and isinstance(value.value, str):
        return value.value
    plain = (str, bytes, int, float, bool, np.ndarray, np.generic, type(None))
    if isinstance(value, plain):
        return value
    raise UserError(f"it holds a bare {type(value).__name__}, which is no value")


def _size(value: Any) -> int:
    """Bytes that a value counts for, those that it contains left out."""
    if isinstance(value, (str, bytes)):
        return BYTES_PER_VALUE + len(value)
    if isinstance(value, np.ndarray) and value.size <= MAX_LISTED:
        return BYTES_PER_VALUE + _BYTES_PER_LISTED_NUMBER * value.size
    return BYTES_PER_VALUE
