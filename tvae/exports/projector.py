"""Files for TensorBoard's embedding projector."""

import pathlib

import numpy as np

from tvae.exports.tables import Arrays, flat, optional

_METADATA = "metadata.tsv"


def _write_tsv(path: pathlib.Path, columns: Arrays, *, header: bool) -> None:
    """Write columns, tab-separated and without quotation marks."""
    csv = optional("pyarrow.csv")
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with path.open("wb") as file:
        if header:
            file.write(("\t".join(columns) + "\n").encode())
        csv.write_csv(optional("pyarrow").table(columns), file, options)


def write(folder: pathlib.Path, arrays: Arrays) -> None:
    """Write ``tensors.tsv``, ``metadata.tsv`` and ``projector_config.pbtxt``.

    The first embedding is in ``tensors.tsv``, a second one (B's) in ``tensors_b.tsv``; both share
    the metadata: index, valuation, radii and digits (as ``-``, ``0`` and ``+``).

    Args:
      folder: existing; TensorBoard's ``--logdir``.
      arrays: from :func:`tvae.exports.tables.operations`.

    Raises:
      UserError: if pyarrow is not installed.
    """
    tensors = [name for name in arrays if name.startswith(("points_", "latents_"))]
    config = []
    for position, name in enumerate(tensors):
        suffix = name[name.index("_") :] if position else ""
        path = f"tensors{suffix}.tsv"
        _write_tsv(folder / path, flat({name: arrays[name]}), header=False)
        config.append(
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_path: "{path}"\n'
            f'  metadata_path: "{_METADATA}"\n}}\n'
        )
    columns = {name: array for name, array in arrays.items() if array.ndim == 1}
    sign = np.asarray(["-", "0", "+"])[arrays["digits"] + 1]
    columns["digits"] = np.asarray(["".join(row) for row in sign])
    _write_tsv(folder / _METADATA, columns, header=True)
    (folder / "projector_config.pbtxt").write_text("".join(config))
