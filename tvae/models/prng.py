"""A cheap generator for dropout, as a key type of :mod:`jax.random`.

With threefry, JAX's default, dropout took a quarter of the time of a training step, since the CPU
runs each draw and each ``fold_in`` as a loop of small kernels. Here a word of bits is two rounds of
a mixing hash of its number and the key, which compiles into the kernel that drops the entries. It
is good enough for that; all else is drawn with the run's own key.
"""

import math

import jax
import jax.extend.random
import jax.numpy as jnp

_STREAMS = (0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F)
"""Arbitrary odd words that keep the words of derived keys apart from those drawn as bits."""


def _mix(x: jax.Array) -> jax.Array:
    """An invertible map of uint32 whose output bits each depend on all input bits.

    Source: "lowbias32", C. Wellons 2018, Prospecting for Hash Functions.
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _hash(counter: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
    return _mix(_mix(counter + first) ^ second)


def _derive(key: jax.Array, data: jax.Array) -> jax.Array:
    """Keys ``(..., 2)`` of a key ``(2,)`` and numbers ``(...)``."""
    a, b, c, d = (jnp.uint32(word) for word in _STREAMS)
    words = (_hash(data, key[0] ^ a, key[1] ^ b), _hash(data, key[1] ^ c, key[0] ^ d))
    return jnp.stack(words, axis=-1)


def _seed(seed: jax.Array) -> jax.Array:
    return _derive(jnp.zeros(2, jnp.uint32), jnp.asarray(seed).astype(jnp.uint32))


def _count(shape: tuple[int, ...]) -> jax.Array:
    return jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return _derive(_derive(key, jnp.uint32(0)), _count(shape))


def _fold_in(key: jax.Array, data: int | jax.Array) -> jax.Array:
    return _derive(key, jnp.asarray(data).astype(jnp.uint32) + 1)


def _random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    words = _hash(_count(shape), key[0], key[1])
    if bit_width == 32:
        return words
    if bit_width in (8, 16):
        return (words >> (32 - bit_width)).astype(jnp.dtype(f"uint{bit_width}"))
    raise ValueError(f"expected words of 8, 16 or 32 bits, got {bit_width}")


MIXING = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="tvae_mixing",
    tag="mix",
)
"""The generator, for ``jax.random.key(seed, impl=MIXING)``."""


def mixing_key(key: jax.Array) -> jax.Array:
    """A key of the cheap generator that follows from a key of any generator.

    >>> jax.random.uniform(mixing_key(jax.random.key(0)), (3,)).shape
    (3,)
    """
    return jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl=MIXING)
