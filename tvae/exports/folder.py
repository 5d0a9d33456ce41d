"""The exported folder: everything of one model, whole or not at all, described by a manifest."""

import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

import tvae
from tvae.domains.views import BALL
from tvae.exports import programs, run_exported, tables
from tvae.model import Model
from tvae.runs import directories, files, text

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "params.safetensors"

_README = """\
# {name}: exported model

Domain `{task}`. Nothing here needs the library that wrote it, and nothing is a pickle.
`manifest.json` lists every file with its SHA-256 digest.

{about}

**Programs** (`programs/`): StableHLO with the parameters inside, for CPU, CUDA and TPU and any
batch size; `pip install jax numpy flatbuffers`.

```python
import jax, numpy as np
from jax import export

def load(name):
    return export.deserialize(bytearray(open(f"programs/{{name}}.jax_export", "rb").read()))

{example}
```

`manifest.json` states under `programs` what each takes and where that comes from. `python
run_exported.py` checks them all; `python run_exported.py {arguments}` reconstructs items.
{tables}
**Weights** (`weights/`): `safetensors.numpy.load_file("weights/params.safetensors")`, flat name ->
array, bit for bit.

## Metrics

```
{metrics}
```
"""

_TABLES = """
**Tables** (`tables/`): all {count:,} {items} with their attributes and embeddings.
`numpy.load("tables/{items}.npz", allow_pickle=False)`; the Parquet and CSV files hold the same as
one flat table, for DuckDB, pandas, Polars and others.

**Projector** (`projector/`): `tensorboard --logdir=projector`, tab Projector.
"""

_BY_INDEX = 'items = load("inputs").call(np.array([5], np.int32))'
_BY_EXAMPLE = 'items = np.load("programs/expected.npz")["items"][:1]'
_FROM_BALL = """points = load("embed_a").call(items)
outputs = load("decode_a").call(points)"""
_FROM_LATENT = """latents = load("encode").call(items)["mu_a"]
outputs = load("decode_a").call(latents)"""
_READ = 'index = load("read").call(outputs)            # of the most probable items'


def export_model(model: Model, target: pathlib.Path) -> dict[str, Any]:
    """Write tables, projector files, weights and programs of a model; returns the manifest.

    Args:
      model: any. Without a finite set of items there are no tables and projector files; the
        manifest states the reason under ``absent``.
      target: folder; must not exist, or be empty.

    Raises:
      UserError: if the folder holds something or cannot be written, or a package is missing.
    """
    for package in ("pyarrow", "safetensors", "flatbuffers"):
        tables.optional(package)
    with files.publishing(target) as draft:
        arrays: tables.Arrays = {}
        items = model.views.items
        for name in ("weights", "programs", *(("tables", "projector") if items else ())):
            (draft / name).mkdir(parents=True)
        if items:
            arrays = tables.item_arrays(model)
            labels = items.labels(jnp.asarray(arrays["index"]))
            tables.write_tables(draft / "tables", items.name, arrays, labels)
            tables.write_projector_files(draft / "projector", arrays, labels)
        write_weights(draft / "weights", model)
        if model.views.keep is not None:
            model.views.keep(draft)
        described = programs.write_programs(draft / "programs", model)
        shutil.copyfile(run_exported.__file__, draft / "run_exported.py")
        (draft / "README.md").write_text(_readme(model))
        manifest = _manifest(model, described, arrays)
        digests = directories.folder_digests(draft)
        manifest["files"] = {path: entry["sha256"] for path, entry in digests.items()}
        files.write_json(draft / MANIFEST_FILE, manifest)
    return manifest


def write_weights(folder: pathlib.Path, model: Model) -> None:
    """Write ``params.safetensors``: names such as ``encoder_a/hidden_0/kernel``, bits unchanged."""
    flat = flatten_dict(jax.device_get(model.params), sep="/")
    # A copy in C order: safetensors writes buffers as they lie in memory.
    tensors = {name: np.array(leaf, order="C") for name, leaf in flat.items()}
    # save_file would create the file with mode 0600.
    save = tables.optional("safetensors.numpy").save
    (folder / WEIGHTS_FILE).write_bytes(save(tensors, {"format": "flax", "task": model.task}))


def _readme(model: Model) -> str:
    """How to load each file."""
    items = model.views.items
    example = [_BY_INDEX if items else _BY_EXAMPLE]
    example += [_FROM_BALL if model.space == BALL else _FROM_LATENT, *([_READ] if items else [])]
    return _README.format(
        name=model.path.name,
        task=model.task,
        about=model.views.about,
        example="\n".join(example),
        arguments="--index 0 5 7" if items else "--items FILE",
        tables=_TABLES.format(items=items.name, count=items.count) if items else "",
        metrics=text.metrics_table(model.card.get("metrics", {})) or "none recorded",
    )


def _manifest(model: Model, described: dict[str, Any], arrays: tables.Arrays) -> dict[str, Any]:
    """The manifest without the digests of the files."""
    items, absent = model.views.items, f"the items of domain {model.task} are not a finite set"
    return {
        "name": model.path.name,
        "task": model.task,
        "input": {
            "shape": list(model.input_shape),
            "dtype": str(jnp.dtype(model.views.input_dtype)),
            "about": model.views.about,
        },
        "items": {"name": items.name, "count": items.count} if items else None,
        "absent": {} if items else {"tables": absent, "projector": absent},
        "latent_dim": model.latent_dim,
        "space": model.space,
        "embeddings": list(model.embeddings),
        "versions": {"tvae": tvae.__version__, "jax": jax.__version__},
        "parameters_sha256": model.card.get("sha256"),
        "programs": described,
        "arrays": {n: {"dtype": str(x.dtype), "shape": list(x.shape)} for n, x in arrays.items()},
        "metrics": dict(model.card.get("metrics", {})),
    }
