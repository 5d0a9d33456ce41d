r"""Operations as digit strings: indices, digits, p-adic valuation.

A string of base-``p`` digits, least significant first: :math:`i = \sum_k d_k p^k`. For ``p = 3``
the digits 0, 1, 2 are written as the values -1, 0, +1. Everything here is jit-able and takes any
leading shape; ``n_digits`` and ``p`` are static.
"""

import jax
import jax.numpy as jnp

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
