"""Retrieval between two sets of features, their alignment, and the collapse of one set.

A similarity matrix ``(n, m)`` has one row a query and one column a candidate, larger for nearer
(:mod:`tvae.losses.similarity` makes them). Measured over a whole data set the figures are global;
over a batch they are in-batch, and higher, because there are fewer candidates.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from tvae.errors import UserError
from tvae.metrics.definitions import Entry

RANKS = (1, 5, 10)
"""Values of k of recall at k."""

_SPREAD_FLOOR = 1e-6  # of the similarities; keeps the ratio finite where all are equal
_FEATURES = "features of both modalities"


def recall_at(similarity: jax.Array, relevant: jax.Array, *, k: int) -> jax.Array:
    """Share of queries with a relevant candidate among their k most similar ones.

    Queries without a relevant candidate do not count; of equal similarities the first candidate
    comes first. The reference system compares with one relevant candidate drawn at random: a
    perfect model of groups of two scores about 0.5 there at k = 1.

    Args:
      similarity: ``(n, m)``.
      relevant: bool ``(n, m)``.
      k: 1 to m (static).

    Returns:
      A scalar in [0, 1]; 0 where no query counts.

    Raises:
      UserError: if k is not in that range.

    >>> similarity = jnp.asarray([[0.9, 0.1], [0.8, 0.2]])
    >>> recall_at(similarity, jnp.eye(2, dtype=bool), k=1).item()
    0.5
    """
    if not 1 <= k <= similarity.shape[1]:
        raise UserError(f"recall at k of {similarity.shape[1]} candidates: got k = {k}")
    _, nearest = jax.lax.top_k(similarity, k)
    found = jnp.take_along_axis(relevant, nearest, axis=1).any(-1)
    counts = relevant.any(-1)
    return (found & counts).sum() / jnp.maximum(counts.sum(), 1)


def retrieval_metrics(
    similarity: jax.Array, relevant: jax.Array, *, ranks: Sequence[int] = RANKS
) -> dict[str, jax.Array]:
    """Recall at k in both directions and their mean, for every k that the candidates allow.

    Args:
      similarity: ``(n, m)``, rows of x against rows of y.
      relevant: bool ``(n, m)``.
      ranks: values of k (static); those above n or m are left out.

    Returns:
      Scalars in [0, 1]: ``recall_at_1_xy`` (x asks for y), ``recall_at_1_yx``, ``recall_at_1``, ...

    >>> similarity = jnp.asarray([[0.9, 0.1], [0.8, 0.2]])
    >>> found = retrieval_metrics(similarity, jnp.eye(2, dtype=bool))
    >>> {name: float(value) for name, value in found.items()}
    {'recall_at_1_xy': 0.5, 'recall_at_1_yx': 1.0, 'recall_at_1': 0.75}
    """
    found: dict[str, jax.Array] = {}
    for k in ranks:
        if k <= min(similarity.shape):
            forth = recall_at(similarity, relevant, k=k)
            back = recall_at(similarity.T, relevant.T, k=k)
            found |= {
                f"recall_at_{k}_xy": forth,
                f"recall_at_{k}_yx": back,
                f"recall_at_{k}": (forth + back) / 2,
            }
    return found


def alignment_metrics(similarity: jax.Array) -> dict[str, jax.Array]:
    """How far rows that belong together stand out from all pairs.

    Args:
      similarity: ``(n, n)``; row i belongs to column i.

    Returns:
      Scalars in the unit of the similarity: ``diagonal_mean``, ``similarity_mean`` and
      ``similarity_std`` (unbiased) of all pairs, ``alignment_gap`` (the first less the second), and
      ``alignment_snr``, the gap's magnitude over the deviation.

    >>> found = alignment_metrics(jnp.eye(2))
    >>> [round(float(value), 4) for value in found.values()]
    [1.0, 0.5, 0.5774, 0.5, 0.866]
    """
    diagonal, mean = jnp.diagonal(similarity).mean(), similarity.mean()
    spread = jnp.sqrt(jnp.square(similarity - mean).sum() / max(similarity.size - 1, 1))
    return {
        "diagonal_mean": diagonal,
        "similarity_mean": mean,
        "similarity_std": spread,
        "alignment_gap": diagonal - mean,
        "alignment_snr": jnp.abs(diagonal - mean) / (spread + _SPREAD_FLOOR),
    }


def collapse_metrics(z: jax.Array, *, threshold: float = 1e-4) -> dict[str, jax.Array]:
    """Variances of the dimensions of a set of features, and how many are dead.

    Args:
      z: ``(n, d)``.
      threshold: a dimension is dead if its unbiased variance is below, squared unit of z.

    Returns:
      Scalars: ``variance_min``, ``variance_mean`` and ``variance_max``, and ``dead_share`` in
      [0, 1]; above 0.5 the features have collapsed.

    >>> found = collapse_metrics(jnp.asarray([[0.0, 1.0], [2.0, 1.0]]))
    >>> [float(value) for value in found.values()]
    [0.0, 1.0, 2.0, 0.5]
    """
    variance = jnp.square(z - z.mean(0, keepdims=True)).sum(0) / max(z.shape[0] - 1, 1)
    return {
        "variance_min": variance.min(),
        "variance_mean": variance.mean(),
        "variance_max": variance.max(),
        "dead_share": (variance < threshold).mean(),
    }


def class_accuracy(
    logits: jax.Array, label: jax.Array, *, where: jax.Array | None = None
) -> jax.Array:
    """Share of rows whose largest logit is that of their class.

    Args:
      logits: ``(n, classes)``.
      label: int ``(n,)``.
      where: bool ``(n,)``, rows that count; None for all.

    Returns:
      A scalar in [0, 1]; 0 where no row counts.

    >>> class_accuracy(jnp.asarray([[2.0, 1.0], [2.0, 1.0]]), jnp.asarray([0, 1])).item()
    0.5
    """
    counts = jnp.ones(label.shape, bool) if where is None else where
    right = (logits.argmax(-1) == label) & counts
    return right.sum() / jnp.maximum(counts.sum(), 1)


_DIRECTIONS = {
    "_xy": ", x asking for y",
    "_yx": ", y asking for x",
    "": ", mean of both directions",
}

DEFINITIONS = {
    f"recall_at_{k}{suffix}": Entry(
        f"share of queries with a relevant one among the {k} most similar{direction}",
        _FEATURES,
        1.0,
    )
    for k in RANKS
    for suffix, direction in _DIRECTIONS.items()
} | {
    "diagonal_mean": Entry("mean similarity of rows that belong together", _FEATURES),
    "similarity_mean": Entry("mean similarity of all pairs", _FEATURES, better="neither"),
    "similarity_std": Entry(
        "standard deviation of the similarities of all pairs", _FEATURES, better="neither"
    ),
    "alignment_gap": Entry("similarity of rows that belong together less that of all", _FEATURES),
    "alignment_snr": Entry("the gap over the deviation of all similarities", _FEATURES),
    "variance_min": Entry("least variance of a dimension", _FEATURES),
    "variance_mean": Entry("mean variance of the dimensions", _FEATURES, better="neither"),
    "variance_max": Entry("largest variance of a dimension", _FEATURES, better="neither"),
    "dead_share": Entry(
        "share of dimensions whose variance is below 1e-4", _FEATURES, 0.0, better="lower"
    ),
}
