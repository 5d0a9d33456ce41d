r"""Operations as digit strings: indices, digits, p-adic valuation.

A string of base-``p`` digits, least significant first: :math:`i = \sum_k d_k p^k`. For ``p = 3``
the digits 0, 1, 2 are written as the values -1, 0, +1. Everything here is jit-able and takes any
leading shape; ``n_digits`` and ``p`` are static.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from tvae.geometry.tree import Tree

N_DIGITS = 9
"""Entries of the truth table of a ternary operation with two inputs."""

_LARGEST_TABLE = 2**16


def count(*, n_digits: int = N_DIGITS, p: int = 3) -> int:
    """Number of operations, ``p ** n_digits``, a Python integer.

    Raises:
      ValueError: if ``n_digits < 1``, ``p < 2`` or indices would not fit an int32.

    >>> count()
    19683
    """
    if n_digits < 1 or p < 2:
        raise ValueError(f"expected n_digits >= 1 and p >= 2, got n_digits={n_digits}, p={p}")
    if p**n_digits > 2**31 - 1:
        raise ValueError(f"p ** n_digits = {p}**{n_digits} does not fit an int32 index")
    return p**n_digits


def digits(index: jax.Array, *, n_digits: int = N_DIGITS, p: int = 3) -> jax.Array:
    """Digits of indices ``(...)`` in ``[0, p ** n_digits)``: int32 ``(..., n_digits)`` below ``p``.

    >>> digits(jnp.asarray(5)).tolist()
    [2, 1, 0, 0, 0, 0, 0, 0, 0]
    """
    powers = p ** jnp.arange(n_digits, dtype=jnp.int32)
    index = jnp.asarray(index, jnp.int32)[..., None]
    return (index // powers.reshape((1,) * (index.ndim - 1) + (n_digits,))) % p


def values(index: jax.Array, *, n_digits: int = N_DIGITS) -> jax.Array:
    """The operation at an index as network input: float32 ``(..., n_digits)`` in {-1, 0, +1}.

    >>> values(jnp.asarray(9841)).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    return (digits(index, n_digits=n_digits) - 1).astype(jnp.float32)


def index_of(digit: jax.Array, *, p: int = 3) -> jax.Array:
    """Index ``(...)`` of digits ``(..., n_digits)``, int32; the inverse of :func:`digits`.

    >>> int(index_of(jnp.asarray([2, 1, 0, 0, 0, 0, 0, 0, 0])))
    5
    """
    powers = p ** jnp.arange(digit.shape[-1], dtype=jnp.int32)
    return digit.astype(jnp.int32) @ powers


def valuation(number: jax.Array, *, n_digits: int = N_DIGITS, p: int = 3) -> jax.Array:
    r"""p-adic valuation :math:`v(n) = \max\{k : p^k \mid n\}`, with ``v(0) = n_digits``.

    Of integers of any shape and sign; int32 in ``[0, n_digits]``.

    >>> valuation(jnp.asarray([0, 1, 3, -9])).tolist()
    [9, 0, 1, 2]
    """
    number = jnp.asarray(number, jnp.int32)
    powers = p ** jnp.arange(1, n_digits + 1, dtype=jnp.int32)
    divides = number[..., None] % powers.reshape((1,) * number.ndim + (n_digits,)) == 0
    return divides.sum(-1, dtype=jnp.int32)


def pair_valuation(
    i: jax.Array, j: jax.Array, *, n_digits: int = N_DIGITS, p: int = 3
) -> jax.Array:
    """Valuation ``v(i - j)`` of pairs, up to 65,536 items from a table of all differences.

    Nine integer divisions a pair would cost more than everything else in a loss over all pairs of
    a batch; use :func:`valuation` for a few numbers and for differences of any size. Indices ``i``
    and ``j`` broadcast; ``n_digits`` where they are equal.

    >>> pair_valuation(jnp.asarray([0, 1, 7]), jnp.asarray([9, 3, 7])).tolist()
    [2, 0, 9]
    """
    difference = jnp.asarray(i, jnp.int32) - jnp.asarray(j, jnp.int32)
    n_items = count(n_digits=n_digits, p=p)
    if n_items > _LARGEST_TABLE:
        return valuation(difference, n_digits=n_digits, p=p)
    return valuation(jnp.arange(n_items), n_digits=n_digits, p=p)[jnp.abs(difference)]


def level_counts(*, n_digits: int = N_DIGITS, p: int = 3) -> tuple[int, ...]:
    """How many operations have valuation 0, 1, ..., ``n_digits``.

    >>> level_counts()
    (13122, 4374, 1458, 486, 162, 54, 18, 6, 2, 1)
    """
    return (*((p - 1) * p ** (n_digits - 1 - level) for level in range(n_digits)), 1)


@dataclasses.dataclass(frozen=True)
class PadicTree(Tree):
    """The tree of the integers modulo ``p ** n``: its items are the ``p ** n`` leaves.

    The pair level is the valuation of the difference, and the level of an item its own valuation,
    which is its pair level with item 0 (``n`` for item 0 itself).

    Attributes:
      p: children of every inner node, at least 2.
      n: depth.

    Raises:
      ValueError: if ``p < 2``, ``n < 1`` or indices would not fit an int32.

    >>> tree = PadicTree(3, 9)
    >>> tree.n_leaves, tree.pair_level(1, 10).item(), tree.level(0).item()
    (19683, 2, 9)
    >>> tree.level_counts
    (13122, 4374, 1458, 486, 162, 54, 18, 6, 2, 1)
    """

    p: int
    n: int

    def __post_init__(self) -> None:
        """Check the sizes."""
        count(n_digits=self.n, p=self.p)

    @property
    def depth(self) -> int:
        """The number of digits ``n``."""
        return self.n

    @property
    def n_leaves(self) -> int:
        """Number of items, ``p ** n``."""
        return count(n_digits=self.n, p=self.p)

    def level(self, i: ArrayLike) -> jax.Array:
        """Valuation of items."""
        return valuation(jnp.asarray(i), n_digits=self.n, p=self.p)

    def pair_level(self, i: ArrayLike, j: ArrayLike) -> jax.Array:
        """Valuation of the difference, ``n`` where ``i == j``."""
        return pair_valuation(jnp.asarray(i), jnp.asarray(j), n_digits=self.n, p=self.p)

    def ancestor(self, i: ArrayLike, level: int) -> np.ndarray:
        """The smallest item with the same first ``level`` digits.

        >>> PadicTree(3, 9).ancestor([7, 16, 8], 2).tolist()
        [7, 7, 8]
        """
        i = np.asarray(i)
        return i % self.p**level if level <= self.n else np.full_like(i, -1)

    @property
    def level_counts(self) -> tuple[int, ...]:
        """Number of items of valuation 0, 1, ..., ``n``."""
        return level_counts(n_digits=self.n, p=self.p)

    @property
    def pair_level_counts(self) -> tuple[int, ...]:
        """Number of pairs by the valuation of their difference; 0 of them have ``n``."""
        # Seen from any item, the differences to the others run over all numbers but 0.
        return (*(self.n_leaves * count // 2 for count in self.level_counts[:-1]), 0)
