"""Parameters alone, with what is known about them: what ships, and what is converted."""

import pathlib
from typing import Any

import orbax.checkpoint as ocp

from tvae.errors import UserError
from tvae.runs import archive, files

_MARKER = "commit_success.txt"
PARAMS_FOLDER, METADATA_FILE = files.PARAMS_FOLDER, files.METADATA_FILE


def save_params(folder: pathlib.Path, params: Any, metadata: dict[str, Any]) -> None:
    """Write parameters and what is known about them, as ``checkpoints/`` ships them.

    Args:
      folder: must not exist, or be empty; gets ``params/`` (Orbax) and ``metadata.json``.
      params: parameter tree.
      metadata: JSON-compatible; the digest of the parameters is added as ``sha256``.

    Raises:
      UserError: if the folder exists or cannot be written.
    """
    params = archive.on_host(params)
    with files.publishing(folder) as draft:
        draft.mkdir()
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(draft.absolute() / PARAMS_FOLDER, params)
        # Orbax writes the folder's absolute path into its marker: not for others to read.
        (draft / PARAMS_FOLDER / _MARKER).write_text("Checkpoint commit was successful\n")
        files.write_json(draft / METADATA_FILE, metadata | {"sha256": archive.digest(params)})


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
        metadata = files.read_json(folder / METADATA_FILE, follow_links=True)
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
