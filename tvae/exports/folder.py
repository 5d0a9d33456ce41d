"""The exported folder: everything of one model, whole or not at all, described by a manifest."""

import pathlib
import shutil
from typing import Any

import jax

import tvae
from tvae.domains.views import BALL
from tvae.exports import programs, projector, run_exported, tables, weights
from tvae.model import Model
from tvae.runs import files
from tvae.runs import log as writers

MANIFEST_FILE = "manifest.json"
ROOMS = ("tables", "projector", "weights", "programs")

_README = """\
# {name}: exported model

Task `{task}`, {n_operations:,} operations of {n_digits} digits. Nothing here needs the library
that wrote it, and nothing is a pickle. `manifest.json` lists every file with its SHA-256 digest.

An operation is {n_digits} digits -1, 0, +1 (the entries of its truth table), least significant
first: digit k of index i is `i // 3**k % 3 - 1`.

**Programs** (`programs/`): StableHLO with the parameters inside, for CPU, CUDA and TPU and any
batch size; `pip install jax numpy flatbuffers`.

```python
import jax, numpy as np
from jax import export

def load(name):
    return export.deserialize(bytearray(open(f"programs/{{name}}.jax_export", "rb").read()))

digits = np.array([[1, 0] + [-1] * {rest}], np.int8)        # operation 5
{example}
assert (np.argmax(logits, -1) - 1 == digits).all()          # classes 0, 1, 2 are -1, 0, +1
```

`manifest.json` says under `programs` what each takes and where that comes from. `python
run_exported.py` checks them all; `python run_exported.py --index 0 5 7` reconstructs operations.

**Tables** (`tables/`): every operation with its digits, valuation and embeddings.
`numpy.load("tables/operations.npz", allow_pickle=False)`; the Parquet and CSV files hold the same
as one flat table, for DuckDB, pandas, Polars and others.

**Projector** (`projector/`): `tensorboard --logdir=projector`, tab Projector.

**Weights** (`weights/`): `safetensors.numpy.load_file("weights/params.safetensors")`, flat name ->
array, bit for bit.

## Metrics

```
{metrics}
```
"""

_FROM_BALL = """points = load("embed_a").call(digits)
logits = load("decode_a").call(points)"""
_FROM_LATENT = """latents = load("encode").call(digits)["mu_a"]
logits = load("decode_a").call(latents)"""


def write(model: Model, target: pathlib.Path) -> dict[str, Any]:
    """Write tables, projector files, weights and programs of a model.

    Args:
      model: any.
      target: folder; must not exist, or be empty.

    Returns:
      The manifest.

    Raises:
      UserError: if the folder holds something or cannot be written, or a package is missing.
    """
    for package in ("pyarrow", "safetensors", "flatbuffers"):
        tables.optional(package)
    with files.publishing(target) as draft:
        draft.mkdir()
        for room in ROOMS:
            (draft / room).mkdir()
        arrays = tables.operations(model)
        tables.write(draft / "tables", arrays)
        projector.write(draft / "projector", arrays)
        weights.write(draft / "weights", model)
        described = programs.write(draft / "programs", model)
        shutil.copyfile(run_exported.__file__, draft / "run_exported.py")
        metrics = dict(model.card.get("metrics", {}))
        (draft / "README.md").write_text(_readme(model, metrics))
        digests = {path: each["sha256"] for path, each in files.folder_digests(draft).items()}
        manifest = _manifest(model, described, arrays, metrics) | {"files": digests}
        files.write_json(draft / MANIFEST_FILE, manifest)
    return manifest


def _readme(model: Model, metrics: dict[str, Any]) -> str:
    """How to load each file."""
    return _README.format(
        name=model.description.path.name,
        task=model.task,
        n_operations=model.n_operations,
        n_digits=model.n_digits,
        rest=model.n_digits - 2,
        example=_FROM_BALL if model.space == BALL else _FROM_LATENT,
        metrics=writers.table(metrics) or "none recorded",
    )


def _manifest(
    model: Model, described: dict[str, Any], arrays: tables.Arrays, metrics: dict[str, Any]
) -> dict[str, Any]:
    """What the files say, but their digests."""
    return {
        "name": model.description.path.name,
        "task": model.task,
        "n_digits": model.n_digits,
        "n_operations": model.n_operations,
        "latent_dim": model.latent_dim,
        "space": model.space,
        "embeddings": list(model.embeddings),
        "versions": {"tvae": tvae.__version__, "jax": jax.__version__},
        "parameters_sha256": model.card.get("sha256"),
        "programs": described,
        "arrays": {
            name: {"dtype": str(array.dtype), "shape": list(array.shape)}
            for name, array in arrays.items()
        },
        "metrics": metrics,
    }
