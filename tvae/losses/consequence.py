"""A forecast of what an embedding is good for, from four numbers of it: a toy of the reference.

A small network learns to forecast from the :func:`embedding_summary` how well the embedding serves
additions; a good forecast needs an embedding whose summary follows its use. In the reference system
the four numbers are detached, so that only the network learns; here the embedding does, too.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from tvae.losses.correlation import pearson
from tvae.losses.levels import masked_mean
from tvae.losses.registry import term

N_SUMMARY = 4
_WIDTHS = (N_SUMMARY, 32, 32, 1)
_SHARE_OF_NEUTRAL = 0.3  # the rest is the order's; of the reference system


class Layer(NamedTuple):
    """A dense layer: ``weight`` ``(inputs, outputs)`` and ``bias`` ``(outputs,)``."""

    weight: jax.Array
    bias: jax.Array


def init_predictor(key: jax.Array) -> tuple[Layer, ...]:
    """Fresh parameters of the network, 4 to 32 to 32 to 1.

    >>> [layer.weight.shape for layer in init_predictor(jax.random.key(0))]
    [(4, 32), (32, 32), (32, 1)]
    """
    init = jax.nn.initializers.lecun_normal()
    keys = jax.random.split(key, len(_WIDTHS) - 1)
    sizes = itertools.pairwise(_WIDTHS)
    return tuple(
        Layer(init(k, size, jnp.float32), jnp.zeros(size[1]))
        for k, size in zip(keys, sizes, strict=True)
    )


def forecast(layers: Sequence[Layer], summary: jax.Array) -> jax.Array:
    """Forecast of the accuracy, a scalar in (0, 1), from a summary ``(4,)``.

    >>> layers = [Layer(jnp.zeros(w.shape), b) for w, b in init_predictor(jax.random.key(0))]
    >>> float(forecast(layers, jnp.ones(4)))
    0.5
    """
    x = summary
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer.weight + layer.bias)
    return jax.nn.sigmoid(x @ layers[-1].weight + layers[-1].bias)[0]


def embedding_summary(
    z: jax.Array, radius: jax.Array, level: jax.Array, coverage: jax.Array
) -> jax.Array:
    """Order of the radii, mean radius, deviation of the coordinates, and coverage: ``(4,)``.

    Args:
      z: ``(n, d)``.
      radius: ``(n,)``.
      level: int ``(n,)``.
      coverage: share of items that the decoder reproduces, a scalar.

    >>> z, radius, level = jnp.ones((2, 3)), jnp.asarray([0.5, 0.25]), jnp.asarray([0, 1])
    >>> embedding_summary(z, radius, level, jnp.float32(1.0)).round(4).tolist()
    [1.0, 0.375, 0.0, 1.0]
    """
    chex.assert_rank([z, radius, level], [2, 1, 1])
    variance = jnp.var(z)
    varies = variance > 0
    deviation = jnp.where(varies, jnp.sqrt(jnp.where(varies, variance, 1)), 0)
    order = pearson(level.astype(radius.dtype), -radius)
    return jnp.stack([order, radius.mean(), deviation, coverage])


def addition_accuracy(
    radius: jax.Array,
    level: jax.Array,
    neutral: jax.Array,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""How well an embedding serves additions, :math:`0.3\,[z_0\text{ inside}] + 0.7\,(r + 1)/2`.

    Args:
      radius: ``(n,)``.
      level: int ``(n,)``; r is its correlation with the negative radius.
      neutral: bool ``(n,)``, the row of the operation without effect: inside the mean radius?
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar in [0, 1].

    >>> radius, level = jnp.asarray([0.5, 0.25]), jnp.asarray([0, 1])
    >>> round(float(addition_accuracy(radius, level, jnp.asarray([False, True]))), 4)
    1.0
    """
    rows = jnp.ones(radius.shape, bool) if where is None else where
    inside = (neutral & rows & (radius < masked_mean(radius, rows))).any()
    order = pearson(level.astype(radius.dtype), -radius, rows)
    return _SHARE_OF_NEUTRAL * inside + (1 - _SHARE_OF_NEUTRAL) * 0.5 * (order + 1)


@term(
    "consequence",
    unit="1",
    source="the reference system's PurposefulRankingLoss",
    bounds=(0.0, 1.0),
    invariances=("permutation",),
    was={"ConsequencePredictor": "toy", "PurposefulRankingLoss": "toy"},
)
def consequence(
    forecast_accuracy: jax.Array,
    radius: jax.Array,
    level: jax.Array,
    neutral: jax.Array,
    where: jax.Array | None = None,
) -> jax.Array:
    """Squared error of a :func:`forecast` of the :func:`addition_accuracy`; a toy.

    Args:
      forecast_accuracy: a scalar in [0, 1].
      radius: ``(n,)``; no gradient passes through the accuracy.
      level: int ``(n,)``.
      neutral: bool ``(n,)``, the row of the operation without effect.
      where: bool ``(n,)``, rows that count.

    Returns:
      A scalar.

    >>> radius, level = jnp.asarray([0.5, 0.25]), jnp.asarray([0, 1])
    >>> value = consequence(jnp.float32(0.5), radius, level, jnp.asarray([False, True]))
    >>> round(float(value), 4)
    0.25
    """
    chex.assert_equal_shape([radius, level, neutral])
    accuracy = addition_accuracy(jax.lax.stop_gradient(radius), level, neutral, where)
    return jnp.square(forecast_accuracy - accuracy)
