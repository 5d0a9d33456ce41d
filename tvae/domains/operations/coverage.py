"""Coverage: the operations that a decoder reaches from posterior means or from the prior.

*Reconstruction coverage* is the share of operations whose mean decodes to exactly that operation.
*Prior coverage* counts distinct operations among decoded draws of the prior; with 195,000 draws
uniform noise reaches 99.995 %, so :func:`uniform_baseline` belongs beside it.
"""

import math
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp

from tvae.geometry import padic
from tvae.metrics.definitions import Entry

Decode = Callable[[jax.Array], jax.Array]


def exact_match(logits: jax.Array, digit: jax.Array) -> jax.Array:
    """Whether the most probable classes of ``(..., n_digits, 3)`` are all right; bool ``(...)``."""
    return (jnp.argmax(logits, -1) == digit).all(-1)


def exact_operations(logits: jax.Array) -> jax.Array:
    """:func:`exact_match` of all operations in index order, ``(3 ** n_digits,)``."""
    n_operations, n_digits, _ = logits.shape
    return exact_match(logits, padic.digits(jnp.arange(n_operations), n_digits=n_digits))


def share(hits: jax.Array) -> jax.Array:
    """Share of true entries; exactly 1 where all are true.

    A compiled mean multiplies by a rounded 1/n and gives 0.99999994 for nine-digit operations.

    >>> float(jax.jit(share)(jnp.ones(19_683, jnp.bool_)))
    1.0
    """
    return jnp.where(hits.all(), 1.0, hits.mean())


def uniform_baseline(draws: int, *, n_operations: int) -> float:
    """Expected coverage of ``draws`` uniformly random operations, the yardstick of prior coverage.

    >>> round(100 * uniform_baseline(195_000, n_operations=19_683), 3)
    99.995
    >>> round(100 * uniform_baseline(50_000, n_operations=19_683), 2)
    92.12
    """
    return -math.expm1(draws * math.log1p(-1.0 / n_operations))


def _prior_coverage(
    decode_draw: Decode, key: jax.Array, *, draws: int, n_digits: int, chunk: int
) -> jax.Array:
    """Share of all operations among the indices that ``decode_draw`` returns for keyed chunks."""
    n_operations = padic.count(n_digits=n_digits)
    n_chunks = -(-draws // chunk)

    def visit(seen: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        index = decode_draw(jax.random.fold_in(key, i))
        # Draws past the requested number (the last chunk's rest) go out of bounds: dropped.
        index = jnp.where(i * chunk + jnp.arange(chunk) < draws, index, n_operations)
        return seen.at[index].set(True, mode="drop"), None

    seen, _ = jax.lax.scan(visit, jnp.zeros(n_operations, jnp.bool_), jnp.arange(n_chunks))
    return share(seen)


def sample_digits(key: jax.Array, logits: jax.Array) -> jax.Array:
    """Draw digits ``(..., n_digits)`` from the softmax of logits ``(..., n_digits, 3)``.

    >>> sample_digits(jax.random.key(0), jnp.asarray([[0.0, 90.0, 0.0], [0.0, 0.0, 90.0]])).tolist()
    [1, 2]
    """
    # Inverse transform sampling: one uniform number a digit instead of three Gumbels.
    cumulative = jnp.cumsum(jax.nn.softmax(logits), -1)[..., :-1]
    uniform = jax.random.uniform(key, (*logits.shape[:-1], 1))
    return (uniform > cumulative).sum(-1)


def prior_coverage_categorical(
    decode: Decode, key: jax.Array, *, draws: int, latent_dim: int, n_digits: int, chunk: int = 5000
) -> jax.Array:
    """Share of operations among ``draws`` prior samples, each digit drawn from its softmax (v5.5).

    Args:
      decode: latents ``(chunk, latent_dim)`` -> logits ``(chunk, n_digits, 3)``.
      key: randomness of the latents and of the digits.
      draws: number of prior samples.
      latent_dim: dimension of the standard normal prior.
      n_digits: digits of an operation.
      chunk: samples decoded at a time; bounds the memory.
    """

    def draw(chunk_key: jax.Array) -> jax.Array:
        latent_key, digit_key = jax.random.split(chunk_key)
        logits = decode(jax.random.normal(latent_key, (chunk, latent_dim)))
        return padic.index_of(sample_digits(digit_key, logits))

    return _prior_coverage(draw, key, draws=draws, n_digits=n_digits, chunk=chunk)


def prior_coverage_argmax(
    decode: Decode, key: jax.Array, *, draws: int, latent_dim: int, n_digits: int, chunk: int = 5000
) -> jax.Array:
    """The same, each sample decoded to its most probable digits.

    Low for an untrained decoder, unlike the categorical one: only the latent varies.
    """

    def draw(chunk_key: jax.Array) -> jax.Array:
        logits = decode(jax.random.normal(chunk_key, (chunk, latent_dim)))
        return padic.index_of(jnp.argmax(logits, -1))

    return _prior_coverage(draw, key, draws=draws, n_digits=n_digits, chunk=chunk)


_BALL = "points of the ball of all operations, from posterior means"
_PRIOR = re.compile(r"eval/prior_coverage_(argmax_)?(\d+)(k?)_(a|b|uniform)")

DEFINITIONS = {
    "eval/coverage_ball": Entry(
        "share of operations that the decoder reproduces from the point of the ball alone",
        _BALL,
        1.0,
        note="The reference system never published it; its own weights reach 0.002 to 0.009.",
    ),
    "eval/coverage_mu": Entry(
        "share of operations that the decoder reproduces from the encoder's own mean",
        "posterior means of all operations",
        1.0,
        note="In v5.12 the frozen autoencoder's figure, published as the model's.",
    ),
    "eval/curvature": Entry("curvature magnitude c of the ball", "projection", better="neither"),
}


def prior_entry(key: str) -> dict[str, Entry]:
    """The entry of a prior coverage, whose key holds the number of draws; empty for other keys."""
    match = _PRIOR.fullmatch(key)
    if match is None:
        return {}
    rule, number, thousand, of = match.groups()
    draws = int(number) * (1000 if thousand else 1)
    if of == "uniform":
        text = "expected share of distinct operations among uniformly random ones"
        note = "The yardstick of the prior coverages beside it: the coverage of noise."
        return {key: Entry(text, f"{draws:,} draws, by arithmetic", better="neither", note=note)}
    how = "most probable digits" if rule else "digits drawn by softmax"
    note = "; untrained decoders come closest to it: not a measure of quality"
    entry = Entry(
        f"share of operations among decoded draws of the prior, {how}",
        f"{draws:,} draws",
        lambda tree: uniform_baseline(draws, n_operations=tree.n_leaves),
        note=f"The ceiling is the mean of uniform noise{'' if rule else note}.",
    )
    return {key[:-2]: entry}
