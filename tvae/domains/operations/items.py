"""The operations as a set of items: what every ternary model's views have in common."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.operations import data
from tvae.domains.views import Items
from tvae.geometry import padic
from tvae.geometry.padic import PadicTree

_ABOUT = (
    "An item is an operation: {n_digits} digits -1, 0, +1 (the entries of its truth table), least "
    "significant first; digit k of index i is `i // 3**k % 3 - 1`. A decoder's outputs are logits "
    "`(n, {n_digits}, 3)`: the most probable class of each row, minus 1, is the digit."
)


def make_items(n_digits: int) -> Items:
    """All operations of a number of digits.

    The columns are ``digits`` int8 ``(n, n_digits)`` in -1, 0, +1, least significant first, and
    ``valuation`` int8; the label writes the digits as ``-``, ``0`` and ``+``.
    """
    tree = PadicTree(3, n_digits)
    values = functools.partial(padic.values, n_digits=n_digits)

    def columns(index: jax.Array) -> dict[str, jax.Array]:
        return {
            "digits": values(index).astype(jnp.int8),
            "valuation": tree.level(index).astype(jnp.int8),
        }

    def labels(index: jax.Array) -> list[str]:
        signs = np.asarray(["-", "0", "+"])[padic.digits(index, n_digits=n_digits)]
        return ["".join(row) for row in signs]

    return Items(
        name="operations",
        count=tree.n_leaves,
        inputs=values,
        as_index=functools.partial(data.as_indices, n_digits=n_digits),
        read=lambda logits: padic.index_of(jnp.argmax(logits, -1)),
        columns=columns,
        labels=labels,
        label_name="digits",
        tree=tree,
        level_name="valuation",
        pair_name="3-adic distance",
        pair_label=lambda valuation: f"1/{3**valuation}" if valuation else "1",
        node_label=lambda label, depth: f"{label[:depth]}…",
    )


def operation_views(n_digits: int) -> dict[str, Any]:
    """The fields of :class:`~tvae.domains.views.Views` that all models of operations share."""
    items = make_items(n_digits)
    return {
        "input_shape": (n_digits,),
        "input_dtype": jnp.int8,
        "about": _ABOUT.format(n_digits=n_digits),
        "as_input": functools.partial(data.as_values, n_digits=n_digits),
        "examples": lambda n: items.inputs(items.spread(n)),
        "items": items,
    }
