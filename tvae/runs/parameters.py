"""Folders of parameters with their metadata, as models ship and conversions are stored."""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import orbax.checkpoint as ocp

from tvae.errors import UserError
from tvae.runs import archive, files

_MARKER = "commit_success.txt"


def save_params(
    folder: pathlib.Path,
    params: Any,
    metadata: Mapping[str, Any],
    keep: Callable[[pathlib.Path], None] | None = None,
) -> None:
    """Write ``params/`` (Orbax) and ``metadata.json``, as :func:`write_metadata`.

    Args:
      folder: must not exist, or be empty.
      params: tree of arrays.
      metadata: of the parameters.
      keep: writes further files into the folder, see :attr:`tvae.domains.views.Views.keep`.

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
        write_metadata(draft, params, metadata)
        if keep is not None:
            keep(draft)


def write_metadata(folder: pathlib.Path, params: Any, metadata: Mapping[str, Any]) -> None:
    """Write ``metadata.json`` with one digest, ``sha256``, of the parameters and of itself."""
    files.write_json(folder / files.METADATA_FILE, archive.seal(params, _unsealed(metadata)))


def _unsealed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as JSON gives them back, without their digest."""
    plain = json.loads(json.dumps(dict(metadata)))
    plain.pop("sha256", None)
    return plain


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
        # Version 0.1 left the metadata out of the digest.
        digests = archive.seal(params, _unsealed(metadata))["sha256"], archive.digest(params)
        intact = metadata["sha256"] in digests
    # As in archive.read: damage raises exceptions of many types.
    except Exception as error:
        raise UserError(
            f"checkpoint {folder} cannot be read: {archive.first_line(error)}"
        ) from error
    if not intact:
        raise UserError(f"checkpoint {folder} is damaged: its content does not match its digest")
    return params, metadata
