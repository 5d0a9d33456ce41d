"""Golden cases of the original's modules: arrays, weights as parameters; random parameters."""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tvae.convert import names
from tvae.convert.placement import place, to_tree


@functools.cache
def load(path: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    with np.load(path) as file:
        return dict(file)


def weights(golden: Mapping[str, np.ndarray], prefix: str = "weights.") -> dict[str, np.ndarray]:
    """The weights of a case, or those under another prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}


def params(found: Mapping[str, np.ndarray], slots: list[names.Slot]) -> dict[str, Any]:
    """Parameters of the single module that the slots describe."""
    (part,) = to_tree(place(found, slots), slots).values()
    return part


def projection_params(
    found: Mapping[str, np.ndarray], *, dim: int, width: int, n_layers: int, dropout: bool
) -> dict[str, Any]:
    """Parameters of one HyperbolicProjection with learnable curvature."""
    slots = names.projection("p", ("p",), dim, width=width, n_layers=n_layers, dropout=dropout)
    named = {f"p.{k}": v for k, v in found.items()}
    return params(named, [slot for slot in slots if slot.name in named])


def assert_close(ours: jax.Array, theirs: np.ndarray, tolerance: float = 1e-5) -> None:
    """Closeness relative to the tensor's maximum."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def cotangent(golden: Mapping[str, np.ndarray], output: str) -> jax.Array:
    """The cotangent of an output."""
    return jnp.asarray(golden[f"in.cotangent.{output}"])


def random_params(module: nn.Module, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Parameters of the right shapes without compiling ``init``: normal with deviation 0.2."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *arguments, **options))
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.2 * rng.normal(size=leaf.shape), leaf.dtype), shapes["params"]
    )


def size(parameters: Any) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))
