"""All items with their embeddings: tables, and files for TensorBoard's embedding projector."""

import importlib
import importlib.util
import pathlib
from types import ModuleType

import jax.numpy as jnp
import numpy as np

from tvae.errors import needs_extra
from tvae.geometry import poincare
from tvae.model import Model

Arrays = dict[str, np.ndarray]
_METADATA = "metadata.tsv"


def optional(module: str) -> ModuleType:
    """A module of the extra ``export``.

    Raises:
      UserError: if it is not installed.
    """
    with needs_extra("export", "export"):
        return importlib.import_module(module)


def item_arrays(model: Model) -> Arrays:
    """Every item, its attributes and its place in the model.

    Returns:
      ``index`` int32 ``(N,)``; the columns of the items, such as their level; and for each
      embedding, here A's, ``points_a`` float32 ``(N, latent_dim)``,
      ``radius_a`` ``(N,)`` (hyperbolic) and ``curvature_a`` ``()``. A model without a ball has
      ``latents_a`` (posterior means) and their Euclidean ``norm_a`` instead.

    Raises:
      UserError: if the items are not a finite set.
    """
    items = model.items
    index = jnp.arange(items.count, dtype=jnp.int32)
    x = items.inputs(index)
    arrays = {"index": index} | dict(items.columns(index))
    for name in model.embeddings:
        z, c = model.embed(x, name), model.curvature(name)
        arrays[f"points_{name}"] = z
        arrays[f"radius_{name}"] = poincare.hyperbolic_radius(z, c=c)
        arrays[f"curvature_{name}"] = c
    if not model.embeddings:
        posterior = model.encode(x)
        for name, mu in (("a", posterior.mu_a), ("b", posterior.mu_b)):
            if mu is not None:
                arrays[f"latents_{name}"] = mu
                arrays[f"norm_{name}"] = jnp.linalg.norm(mu, axis=-1)
    return {name: np.asarray(array) for name, array in arrays.items()}


def flat(arrays: Arrays) -> Arrays:
    """The same as columns ``(N,)`` of one table: matrices by column, constants left out.

    >>> list(flat({"index": np.arange(2), "code": np.zeros((2, 2)), "curvature_a": np.ones(())}))
    ['index', 'code_0', 'code_1']
    """
    columns: Arrays = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = array
        elif array.ndim == 2:
            columns |= {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
    return columns


def write_tables(folder: pathlib.Path, name: str, arrays: Arrays, labels: list[str]) -> None:
    """Write :func:`item_arrays` and labels as ``<name>.npz``, ``<name>.parquet``, ``<name>.csv``.

    And the first embedding as ``<name>.vec``, for programs that read word vectors; and where the
    package ``anndata`` is installed all embeddings as ``<name>.h5ad``.
    """
    if importlib.util.find_spec("anndata"):
        write_anndata(folder / f"{name}.h5ad", arrays, labels)
    arrays = arrays | {"label": np.asarray(labels)}
    table = optional("pyarrow").table(flat(arrays))
    points = next(name for name in arrays if name.startswith(("points_", "latents_")))
    write_word2vec(folder / f"{name}.vec", labels, arrays[points])
    with (folder / f"{name}.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    optional("pyarrow.parquet").write_table(table, folder / f"{name}.parquet")
    optional("pyarrow.csv").write_csv(table, folder / f"{name}.csv")


def write_anndata(path: pathlib.Path, arrays: Arrays, labels: list[str]) -> None:
    """Write an annotated matrix: items are observations, embeddings are in ``obsm``.

    ``X_tvae`` is the first embedding, ``X_tvae_b`` B's; single columns are in ``obs``.
    """
    anndata, pandas = importlib.import_module("anndata"), importlib.import_module("pandas")
    embeddings = [n for n in arrays if n.startswith(("points_", "latents_"))]
    single = {n: array for n, array in arrays.items() if array.ndim == 1}
    anndata.AnnData(
        obs=pandas.DataFrame(single, index=pandas.Index(labels, dtype=str)),
        obsm={
            "X_tvae" + (n[n.index("_") :] if i else ""): arrays[n] for i, n in enumerate(embeddings)
        },
    ).write_h5ad(path)


def write_word2vec(path: pathlib.Path, labels: list[str], points: np.ndarray) -> None:
    """Write points in the text format of word2vec, as gensim's ``KeyedVectors`` reads it.

    A line ``n d``, then a label and its numbers a line; spaces in labels become underscores.
    """
    rows = (" ".join(map(repr, row)) for row in points.astype(float).tolist())
    words = ("_".join(label.split()) or "_" for label in labels)
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{points.shape[0]} {points.shape[1]}\n")
        file.writelines(f"{word} {row}\n" for word, row in zip(words, rows, strict=True))


def write_projector_files(folder: pathlib.Path, arrays: Arrays, labels: list[str]) -> None:
    """Write ``tensors.tsv``, ``metadata.tsv`` and ``projector_config.pbtxt``.

    The first embedding is in ``tensors.tsv``, a second one (B's) in ``tensors_b.tsv``; both share
    the metadata: index, single columns of the items, radii and label.
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
    columns |= {"label": np.asarray(labels)}
    _write_tsv(folder / _METADATA, {n: _plain(c) for n, c in columns.items()}, header=True)
    (folder / "projector_config.pbtxt").write_text("".join(config))


def _plain(column: np.ndarray) -> np.ndarray:
    """Texts without the signs that the projector's files have for lines, cells and quotations."""
    if column.dtype.kind not in "UO":
        return column
    return np.asarray([" ".join(str(text).split()).replace('"', "'") for text in column])


def _write_tsv(path: pathlib.Path, columns: Arrays, *, header: bool) -> None:
    """Write columns, tab-separated and without quotation marks."""
    csv = optional("pyarrow.csv")
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with path.open("wb") as file:
        if header:
            file.write(("\t".join(columns) + "\n").encode())
        csv.write_csv(optional("pyarrow").table(columns), file, options)
