"""All operations with their embeddings, as arrays and as a flat table."""

import importlib
import pathlib
from types import ModuleType

import jax.numpy as jnp
import numpy as np

from tvae.errors import UserError
from tvae.geometry import padic as ternary
from tvae.geometry import poincare
from tvae.model import Model

Arrays = dict[str, np.ndarray]


def optional(module: str) -> ModuleType:
    """A module of the extra ``export``.

    Raises:
      UserError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise UserError(f"export needs {name}: pip install 'tvae[export]'") from None


def operations(model: Model) -> Arrays:
    """Every operation and where the model puts it.

    Args:
      model: any.

    Returns:
      ``index`` int32 ``(N,)``; ``digits`` int8 ``(N, n_digits)`` in -1, 0, +1, least significant
      first; ``valuation`` int8 ``(N,)``; and for each embedding, here A's, ``points_a`` float32
      ``(N, latent_dim)``, ``radius_a`` ``(N,)`` (hyperbolic) and ``curvature_a`` ``()``. A model
      without a ball has ``latents_a`` (posterior means) and their Euclidean ``norm_a`` instead.
    """
    index = jnp.arange(model.n_operations, dtype=jnp.int32)
    arrays: Arrays = {
        "index": np.asarray(index),
        "digits": np.asarray(ternary.values(index, n_digits=model.n_digits), np.int8),
        "valuation": np.asarray(ternary.valuation(index, n_digits=model.n_digits), np.int8),
    }
    for name in model.embeddings:
        z, c = model.embed(index, name), model.curvature(name)
        arrays[f"points_{name}"] = np.asarray(z)
        arrays[f"radius_{name}"] = np.asarray(poincare.hyperbolic_radius(z, c=c))
        arrays[f"curvature_{name}"] = np.asarray(c)
    if not model.embeddings:
        posterior = model.encode(index)
        for name, mu in (("a", posterior.mu_a), ("b", posterior.mu_b)):
            if mu is not None:
                arrays[f"latents_{name}"] = np.asarray(mu)
                arrays[f"norm_{name}"] = np.asarray(jnp.linalg.norm(mu, axis=-1))
    return arrays


def flat(arrays: Arrays) -> Arrays:
    """The same as columns of one table: matrices by column, constants left out.

    Returns:
      ``index``, ``digits_0`` ..., ``valuation``, ``points_a_0`` ..., ``radius_a`` and so on, each
      ``(N,)``.

    >>> list(flat({"index": np.arange(2), "digits": np.zeros((2, 2)), "curvature_a": np.ones(())}))
    ['index', 'digits_0', 'digits_1']
    """
    columns: Arrays = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = array
        elif array.ndim == 2:
            columns |= {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
    return columns


def write(folder: pathlib.Path, arrays: Arrays) -> None:
    """Write ``operations.npz``, ``operations.parquet`` and ``operations.csv``.

    Raises:
      UserError: if pyarrow is not installed.
    """
    pyarrow = optional("pyarrow")
    table = pyarrow.table(flat(arrays))
    with (folder / "operations.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    optional("pyarrow.parquet").write_table(table, folder / "operations.parquet")
    optional("pyarrow.csv").write_csv(table, folder / "operations.csv")
