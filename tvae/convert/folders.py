"""Converted checkpoints on disk: all of it or nothing."""

import os
import pathlib
import shutil
import tempfile

from tvae.convert.exporter import export_checkpoint, write_torch_file
from tvae.convert.importer import Imported
from tvae.errors import UserError
from tvae.runs import params as parameters

OPTIMIZER_FOLDER = "optimizer"


def check_absent(path: pathlib.Path) -> None:
    """Refuse to overwrite."""
    if os.path.lexists(path):
        raise UserError(f"output {path}: exists already")


def write_folder(folder: pathlib.Path, imported: Imported) -> None:
    """Write a converted checkpoint as :func:`tvae.runs.params.save_params` does.

    Moments go to the folder ``optimizer`` inside, in the same format. The folder appears at once
    and whole, or not at all.

    Args:
      folder: must not exist.
      imported: parameters, metadata and moments.

    Raises:
      UserError: if the folder exists or cannot be written.
    """
    check_absent(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        workspace = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(f"output {folder}: {error.strerror}") from None
    try:
        draft = workspace / folder.name
        parameters.save_params(draft, imported.params, imported.metadata)
        if imported.moments is not None:
            settings = imported.metadata["optimizer"]
            parameters.save_params(draft / OPTIMIZER_FOLDER, imported.moments, settings)
        check_absent(folder)
        draft.rename(folder)
    except OSError as error:
        raise UserError(f"output {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(workspace)


def read_folder(folder: pathlib.Path) -> Imported:
    """Read what :func:`write_folder` wrote.

    Raises:
      UserError: if it is missing or damaged.
    """
    params, metadata = parameters.load_params(folder)
    moments = None
    if (folder / OPTIMIZER_FOLDER).exists():
        moments, _ = parameters.load_params(folder / OPTIMIZER_FOLDER)
    return Imported(params, metadata, moments)


def folder_to_torch(folder: pathlib.Path, path: pathlib.Path) -> None:
    """Write a converted checkpoint as a ``.pt`` file with the original's names; needs PyTorch.

    Args:
      folder: from :func:`write_folder`.
      path: file to write; must not exist. It appears whole or not at all.

    Raises:
      UserError: if the folder does not hold a converted checkpoint, PyTorch is missing, or the
        file exists or cannot be written.
    """
    check_absent(path)
    found = read_folder(folder)
    payload = export_checkpoint(found.params, found.metadata, found.moments)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as workspace:
            draft = pathlib.Path(workspace) / path.name
            write_torch_file(draft, payload, found.metadata["source"]["dtypes"])
            draft.rename(path)
    except OSError as error:
        raise UserError(f"output {path}: {error.strerror}") from None
