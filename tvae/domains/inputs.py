"""What callers hand to a model: numbers, items or their indices, keys and counts, checked."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from tvae.errors import UserError
from tvae.runs import text

if TYPE_CHECKING:
    from tvae.domains.views import Views


def as_numbers(x: Any, what: str) -> jax.Array | np.ndarray:
    """A caller's real numbers: JAX arrays, traced ones included, as they are, others in NumPy.

    NumPy keeps integers of 64 bits, which JAX would wrap around to 32 before they can be checked.

    Raises:
      UserError: naming ``what``, if ``x`` is not an array of numbers.

    >>> as_numbers([2**40], "index").dtype
    dtype('int64')
    """
    if isinstance(x, jax.Array):
        found: Any = x
    else:
        try:
            found = np.asarray(x)
        except (TypeError, ValueError) as error:  # lists of various lengths, arrays of others
            raise UserError(
                f"{what}: expected an array of numbers; {text.printable(str(error))}"
            ) from error
    real = (jnp.integer, jnp.floating, jnp.bool_)
    if not any(jnp.issubdtype(found.dtype, kind) for kind in real):
        raise UserError(f"{what}: expected an array of numbers, got {text.short(x)}")
    return found


def read_items(views: "Views", *, x: Any, index: Any, inputs: Any) -> jax.Array:
    """Items as the encoder takes them; see :meth:`tvae.model.Model.as_input`.

    Args:
      views: of the model.
      x: items or indices, or None.
      index: indices, or None.
      inputs: items, or None.

    Raises:
      UserError: unless exactly one is given, and is made of items.
    """
    given = {"x": x, "index": index, "inputs": inputs}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise UserError(
            f"items: expected one of x, index and inputs, got {', '.join(names) or 'none'}"
        )
    if index is None and views.items is None:
        return views.as_input(given[names[0]])
    known = as_numbers(given[names[0]], "items")
    indices = jnp.issubdtype(known.dtype, jnp.integer) and known.ndim <= 1
    if index is None and (inputs is not None or views.items is None or not indices):
        return views.as_input(known)
    if views.items is None:
        raise UserError("index: the items of this domain are not a finite set")
    if index is None and known.shape == views.input_shape:
        raise UserError(
            f"items: integers of shape {known.shape} could be indices or one item; give index=... "
            "or inputs=..."
        )
    return views.items.inputs(views.items.as_index(known))


def read_key(key: Any, what: str) -> jax.Array:
    """A key of ``jax.random.key``, or that of a seed.

    Raises:
      UserError: naming ``what``, if it is anything else.
    """
    seed = isinstance(key, int | np.integer) and not isinstance(key, bool)
    if seed and 0 <= key < 2**32:
        return jax.random.key(int(key))
    if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise UserError(
            f"{what}: expected a key of jax.random.key or a seed, got {text.short(key)}"
        )
    if key.shape:
        raise UserError(f"{what}: expected one key, got keys {key.shape}")
    return key


def require_count(what: str, name: str, value: Any, low: int, high: int | None = None) -> None:
    """Refuse what is not an integer in a range.

    Raises:
      UserError: naming ``what`` and the argument.
    """
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integer or value < low or (high is not None and value > high):
        bounds = f">= {low}" if high is None else f"in [{low}, {high}]"
        raise UserError(f"{what}: expected {name} {bounds}, an integer; got {text.short(value)}")
