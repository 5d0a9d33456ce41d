"""Losses on the correlation of two columns of numbers."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import within
from tvae.losses import blocks
from tvae.losses.pairs import Block, Pairs
from tvae.losses.registry import term

# A column whose standard deviation is below this many roundings of its size counts as constant.
_ROUNDINGS = 8.0


def pearson(x: jax.Array, y: jax.Array, where: jax.Array | None = None) -> jax.Array:
    r"""Pearson's correlation :math:`r` of the columns of two arrays; 0 where one is constant.

    Args:
      x: ``(n, ...)``.
      y: of the same shape.
      where: bool ``(n,)``, rows that count.

    Returns:
      ``(...)`` in [-1, 1]; the gradient of a constant column is 0.

    >>> x, y = jnp.asarray([1.0, 2.0, 3.0]), jnp.asarray([1.0, 3.0, 2.0])
    >>> round(float(pearson(x, y)), 6), float(pearson(x, jnp.ones(3)))
    (0.5, 0.0)
    """
    chex.assert_equal_shape([x, y])
    rows = jnp.ones(x.shape[0], bool) if where is None else where
    rows = rows.reshape(-1, *[1] * (x.ndim - 1))
    u, v = _standardised(x, rows), _standardised(y, rows)
    return jnp.clip((u * v).sum(0), -1.0, 1.0)


def _varies(square: jax.Array, raw: jax.Array) -> jax.Array:
    """Whether a sum of squared deviations is more than the rounding of a sum of squares."""
    rounding = _ROUNDINGS * jnp.finfo(square.dtype).eps
    return square > rounding**2 * raw + jnp.finfo(square.dtype).tiny


def _standardised(x: jax.Array, rows: jax.Array) -> jax.Array:
    """Deviations from the mean, scaled to unit norm; 0 in constant columns and in other rows."""
    n = jnp.maximum(rows.sum(), 1).astype(x.dtype)
    mean = jnp.where(rows, x, 0).sum(0) / n
    deviation = jnp.where(rows, x - mean[None], 0)
    square = jnp.square(deviation).sum(0)
    varies = _varies(square, jnp.where(rows, jnp.square(x), 0).sum(0))
    return jnp.where(varies[None], deviation / jnp.sqrt(jnp.where(varies, square, 1))[None], 0)


def pair_correlation(
    lengths: Callable[[Pairs | Block | None], tuple[jax.Array, jax.Array, jax.Array]],
    n_rows: int,
    pairs: Pairs | None,
) -> jax.Array:
    """Correlation over pairs of two lengths, in blocks where there are many: :func:`pearson`.

    Args:
      lengths: of pairs to two lengths of each and which of the pairs count, all of one shape.
      n_rows: rows of the batch.
      pairs: sampled pairs, or None for all.

    Returns:
      A scalar in [-1, 1]; 0 where one of the lengths is constant.

    >>> from tvae.losses.pairs import distinct, pair_lengths
    >>> x = jnp.asarray([[0.0], [1.0], [3.0]])
    >>> def both(pairs):
    ...     length = pair_lengths(x, pairs, c=None)
    ...     return length, 1.0 - length, distinct(3, pairs)
    >>> round(float(pair_correlation(both, 3, None)), 6)
    -1.0
    """
    if pairs is not None or blocks.fits(n_rows):
        return pearson(*(length.ravel() for length in lengths(pairs)))

    def sums(values: Callable[..., tuple[jax.Array, ...]]) -> list[jax.Array]:
        def of_rows(i: jax.Array) -> tuple[jax.Array, ...]:
            x, y, counted = lengths(Block(i))
            return tuple(jnp.where(counted, v, 0).sum(-1) for v in values(x, y))

        return [found.sum() for found in blocks.map_rows(of_rows, n_rows)]

    count, x, y, xx, yy = sums(lambda x, y: (jnp.ones_like(x), x, y, x * x, y * y))
    mean_x, mean_y = x / jnp.maximum(count, 1), y / jnp.maximum(count, 1)
    uu, vv, uv = sums(
        lambda x, y: ((x - mean_x) ** 2, (y - mean_y) ** 2, (x - mean_x) * (y - mean_y))
    )
    varies = _varies(uu, xx) & _varies(vv, yy)
    product = jnp.sqrt(jnp.where(varies, uu, 1)) * jnp.sqrt(jnp.where(varies, vv, 1))
    return jnp.clip(jnp.where(varies, uv / product, 0), -1.0, 1.0)


@term(
    "correlation_gap",
    unit="1",
    source="Pearson's r; the reference system's ranking losses of its predictors",
    bounds=(0.0, 2.0),
    invariances=("permutation", "translation", "scale"),
)
def correlation_gap(
    prediction: jax.Array, measured: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    r"""One minus the correlation of prediction and measurement, :math:`1 - r`.

    Args:
      prediction: ``(n,)`` or ``(n, tasks)``.
      measured: of the same shape.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar in [0, 2], mean over tasks; 1 where a column is constant.

    >>> float(correlation_gap(jnp.asarray([1.0, 2.0]), jnp.asarray([5.0, 3.0])))
    2.0
    """
    return 1.0 - pearson(prediction, measured, where).mean()


@term(
    "target_correlation",
    unit="1",
    source="the reference system's ZeroSparsityLoss, for any two columns",
    options={"target": (within(-1.0, 1.0), "wanted correlation")},
    bounds=(0.0, 4.0),
    invariances=("permutation", "translation", "scale"),
)
def target_correlation(
    prediction: jax.Array,
    measured: jax.Array,
    where: jax.Array | None = None,
    *,
    target: Numeric = -0.3,
) -> jax.Array:
    r"""Squared distance of a correlation from a wanted one, :math:`(r - r^*)^2`.

    Args:
      prediction: ``(n,)`` or ``(n, tasks)``.
      measured: of the same shape.
      where: bool ``(n,)``, rows that count.
      target: r*.

    Returns:
      A scalar, mean over tasks.

    >>> x = jnp.asarray([1.0, 2.0])
    >>> round(float(target_correlation(x, x, target=0.5)), 4)
    0.25
    """
    return jnp.square(pearson(prediction, measured, where) - target).mean()
