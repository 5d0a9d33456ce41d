"""The operations on the device: splits and batches of indices."""

import flax.struct
import jax
import jax.numpy as jnp

from tvae.geometry import ternary


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


def split(key: jax.Array, *, n_digits: int, train_fraction: float, val_fraction: float) -> Split:
    """Cut a random permutation of all operations in three.

    Args:
      key: of the permutation.
      n_digits: digits of an operation.
      train_fraction: share of the first piece, rounded down.
      val_fraction: share of the second piece, rounded down; the rest is the test set.

    Returns:
      The split; for nine digits and 0.8 / 0.1 it has 15,746 / 1,968 / 1,969 operations.
    """
    n = ternary.count(n_digits=n_digits)
    order = jax.random.permutation(key, n).astype(jnp.int32)
    n_train, n_val = int(train_fraction * n), int(val_fraction * n)
    train, val, test = jnp.split(order, (n_train, n_train + n_val))
    return Split(train=train, val=val, test=test)


def in_batches(index: jax.Array, *, batch_size: int) -> Batch:
    """Consecutive batches of an index list, the last one padded with index 0 and masked.

    Args:
      index: int32 ``(n,)``.
      batch_size: rows per batch.

    Returns:
      A batch whose leaves have shape ``(ceil(n / batch_size), batch_size)``.
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
