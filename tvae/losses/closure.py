"""Losses on an embedding of a transitive closure: ancestors are to be nearer than other items."""

import math

import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.losses.levels import masked_mean
from tvae.losses.registry import term


def log_rank(
    distance: jax.Array,
    others: jax.Array,
    log_weight: jax.Array,
    *,
    temperature: Numeric,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Logarithm of a soft rank of each positive item among negative ones.

    .. math:: L_{qa} = \log\Big(1 + \sum_w \omega_w\, e^{(d_{qa} - d_{qw}) / T}\Big)

    For :math:`T \to 0` and weights 1 it is the logarithm of the rank. One sum over the negatives of
    a query serves all its positives.

    Args:
      distance: ``(q, a)``, of each query to its positives.
      others: ``(q, w)``, of each query to the negatives.
      log_weight: ``(q, w)``: how many items a negative stands for, logarithm; -inf for one that
        does not count, such as the query itself.
      temperature: T, unit of the distance.
      where: bool ``(q, a)``, positives that count; None = all.

    Returns:
      ``(q, a)`` nats, at least 0; 0 where a positive does not count.

    Source: the ranking softmax of Nickel and Kiela, *Poincaré Embeddings* (2017), equation 5, with
    all positives of a query and negatives that stand for all items.

    >>> rank = jnp.exp(log_rank(
    ...     jnp.asarray([[1.0]]), jnp.asarray([[0.5, 3.0]]), jnp.zeros((1, 2)), temperature=0.01))
    >>> bool(rank > 2.0)
    True
    """
    score = -others / temperature + log_weight
    top = jax.lax.stop_gradient(jnp.maximum(jnp.max(score, -1, keepdims=True), -1e30))
    total = jnp.sum(jnp.exp(score - top), -1, keepdims=True)
    some = total > 0.0
    log_sum = jnp.where(some, jnp.log(jnp.where(some, total, 1.0)) + top, -1e30)
    loss = jax.nn.softplus(distance / temperature + log_sum)
    return loss if where is None else jnp.where(where, loss, 0.0)


@term(
    "log_rank",
    unit="nats",
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    source="Nickel and Kiela, Poincaré Embeddings (2017), equation 5, see tvae.losses.closure",
)
def mean_log_rank(
    positive_distance: jax.Array,
    other_distance: jax.Array,
    log_weight: jax.Array,
    temperature: Numeric,
    *,
    is_positive: jax.Array | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    """Mean of :func:`log_rank` over the positives of all queries that count.

    Args:
      positive_distance: ``(q, a)``, of each query to its positives.
      other_distance: ``(q, w)``, of each query to the negatives.
      log_weight: ``(q, w)``, see :func:`log_rank`.
      temperature: unit of the distances.
      is_positive: bool ``(q, a)``, positives that count; None for all.
      where: bool ``(q,)``, queries that count; None for all.

    Returns:
      A scalar; 0 where no positive counts.

    >>> one = jnp.ones((1, 1))
    >>> round(float(mean_log_rank(one, one, 0.0 * one, 1.0)), 4)  # one tie: log 2
    0.6931
    """
    counts = jnp.ones(positive_distance.shape, bool) if is_positive is None else is_positive
    if where is not None:
        counts = counts & where[:, None]
    rows = log_rank(
        positive_distance, other_distance, log_weight, temperature=temperature, where=counts
    )
    return masked_mean(rows, counts)
