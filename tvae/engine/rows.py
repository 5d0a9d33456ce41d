"""Rows of large tables: a step reads and moves some of them, the rest of the table stays."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

Rows = Mapping[str, jax.Array]
"""Path of a parameter -> rows of a step, int32, ascending and each once; what is not below the
number of rows stands for none."""


def path_name(path: tuple[Any, ...]) -> str:
    """A key path as "encoder_a/hidden_0/kernel"."""
    return "/".join(str(getattr(entry, "key", getattr(entry, "name", entry))) for entry in path)


def _map_tables(change: Callable[..., jax.Array], rows: Rows, tree: Any, *others: Any) -> Any:
    """Apply a function to the tables of a tree: ``(rows, leaf, leaf of each other tree)``."""

    def at(path: tuple[Any, ...], leaf: jax.Array, *beside: jax.Array) -> jax.Array:
        name = path_name(path)
        for table, index in rows.items():
            # Moments have the paths of their parameters behind those of the optimizer.
            if name == table or name.endswith(f"/{table}"):
                return change(index, leaf, *beside)
        return beside[0] if beside else leaf

    return jax.tree_util.tree_map_with_path(at, tree, *others)


def take(tree: Any, rows: Rows) -> Any:
    """Parameters or optimizer state with the rows of a step in place of each table.

    >>> table = {"points": jnp.asarray([[1.0], [2.0], [3.0]]), "scale": jnp.asarray(5.0)}
    >>> part = take(table, {"points": jnp.asarray([0, 2])})
    >>> part["points"].ravel().tolist(), float(part["scale"])
    ([1.0, 3.0], 5.0)
    """
    return _map_tables(lambda index, leaf: leaf.at[index].get(mode="clip"), rows, tree)


def put(tree: Any, part: Any, rows: Rows) -> Any:
    """The tree with the rows of :func:`take` written back, and all that is no table from ``part``.

    >>> table = {"points": jnp.asarray([[1.0], [2.0], [3.0]]), "scale": jnp.asarray(5.0)}
    >>> part = {"points": jnp.asarray([[7.0], [8.0]]), "scale": jnp.asarray(6.0)}
    >>> whole = put(table, part, {"points": jnp.asarray([1, 3])})  # 3: no row
    >>> whole["points"].ravel().tolist(), float(whole["scale"])
    ([1.0, 7.0, 3.0], 6.0)
    """

    def write(index: jax.Array, leaf: jax.Array, new: jax.Array) -> jax.Array:
        return leaf.at[index].set(new, mode="drop", indices_are_sorted=True, unique_indices=True)

    return _map_tables(write, rows, tree, part)


def spread(part: Any, tree: Any, rows: Rows) -> Any:
    """Gradients of the rows of a step as gradients of the whole tables, 0 elsewhere.

    >>> table = {"points": jnp.asarray([[1.0], [2.0], [3.0]])}
    >>> part = {"points": jnp.asarray([[7.0]])}
    >>> spread(part, table, {"points": jnp.asarray([1])})["points"].ravel().tolist()
    [0.0, 7.0, 0.0]
    """
    return put(jax.tree.map(jnp.zeros_like, tree), part, rows)
