"""One checkpoint: named arrays and a sealed record; digest, version and shape checks.

The arrays are in Orbax format (TensorStore), the record is JSON; one SHA-256 digest covers both, so
that damaged files are refused instead of silently used. Reading runs no code from the files.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import absl.logging
import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

import tvae
from tvae.errors import UserError
from tvae.runs import files

ARRAYS, RECORD = "state", "record"
"""Names of the two items of a checkpoint, each an Orbax folder."""
RECORD_FILE = f"{RECORD}/metadata"
"""Where Orbax's JSON handler puts the record."""
FORMAT = 3
"""Of a checkpoint; raised with every change of what it holds."""
_OVERHEAD = 1 << 16
"""Bytes that a folder takes beside its arrays, at most."""


class DamagedError(UserError):
    """A folder whose content is not that which was written."""


def on_host(tree: Any) -> Any:
    """A copy in host memory: the device buffers are donated to the next step.

    ``device_get`` alone would not do: on the CPU it returns views of these very buffers.
    """
    return jax.tree.map(lambda leaf: np.array(leaf, copy=True), jax.device_get(tree))


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by name, such as "opt_state/1/mu/encoder/kernel".

    >>> flatten({"a": [1, {"b": 2}]})
    {'a/0': 1, 'a/1/b': 2}
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def digest(tree: Any) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of a tree of arrays."""
    sha = hashlib.sha256()
    for name, leaf in flatten(tree).items():
        array = np.asarray(leaf)
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def seal(arrays: Any, record: dict[str, Any]) -> dict[str, Any]:
    """The record with one digest, ``sha256``, of a tree of arrays and of itself."""
    text = json.dumps(record, sort_keys=True)
    sha = hashlib.sha256(f"{digest(arrays)} {text}".encode())
    return record | {"sha256": sha.hexdigest()}


def first_line(error: BaseException) -> str:
    """The first line of an error message.

    >>> first_line(ValueError("Error writing 'w/0' in file 'f': No space [os_error_code=28]"))
    'No space'
    """
    line = (str(error).strip().splitlines() or [""])[0]
    # TensorStore puts the system's reason behind the names of all the files it was about.
    system = re.search(r"([^:\[\]]+) \[os_error_code=", line)
    return system[1].strip() if system else f"{type(error).__name__}: {line[:200]}"


@contextlib.contextmanager
def without_tracebacks() -> Iterator[None]:
    """Keep Orbax from logging errors that it also raises: hundreds of lines for a full disk."""

    def is_other(record: logging.LogRecord) -> bool:
        return "orbax" not in record.pathname or record.levelno < logging.ERROR

    logger = absl.logging.get_absl_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def read_arrays(folder: pathlib.Path) -> Any:
    """The tree of arrays in an Orbax folder, as NumPy arrays; damage raises various exceptions."""
    with ocp.StandardCheckpointer() as checkpointer:
        # The checkpointer's own metadata() needs a file that items of a run do not have.
        shapes = ocp.StandardCheckpointHandler().metadata(epath.Path(folder)).tree
        target = jax.tree.map(lambda m: np.empty(m.shape, m.dtype), shapes)
        return checkpointer.restore(folder, target)


def reserve(folder: pathlib.Path, size: int) -> None:
    """Raise OSError before saving if the disk has less than ``size`` bytes free.

    TensorStore finds out as well, but half-way, and its callbacks then outlive their event loop.
    """
    path = folder / "reserve"
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size + _OVERHEAD)
        except (OSError, AttributeError) as error:  # macOS does not have it, some disks neither
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
        finally:
            path.unlink()


def read_record(folder: pathlib.Path) -> dict[str, Any]:
    """The record alone, not compared with its digest.

    Raises:
      DamagedError: if it is missing or not readable.
    """
    try:
        return files.read_json(folder / RECORD_FILE, follow_links=True)
    except UserError as error:
        raise DamagedError(f"checkpoint {folder} cannot be read: {error}") from error


def read(folder: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and record of a folder.

    Raises:
      DamagedError: unless both are exactly what was saved.
    """
    record = read_record(folder)
    try:
        arrays = read_arrays(folder.absolute() / ARRAYS)
        sealed = record.pop("sha256")
        intact = seal(arrays, record)["sha256"] == sealed
    # Orbax and TensorStore report damage by exceptions of many types.
    except Exception as error:
        raise DamagedError(f"checkpoint {folder} cannot be read: {first_line(error)}") from error
    if not intact:
        raise DamagedError(f"checkpoint {folder} is damaged: its content does not match its digest")
    return arrays, record


def version() -> dict[str, Any]:
    """Format and package version, which have to be equal for a run to go on."""
    return {"format": FORMAT, "tvae": tvae.__version__}


def check_arrays(found: dict[str, Any], wanted: dict[str, Any], where: pathlib.Path) -> None:
    """Refuse arrays whose names, dtypes or shapes differ from the target's."""

    def spec(leaf: Any) -> str:
        return "absent" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"

    for name in sorted(found.keys() | wanted.keys()):
        old, new = spec(found.get(name)), spec(wanted.get(name))
        if old != new:
            raise UserError(f"checkpoint {where}: {name} is {old}, expected {new}")


def check_version(record: dict[str, Any], where: pathlib.Path) -> None:
    """Refuse a checkpoint that another version wrote."""
    for name, ours in version().items():
        theirs = record.get(name, "(absent)")
        if theirs != ours:
            raise UserError(f"checkpoint {where} is of another version: {name} {theirs} -> {ours}")


def check_format(where: pathlib.Path) -> None:
    """Refuse, as of another version, a checkpoint that seems damaged because its format differs."""
    # Format 1 had this folder in place of the record.
    old = (where / "progress").is_dir() and not (where / RECORD).exists()
    record = {"format": 1} if old else read_record(where)
    if record.get("format") != FORMAT:
        check_version(record, where)
