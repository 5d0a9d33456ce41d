"""The operations on the device: conversion of a caller's input, splits, batches of indices."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from tvae.domains.inputs import as_numbers
from tvae.errors import UserError
from tvae.geometry import padic


@flax.struct.dataclass
class Batch:
    """Operations of one step.

    Attributes:
      index: int32 ``(batch,)``.
      mask: float32 ``(batch,)``; 1 for real rows, 0 for the padding of an epoch's last batch.
    """

    index: jax.Array
    mask: jax.Array


@flax.struct.dataclass
class Split:
    """Disjoint index sets that together are the whole space; int32 ``(n,)`` each."""

    train: jax.Array
    val: jax.Array
    test: jax.Array


def all_operations(*, n_digits: int = padic.N_DIGITS) -> jax.Array:
    """Every operation as the networks take it, float32 ``(3 ** n_digits, n_digits)``."""
    return padic.values(jnp.arange(padic.count(n_digits=n_digits)), n_digits=n_digits)


def split(key: jax.Array, *, n_digits: int, train_fraction: float, val_fraction: float) -> Split:
    """Cut a random permutation of all operations in three; fractions are rounded down.

    For nine digits and 0.8 / 0.1 the parts have 15,746 / 1,968 / 1,969 operations.
    """
    n = padic.count(n_digits=n_digits)
    order = jax.random.permutation(key, n).astype(jnp.int32)
    n_train, n_val = int(train_fraction * n), int(val_fraction * n)
    train, val, test = jnp.split(order, (n_train, n_train + n_val))
    return Split(train=train, val=val, test=test)


def in_batches(index: jax.Array, *, batch_size: int) -> Batch:
    """Consecutive batches of an index list ``(n,)``, the last padded with index 0 and masked.

    Leaves have shape ``(ceil(n / batch_size), batch_size)``.
    """
    n_batches = -(-index.size // batch_size)
    padding = (0, n_batches * batch_size - index.size)
    return Batch(
        index=jnp.pad(index, padding).reshape(n_batches, batch_size),
        mask=jnp.pad(jnp.ones(index.size), padding).reshape(n_batches, batch_size),
    )


def shuffled_batches(key: jax.Array, index: jax.Array, *, batch_size: int) -> Batch:
    """One epoch: every index once, in random order; see :func:`in_batches`."""
    return in_batches(jax.random.permutation(key, index), batch_size=batch_size)


def as_indices(x: ArrayLike, *, n_digits: int) -> jax.Array:
    """A caller's indices ``(N,)`` or ``()`` in ``[0, 3 ** n_digits)``, checked, as int32.

    Raises:
      UserError: if ``x`` has another shape or type or, outside of transformations, a value out of
        range.
    """
    known = as_numbers(x, "operations")
    if known.ndim > 1 or not jnp.issubdtype(known.dtype, jnp.integer):
        raise UserError(f"operations: expected indices (N,), got {known.dtype} {known.shape}")
    _refuse_outside(known, 0, padic.count(n_digits=n_digits) - 1, "index")
    return jnp.asarray(known, jnp.int32)


def as_values(x: ArrayLike, *, n_digits: int) -> jax.Array:
    """A caller's operations, checked, as the networks take them.

    Args:
      x: digits -1, 0, +1, integers or floats ``(..., n_digits)``, of the operation with index
        ``sum_k (digit_k + 1) 3^k``.
      n_digits: digits of an operation.

    Returns:
      float32 ``(..., n_digits)``; gradients reach floats.

    Raises:
      UserError: if ``x`` has another shape or type or, outside of transformations, a value out of
        range.

    >>> as_values([[1, 0, -1]], n_digits=3).tolist()
    [[1.0, 0.0, -1.0]]
    """
    known = as_numbers(x, "operations")
    if known.dtype == bool:
        raise UserError(f"operations: expected integers or floats, got {known.dtype}")
    if known.shape[-1:] != (n_digits,):
        raise UserError(
            f"operations: expected indices (N,) or digits (..., {n_digits}), got {known.shape}"
        )
    _refuse_outside(known, -1, 1, "digit")
    return jnp.asarray(known, jnp.float32)


def _refuse_outside(x: jax.Array | np.ndarray, low: int, high: int, kind: str) -> None:
    """Refuse numbers outside [low, high], except for traced ones."""
    if isinstance(x, jax.core.Tracer):
        return
    known = np.asarray(x)
    if known.size and not (known.min() >= low and known.max() <= high):
        raise UserError(
            f"operations: expected each {kind} in [{low}, {high}], got {known.min()} to "
            f"{known.max()}"
        )
