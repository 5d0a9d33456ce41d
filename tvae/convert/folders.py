"""Converted checkpoints on disk, written whole or not at all."""

import pathlib

from tvae.convert.exporter import export_checkpoint, write_torch_file
from tvae.convert.importer import Imported
from tvae.runs import files, parameters

OPTIMIZER_FOLDER = "optimizer"


def write_folder(folder: pathlib.Path, imported: Imported) -> None:
    """Write a converted checkpoint as :func:`tvae.runs.parameters.save_params` does.

    Moments go to the folder ``optimizer`` inside, in the same format.

    Raises:
      UserError: if the folder exists or cannot be written.
    """
    with files.publishing(folder) as draft:
        parameters.save_params(draft, imported.params, imported.metadata)
        if imported.moments is not None:
            settings = imported.metadata["optimizer"]
            parameters.save_params(draft / OPTIMIZER_FOLDER, imported.moments, settings)


def read_folder(folder: pathlib.Path) -> Imported:
    """Read what :func:`write_folder` wrote.

    Raises:
      UserError: if it is missing or damaged.
    """
    restored, metadata = parameters.load_params(folder)
    moments = None
    if (folder / OPTIMIZER_FOLDER).exists():
        moments, _ = parameters.load_params(folder / OPTIMIZER_FOLDER)
    return Imported(restored, metadata, moments)


def folder_to_torch(folder: pathlib.Path, path: pathlib.Path) -> None:
    """Write a converted checkpoint as a ``.pt`` file with the reference system's names.

    Raises:
      UserError: if the folder does not hold a converted checkpoint, PyTorch is missing, or the
        file exists or cannot be written.
    """
    with files.publishing(path) as draft:
        found = read_folder(folder)
        payload = export_checkpoint(found.params, found.metadata, found.moments)
        write_torch_file(draft, payload, found.metadata["source"]["dtypes"])
