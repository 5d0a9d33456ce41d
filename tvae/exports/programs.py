"""Encode, embed and decode as self-contained programs: StableHLO with the parameters inside.

The batch size is symbolic, and one artefact serves CPU, CUDA and TPU.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from tvae.domains.views import BALL
from tvae.model import Model

PLATFORMS = ("cpu", "cuda", "tpu")
EXPECTED_FILE = "expected.npz"
N_EXPECTED = 64  # items whose outputs are kept beside the programs


@dataclasses.dataclass(frozen=True)
class Program:
    """A function to export.

    Attributes:
      function: of one array with a leading batch axis; returns an array or a dictionary of them.
      takes: kind of the input: ``"items"``, ``"index"``, ``"outputs"`` (of a decoder), ``"ball"``
        (points) or ``"latent"``.
      source: origin of the input: ``("items",)``, ``("index",)``, or a program and, if that returns
        a dictionary, the entry.
      returns: one line of text.
    """

    function: Callable[[jax.Array], Any]
    takes: str
    source: tuple[str, ...]
    returns: str


def programs(model: Model) -> dict[str, Program]:
    """The programs of a model by name, each after those that its input comes from.

    Returns:
      ``encode``; ``embed_a`` and so on, one for each embedding; ``decode_a`` and so on, decoders of
      the model's own space; ``decode_a_latent``, where the model has a decoder of another space;
      ``predict``, where the model predicts labels; where the items are a finite set, ``inputs``
      (items of indices) and ``read`` (the most probable items of a decoder's outputs).
    """
    encode = functools.partial(_encode, model)
    found = {"encode": Program(encode, "items", ("items",), "mu_a, ...: (n, latent_dim)")}
    for name in model.embeddings:
        function = functools.partial(model.embed, which=name)
        found[f"embed_{name}"] = Program(function, "items", ("items",), "points: (n, latent_dim)")
    for space, names in model.decoders.items():
        for name in names:
            function = functools.partial(model.decode, which=name, space=space)
            source = (f"embed_{name}",) if space == BALL else ("encode", f"mu_{name}")
            key = f"decode_{name}" if space == model.space else f"decode_{name}_{space}"
            found[key] = Program(function, space, source, "outputs: (n, ...)")
    if model.views.predict is not None:
        returns = "value: (n, labels), low, high: (levels, n, labels)"
        predict = functools.partial(_predict, model)
        found["predict"] = Program(predict, "items", ("items",), returns)
    if items := model.views.items:
        dtype, first = model.views.input_dtype, model.decoders[model.space][0]
        found["inputs"] = Program(
            lambda index: items.inputs(index).astype(dtype), "index", ("index",), "items: (n, ...)"
        )
        source = (f"decode_{first}",)
        found["read"] = Program(items.read, "outputs", source, "index: (n,), -1 for none")
    return found


def _encode(model: Model, x: jax.Array) -> dict[str, jax.Array]:
    """Posterior parameters by name, without those that the model lacks."""
    return {name: value for name, value in vars(model.encode(x)).items() if value is not None}


def _predict(model: Model, x: jax.Array) -> dict[str, jax.Array]:
    """Predictions and their intervals by name."""
    return dict(vars(model.predict(x)))


def export(program: Program, example: jax.Array) -> jax.export.Exported:
    """Lower a program for all platforms; only dtype and item shape of the example count."""
    (batch,) = jax.export.symbolic_shape("n")
    shape = jax.ShapeDtypeStruct((batch, *example.shape[1:]), example.dtype)
    # Full float32 everywhere: a GPU's or TPU's faster products would change the outputs.
    with jax.default_matmul_precision("highest"):
        return jax.export.export(jax.jit(program.function), platforms=PLATFORMS)(shape)


def write_programs(folder: pathlib.Path, model: Model) -> dict[str, Any]:
    """Write ``<name>.jax_export`` for each program, and their outputs for some items.

    Returns:
      The manifest's entries of the programs, by name.
    """
    examples = model.views.examples(N_EXPECTED).astype(model.views.input_dtype)
    outputs: dict[str, Any] = {"items": examples}
    if model.views.items:
        outputs["index"] = model.items.spread(N_EXPECTED)
    described: dict[str, Any] = {}
    for name, program in programs(model).items():
        given: Any = functools.reduce(lambda value, key: value[key], program.source, outputs)
        exported = export(program, given)
        (folder / f"{name}.jax_export").write_bytes(exported.serialize())
        outputs[name] = program.function(given)
        described[name] = {
            "takes": program.takes,
            "from": list(program.source),
            "input": {"dtype": str(given.dtype), "shape": ["n", *given.shape[1:]]},
            "returns": program.returns,
            "platforms": list(exported.platforms),
            "calling_convention_version": exported.calling_convention_version,
        }
    with (folder / EXPECTED_FILE).open("wb") as file:
        arrays = {name: np.asarray(a) for name, a in flatten_dict(outputs, sep=".").items()}
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return described
