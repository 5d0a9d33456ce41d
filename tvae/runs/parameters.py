"""Folders of parameters with their metadata, as models ship and conversions are stored."""

import pathlib
from typing import Any

import orbax.checkpoint as ocp

from tvae.errors import UserError
from tvae.runs import archive, files

_MARKER = "commit_success.txt"


def save_params(folder: pathlib.Path, params: Any, metadata: dict[str, Any]) -> None:
    """Write ``params/`` (Orbax) and ``metadata.json``, which gets their digest as ``sha256``.

    Raises:
      UserError: if the folder exists and is not empty, or cannot be written.
    """
    params = archive.on_host(params)
    with files.publishing(folder) as draft:
        draft.mkdir()
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(draft.absolute() / files.PARAMS_FOLDER, params)
        # Orbax writes the folder's absolute path into its marker: not for others to read.
        (draft / files.PARAMS_FOLDER / _MARKER).write_text("Checkpoint commit was successful\n")
        files.write_json(draft / files.METADATA_FILE, metadata | {"sha256": archive.digest(params)})


def load_params(folder: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    """Parameters, as NumPy arrays, and metadata that :func:`save_params` wrote.

    Raises:
      UserError: if it is missing or damaged.
    """
    for needed in (folder / files.PARAMS_FOLDER, folder / files.METADATA_FILE):
        if not needed.exists():
            raise UserError(f"checkpoint {folder}: {needed.name} is missing")
    try:
        metadata = files.read_json(folder / files.METADATA_FILE, follow_links=True)
        params = archive.read_arrays(folder.absolute() / files.PARAMS_FOLDER)
        intact = metadata["sha256"] == archive.digest(params)
    # As in archive.read: damage raises exceptions of many types.
    except Exception as error:
        raise UserError(
            f"checkpoint {folder} cannot be read: {archive.first_line(error)}"
        ) from error
    if not intact:
        raise UserError(f"checkpoint {folder} is damaged: its content does not match its digest")
    return params, metadata
