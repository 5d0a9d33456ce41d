"""Encode, embed and decode as self-contained programs: StableHLO with the parameters inside.

``encode`` and ``embed`` take int8 digits -1, 0, +1 (least significant first); the most probable
class of ``decode``'s logits, minus 1, is that digit again. The batch size is symbolic, and one
artefact serves CPU, CUDA and TPU.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from tvae.exports.tables import optional
from tvae.geometry import padic as ternary
from tvae.model import Model

PLATFORMS = ("cpu", "cuda", "tpu")
EXPECTED_FILE = "expected.npz"
N_EXPECTED = 64
"""Operations, evenly spread, whose outputs are kept beside the programs."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A function to export.

    Attributes:
      function: of one array with a leading batch axis; returns an array or a dictionary of them.
      takes: what the input is: ``"digits"``, ``"ball"`` (points) or ``"latent"``.
      source: where the input comes from: ``("digits",)``, or a program and, if that returns a
        dictionary, the entry.
      returns: one line.
    """

    function: Callable[[jax.Array], Any]
    takes: str
    source: tuple[str, ...]
    returns: str


def programs(model: Model) -> dict[str, Program]:
    """The programs of a model by name.

    Returns:
      ``encode``; ``embed_a`` and so on, one for each embedding; ``decode_a`` and so on, decoders of
      the model's own space; ``decode_a_latent``, where the model has a decoder of another space.
    """
    found = {
        "encode": Program(
            functools.partial(_encode, model),
            "digits",
            ("digits",),
            "mu_a, ...: (n, latent_dim)",
        )
    }
    for name in model.embeddings:
        function = functools.partial(model.embed, which=name)
        found[f"embed_{name}"] = Program(function, "digits", ("digits",), "points: (n, latent_dim)")
    for space, names in model.decoders.items():
        for name in names:
            function = functools.partial(model.decode, which=name, space=space)
            source = (f"embed_{name}",) if space == "ball" else ("encode", f"mu_{name}")
            key = f"decode_{name}" if space == model.space else f"decode_{name}_{space}"
            found[key] = Program(function, space, source, "logits: (n, n_digits, 3)")
    return found


def _encode(model: Model, digits: jax.Array) -> dict[str, jax.Array]:
    """Posterior parameters by name; what a model has not is left out."""
    posterior = model.encode(digits)
    named = {field: getattr(posterior, field) for field in posterior.__dataclass_fields__}
    return {name: value for name, value in named.items() if value is not None}


def export(model: Model, program: Program) -> jax.export.Exported:
    """Lower a program for all platforms, with a symbolic batch size and its parameters inside."""
    (batch,) = jax.export.symbolic_shape("n")
    if program.takes == "digits":
        example = jax.ShapeDtypeStruct((batch, model.n_digits), jnp.int8)
    else:
        example = jax.ShapeDtypeStruct((batch, model.latent_dim), jnp.float32)
    # Full float32 everywhere: a GPU's or TPU's faster products would change the logits.
    with jax.default_matmul_precision("highest"):
        return jax.export.export(jax.jit(program.function), platforms=PLATFORMS)(example)


def write(folder: pathlib.Path, model: Model) -> dict[str, Any]:
    """Write ``<name>.jax_export`` for each program, and what some operations give.

    Args:
      folder: existing.
      model: any.

    Returns:
      What a manifest says of the programs, by name.

    Raises:
      UserError: if flatbuffers is not installed.
    """
    optional("flatbuffers")
    count = min(N_EXPECTED, model.n_operations)
    index = jnp.asarray(np.linspace(0, model.n_operations - 1, count), jnp.int32)
    digits = ternary.values(index, n_digits=model.n_digits).astype(jnp.int8)
    outputs: dict[str, Any] = {"digits": digits}
    described: dict[str, Any] = {}
    for name, program in programs(model).items():
        exported = export(model, program)
        (folder / f"{name}.jax_export").write_bytes(exported.serialize())
        given = _follow(outputs, program.source)
        outputs[name] = program.function(given)
        described[name] = {
            "takes": program.takes,
            "from": list(program.source),
            "input": {"dtype": str(given.dtype), "shape": ["n", given.shape[-1]]},
            "returns": program.returns,
            "platforms": list(exported.platforms),
            "calling_convention_version": exported.calling_convention_version,
        }
    with (folder / EXPECTED_FILE).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **flatten_dict(outputs, sep="."))
    return described


def _follow(outputs: dict[str, Any], source: tuple[str, ...]) -> jax.Array:
    """An earlier program's output."""
    value: Any = outputs
    for key in source:
        value = value[key]
    return value
