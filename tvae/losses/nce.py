"""The core of every contrastive loss: cross-entropy of a row's positives among its candidates.

A loss chooses four things: which pairs are positive and which are candidates (masks), what the
denominator holds, whether the logarithm is inside or outside the sum over positives, and how rows
are averaged. Masks are bool ``(n, m)``; a pair that is positive but not a candidate does not count.

Source: van den Oord et al., *Representation learning with contrastive predictive coding* (2018),
equation 4, and for several positives Khosla et al., *Supervised contrastive learning* (2020),
equations 2 and 3.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.errors import UserError
from tvae.losses.levels import masked_mean
from tvae.losses.pairs import distinct

DENOMINATORS = ("all", "pair", "negatives")
"""Choices of ``denominator`` in :func:`nce`."""
MINING = ("none", "hard", "semi_hard")
"""Choices of ``mining`` in :func:`negative_log_weights`."""

# Width below the mean similarity of the positives in which a negative is semi-hard.
_SEMI_HARD_WINDOW = 0.2


class Rows(NamedTuple):
    """What :func:`nce` found for each row, ``(n,)`` each.

    Attributes:
      loss: nats; 0 where the row does not count.
      counts: bool, the row has a positive (and a negative, where the loss needs one).
      n_positives: int, positives of the row.
    """

    loss: jax.Array
    counts: jax.Array
    n_positives: jax.Array


def nce(
    logits: jax.Array,
    positive: jax.Array,
    candidate: jax.Array | None = None,
    *,
    log_weight: jax.Array | None = None,
    target: jax.Array | None = None,
    denominator: str = "all",
    inside: str = "log",
) -> Rows:
    r"""Contrastive loss of every row.

    With candidates C, positives P and negatives :math:`N = C \setminus P` of row i, and target
    shares q, the value is :math:`\sum_j q_{ij} (\log Z_{ij} - s_{ij})` with

    =============  ==============================================
    denominator    :math:`Z_{ij}`
    =============  ==============================================
    ``all``        :math:`\sum_{k \in C} h_{ik} e^{s_{ik}}`
    ``pair``       :math:`e^{s_{ij}} + \sum_{k \in N} h_{ik} e^{s_{ik}}`
    ``negatives``  :math:`\sum_{k \in N} h_{ik} e^{s_{ik}}`
    =============  ==============================================

    or, with the sum over positives inside the logarithm, :math:`\log Z_i - \log \sum_{j \in P}
    e^{s_{ij}}` over all candidates. Weights h are 1 but for negatives with a ``log_weight``.

    Args:
      logits: s, ``(n, m)``, similarities over a temperature.
      positive: bool ``(n, m)``.
      candidate: bool ``(n, m)``; None for all.
      log_weight: :math:`\log h`, ``(n, m)``, read at negatives.
      target: q, ``(n, m)``, rows that sum to 1, 0 outside the candidates; None for equal shares of
        the positives.
      denominator: see above.
      inside: "log": the logarithm of each positive; "sum": of their sum, for which the denominator
        is "all" and ``target`` None.

    Returns:
      The loss of each row in nats. Rows without a positive do not count; for "sum" and for the
      denominator "negatives" neither do rows without a negative.

    Raises:
      AssertionError: if the shapes differ.
      UserError: if a choice is unknown, or "sum" is combined with others than its own.

    >>> rows = nce(jnp.zeros((2, 4)), jnp.eye(2, 4, dtype=bool))
    >>> rows.loss.round(4).tolist(), rows.counts.tolist()  # log 4
    ([1.386..., 1.386...], [True, True])
    """
    _check_choices(denominator, inside, target)
    chex.assert_rank(logits, 2)
    chex.assert_equal_shape([x for x in (logits, positive, candidate, target) if x is not None])
    if candidate is None:
        candidate = jnp.ones_like(positive)
    positive = positive & candidate
    negative = candidate & ~positive
    n_positives = positive.sum(-1, dtype=jnp.int32)
    counts = n_positives > 0
    if inside == "sum" or denominator == "negatives":
        counts = counts & negative.any(-1)
    # Relative to the largest candidate, so that a loss near 0 is not the rounded difference of two
    # logits of 14.
    largest = jnp.where(candidate, logits, -jnp.inf).max(-1, keepdims=True)
    largest = jnp.where(jnp.isfinite(largest), largest, 0)
    logits = jnp.where(candidate, logits - jax.lax.stop_gradient(largest), 0)
    weighted = logits if log_weight is None else logits + jnp.where(negative, log_weight, 0)
    in_denominator = candidate if denominator == "all" else negative
    log_z = masked_logsumexp(weighted, in_denominator)
    if inside == "sum":
        loss = log_z - masked_logsumexp(logits, positive)
    else:
        each = log_z[:, None] - logits
        each = jax.nn.softplus(each) if denominator == "pair" else each
        share = uniform_targets(positive, candidate) if target is None else target
        loss = jnp.where(share > 0, share * each, 0).sum(-1)
    return Rows(jnp.where(counts, loss, 0), counts, n_positives)


def _check_choices(denominator: str, inside: str, target: jax.Array | None) -> None:
    """Refuse unknown choices, and those that the sum inside the logarithm cannot have."""
    if denominator not in DENOMINATORS:
        raise UserError(f"denominator: got {denominator!r}, expected one of {DENOMINATORS}")
    if inside not in ("log", "sum"):
        raise UserError(f"inside: got {inside!r}, expected 'log' or 'sum'")
    if inside == "sum" and (denominator != "all" or target is not None):
        raise UserError(
            f"inside 'sum': got the denominator {denominator!r} and target shares "
            f"{'given' if target is not None else 'None'}; expected 'all' and None"
        )


def masked_logsumexp(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Log of the sum of exponentials where ``mask`` holds, over the last axis.

    The lowest finite number where it holds nowhere, with gradient 0: -inf would make NaN of it.

    >>> masked_logsumexp(jnp.asarray([0.0, 9.0]), jnp.asarray([True, False])).item()
    0.0
    """
    some = mask.any(-1)
    largest = jnp.where(mask, x, -jnp.inf).max(-1)
    largest = jax.lax.stop_gradient(jnp.where(some, largest, 0))
    total = jnp.where(mask, jnp.exp(jnp.where(mask, x - largest[..., None], 0)), 0).sum(-1)
    return jnp.where(some, largest + jnp.log(jnp.where(some, total, 1)), jnp.finfo(x.dtype).min)


def mean_rows(rows: Rows) -> jax.Array:
    """Mean over the rows that count; 0 if none does.

    >>> rows = Rows(jnp.asarray([1.0, 0.0]), jnp.asarray([True, False]), jnp.asarray([1, 0]))
    >>> float(mean_rows(rows))
    1.0
    """
    return masked_mean(rows.loss, rows.counts)


def mean_pairs(rows: Rows) -> jax.Array:
    """Mean over the positive pairs of the rows that count; 0 if there is none.

    >>> float(mean_pairs(Rows(jnp.asarray([1.0, 4.0]), jnp.ones(2, bool), jnp.asarray([2, 1]))))
    2.0
    """
    n = jnp.where(rows.counts, rows.n_positives, 0)
    return (n * rows.loss).sum() / jnp.maximum(n.sum(), 1)


def same(a: jax.Array, b: jax.Array) -> jax.Array:
    """Pairs of equal ids, int ``(n,)`` and ``(m,)`` to bool ``(n, m)``.

    >>> same(jnp.asarray([0, 1]), jnp.asarray([1, 1])).tolist()
    [[False, False], [True, True]]
    """
    return a[:, None] == b[None, :]


def uniform_targets(
    positive: jax.Array, candidate: jax.Array, smoothing: Numeric = 0.0
) -> jax.Array:
    r"""Shares of a row's candidates, :math:`(1 - ε) [j \in P] / |P| + ε [j \in C] / |C|`.

    They are what a positive drawn at random is on average, without its variance. Rows without a
    positive get the second part only.

    Args:
      positive: bool ``(n, m)``.
      candidate: bool ``(n, m)``.
      smoothing: ε in [0, 1].

    Returns:
      ``(n, m)``; a row with a positive sums to 1.

    >>> positive = jnp.asarray([[True, True, False, False]])
    >>> uniform_targets(positive, jnp.ones((1, 4), bool), 0.2).round(2).tolist()
    [[0.449..., 0.449..., 0.0..., 0.0...]]
    """
    dtype = jnp.result_type(float)
    shares = [(mask & candidate).astype(dtype) for mask in (positive, candidate)]
    of_positive, of_all = (s / jnp.maximum(s.sum(-1, keepdims=True), 1) for s in shares)
    return (1 - smoothing) * of_positive + smoothing * of_all


def negative_log_weights(
    similarity: jax.Array,
    positive: jax.Array,
    candidate: jax.Array,
    *,
    mining: str,
    factor: Numeric = 2.0,
) -> jax.Array:
    r"""Log-weights of a row's negatives: :math:`\log` of the factor for the hard ones, else 0.

    * hard: the tenth of the row's negatives that is most similar, at least one;
    * semi_hard: negatives less similar than the row's positives are on average, by less than 0.2.

    Which ones are hard passes no gradient.

    Args:
      similarity: ``(n, m)``, without a temperature; 0.2 is meant for cosines.
      positive: bool ``(n, m)``.
      candidate: bool ``(n, m)``.
      mining: "none", "hard" or "semi_hard".
      factor: weight of a hard negative, above 0.

    Raises:
      UserError: if ``mining`` is something else.

    Source: the reference system's HardNegativeLoss; semi-hard after Schroff et al., *FaceNet*
    (2015), section 3.2.

    >>> s, positive = jnp.asarray([[0.9, 0.8, 0.1]]), jnp.asarray([[True, False, False]])
    >>> negative_log_weights(s, positive, jnp.ones((1, 3), bool), mining="hard").round(4).tolist()
    [[0.0, 0.693..., 0.0]]
    """
    if mining not in MINING:
        raise UserError(f"mining: got {mining!r}, expected one of {MINING}")
    if mining == "none":
        return jnp.zeros_like(similarity)
    similarity = jax.lax.stop_gradient(similarity)
    negative = candidate & ~positive
    if mining == "hard":
        order = jnp.argsort(-jnp.where(negative, similarity, -jnp.inf), axis=-1)
        rank = jnp.argsort(order, axis=-1)
        hard = rank < jnp.maximum(negative.sum(-1, keepdims=True) // 10, 1)
    else:
        level = jax.vmap(masked_mean)(similarity, positive & candidate)[:, None]
        hard = (similarity < level) & (similarity > level - _SEMI_HARD_WINDOW)
    return jnp.where(negative & hard, jnp.log(factor), 0).astype(similarity.dtype)


def separation_temperature(
    similarity: jax.Array,
    positive: jax.Array,
    candidate: jax.Array,
    *,
    base: Numeric = 0.07,
    low: Numeric = 0.04,
    high: Numeric = 0.2,
) -> jax.Array:
    r"""Temperature that falls as positives and negatives separate, a scalar.

    .. math:: τ = \operatorname{clip}\big(τ_0 (0.8 + 0.4 e^{-2 Δ}),\, τ_{low},\, τ_{high}\big)

    with Δ the mean similarity of positives less that of negatives. Positives off the diagonal are
    taken where there are any; in the reference system their mean is 0 where there are none.

    Args:
      similarity: ``(n, n)`` cosines; row i belongs to column i.
      positive: bool ``(n, n)``.
      candidate: bool ``(n, n)``.
      base: :math:`τ_0`.
      low: least temperature.
      high: largest temperature.

    Returns:
      A scalar. It passes a gradient: without ``stop_gradient`` a term can fall by raising it.

    Source: the reference system's DynamicTemperatureLoss.

    >>> eye = jnp.eye(2, dtype=bool)
    >>> round(float(separation_temperature(jnp.eye(2), eye, eye | True)), 5)  # 0.8 + 0.4 e^-2
    0.05979
    """
    sums = separation_sums(similarity, positive, candidate, distinct(similarity.shape[0], None))
    return temperature_of_sums(*sums, base=base, low=low, high=high)


def separation_sums(
    similarity: jax.Array, positive: jax.Array, candidate: jax.Array, other: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What :func:`separation_temperature` adds up of rows: two arrays ``(b, 3)``.

    Args:
      similarity: ``(b, n)``.
      positive: bool ``(b, n)``.
      candidate: bool ``(b, n)``.
      other: bool ``(b, n)``, pairs of different rows.

    Returns:
      Sums of similarities, and numbers of pairs: positives of other rows, all positives, negatives.
    """
    own = positive & candidate
    masks = (own & other, own, candidate & ~positive)
    total = jnp.stack([jnp.where(mask, similarity, 0).sum(-1) for mask in masks], -1)
    return total, jnp.stack([mask.sum(-1) for mask in masks], -1)


def temperature_of_sums(
    total: jax.Array, count: jax.Array, *, base: Numeric, low: Numeric, high: Numeric
) -> jax.Array:
    """The temperature of :func:`separation_temperature` from :func:`separation_sums` of all rows.

    >>> total, count = jnp.asarray([[0.0, 2.0, 0.0]]), jnp.asarray([[0, 2, 2]])
    >>> round(float(temperature_of_sums(total, count, base=0.07, low=0.04, high=0.2)), 5)
    0.05979
    """
    total, count = total.sum(0), count.sum(0)
    mean = total / jnp.maximum(count, 1).astype(total.dtype)
    separation = jnp.where(count[0] > 0, mean[0], mean[1]) - mean[2]
    return jnp.clip(base * (0.8 + 0.4 * jnp.exp(-2 * separation)), low, high)
