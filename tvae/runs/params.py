"""Parameters alone, with what is known about them: what ships, and what is converted."""

import json
import pathlib
from typing import Any

import orbax.checkpoint as ocp

from tvae.errors import UserError
from tvae.runs import archive

_MARKER = "commit_success.txt"
PARAMS_FOLDER = "params"
METADATA_FILE = "metadata.json"


def save_params(folder: pathlib.Path, params: Any, metadata: dict[str, Any]) -> None:
    """Write parameters and what is known about them, as ``checkpoints/`` ships them.

    Args:
      folder: must not exist; gets ``params/`` (Orbax) and ``metadata.json``.
      params: parameter tree.
      metadata: JSON-compatible; the digest of the parameters is added as ``sha256``.

    Raises:
      UserError: if the folder exists or cannot be written.
    """
    if folder.exists():
        raise UserError(f"output folder {folder}: exists already")
    params = archive.on_host(params)
    try:
        folder.mkdir(parents=True)
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / PARAMS_FOLDER, params)
        # Orbax writes the folder's absolute path into its marker: not for others to read.
        (folder / PARAMS_FOLDER / _MARKER).write_text("Checkpoint commit was successful\n")
        text = json.dumps(metadata | {"sha256": archive.digest(params)}, indent=2)
        (folder / METADATA_FILE).write_text(text + "\n")
    except OSError as error:
        raise UserError(f"output folder {folder}: {archive.first_line(error)}") from error


def load_params(folder: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    """Read what :func:`save_params` wrote.

    Args:
      folder: with ``params/`` and ``metadata.json``.

    Returns:
      ``(params, metadata)``; arrays are NumPy arrays.

    Raises:
      UserError: if it is missing or damaged.
    """
    for needed in (folder / PARAMS_FOLDER, folder / METADATA_FILE):
        if not needed.exists():
            raise UserError(f"checkpoint {folder}: {needed.name} is missing")
    try:
        metadata = json.loads((folder / METADATA_FILE).read_text())
        params = archive.read_arrays(folder.absolute() / PARAMS_FOLDER)
        intact = metadata["sha256"] == archive.digest(params)
    # As in archive.read: damage shows by many types.
    except Exception as error:
        raise UserError(
            f"checkpoint {folder} cannot be read: {archive.first_line(error)}"
        ) from error
    if not intact:
        raise UserError(f"checkpoint {folder} is damaged: its content does not match its digest")
    return params, metadata
