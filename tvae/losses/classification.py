"""Likelihoods of classes with weights, missing labels, smoothing and focus; ordered classes."""

import math

import chex
import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.fields import SHARE, at_least
from tvae.losses.registry import term
from tvae.losses.regression import mean_of_tasks


def _position_nll(log_p: jax.Array, class_: jax.Array, smoothing: Numeric) -> jax.Array:
    """Cross-entropy of log-probabilities with a smoothed class, one value a position."""
    of_class = jnp.take_along_axis(log_p, class_[..., None], -1)[..., 0]
    return -(1.0 - smoothing) * of_class - smoothing * log_p.mean(-1)


def _log_of_others(logits: jax.Array, class_: jax.Array) -> jax.Array:
    """Logarithm of the probability of all other classes, exact also where it is tiny."""
    own = jax.nn.one_hot(class_, logits.shape[-1], dtype=bool)
    others = jax.nn.logsumexp(jnp.where(own, jnp.finfo(logits.dtype).min, logits), axis=-1)
    return others - jax.nn.logsumexp(logits, axis=-1)


@term(
    "categorical_nll",
    unit="nats",
    source="Szegedy et al. 2016, eq. 7 (smoothing); Lin et al. 2017, eq. 5 (focus)",
    per="item",
    options={
        "smoothing": (SHARE, "share of the label that is spread over all classes"),
        "focus": (at_least(0.0), "exponent of 1 - p, which weakens easy positions"),
        "ignore": (at_least(-1), "class of positions that do not count"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={
        "FocalLoss": "same",
        "LabelSmoothing": "same",
        "CrossEntropyLoss": "corrected",
        "Reconstruction (peptides)": "same",
        "BaseSupervisedLoss": "subsumed",
    },
)
def categorical_nll(
    logits: jax.Array,
    target: jax.Array,
    class_weight: jax.Array | None = None,
    *,
    smoothing: Numeric = 0.0,
    focus: Numeric = 0.0,
    ignore: int = -1,
) -> jax.Array:
    r"""Cross-entropy of each row, weighted mean over its positions.

    .. math:: \frac{\sum_j w_{k_j} (1 - p_{j k_j})^{γ}
              \big(-(1 - s) \ln p_{j k_j} - \tfrac sK \sum_k \ln p_{jk}\big)}{\sum_j w_{k_j}}

    Args:
      logits: ``(n, ..., classes)``.
      target: class k of each position, int ``(n, ...)``.
      class_weight: w ``(classes,)``, or None for 1.
      smoothing: s.
      focus: γ; 0 is the plain cross-entropy.
      ignore: target of positions that do not count (static).

    Returns:
      ``(n,)``, nats; 0 where no position counts.

    >>> categorical_nll(jnp.zeros((1, 2, 4)), jnp.asarray([[3, -1]])).round(4).tolist()
    [1.386...]
    """
    chex.assert_equal_shape_prefix([logits, target], target.ndim)
    counts = target != ignore
    class_ = jnp.where(counts, target, 0)
    nll = _position_nll(jax.nn.log_softmax(logits), class_, smoothing)
    nll = nll * jnp.exp(focus * _log_of_others(logits, class_))
    weight = jnp.ones(class_.shape, nll.dtype) if class_weight is None else class_weight[class_]
    weight = jnp.where(counts, weight, 0).reshape(len(target), -1)
    total = (weight * nll.reshape(weight.shape)).sum(-1)
    return total / jnp.where(weight.sum(-1) > 0, weight.sum(-1), 1)


@term(
    "ordinal_nll",
    unit="nats",
    source="the reference system's HierarchicalResistanceLoss",
    per="item",
    options={"level_penalty": (at_least(0.0), "more weight per level of the predicted error")},
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"HierarchicalResistanceLoss": "same"},
)
def ordinal_nll(
    class_logits: jax.Array, label: jax.Array, *, level_penalty: Numeric = 1.0
) -> jax.Array:
    r"""Cross-entropy of ordered classes, more for a prediction that is levels off.

    .. math:: -\ln p_k \,(1 + s\,|\hat k - k|), \quad \hat k = \operatorname{argmax}_j p_j

    No gradient passes through the factor.

    Args:
      class_logits: ``(n, classes)``.
      label: k, int ``(n,)``.
      level_penalty: s.

    Returns:
      ``(n,)``, nats.

    >>> logits = jnp.log(jnp.asarray([[0.5, 0.25, 0.25]]))
    >>> ordinal_nll(logits, jnp.asarray([2])).round(4).tolist()  # 3 ln 4
    [4.158...]
    """
    chex.assert_rank([class_logits, label], [2, 1])
    nll = _position_nll(jax.nn.log_softmax(class_logits), label, 0.0)
    levels = jnp.abs(class_logits.argmax(-1) - label).astype(nll.dtype)
    return nll * (1.0 + level_penalty * levels)


@term(
    "binary_nll",
    unit="nats",
    source="textbook",
    per="item",
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
)
def binary_nll(
    prediction: jax.Array, outcome: jax.Array, observed: jax.Array | None = None
) -> jax.Array:
    r"""Binary cross-entropy of logits, :math:`-y\ln σ(x) - (1 - y)\ln σ(-x)`.

    Args:
      prediction: x, ``(n,)`` or ``(n, tasks)``.
      outcome: y in [0, 1], of the same shape.
      observed: bool of the same shape, or None for all.

    Returns:
      ``(n,)``, nats, mean over the observed tasks of each row.

    >>> binary_nll(jnp.zeros(2), jnp.asarray([0.0, 1.0])).round(4).tolist()
    [0.693..., 0.693...]
    """
    chex.assert_equal_shape([prediction, outcome])
    rows = optax.sigmoid_binary_cross_entropy(prediction, outcome.astype(prediction.dtype))
    return mean_of_tasks(rows, observed)


@term(
    "dirichlet_nll",
    unit="nats",
    source="Sensoy et al. 2018, eq. 4 and 5",
    per="item",
    options={"regularization": (at_least(0.0), "weight of evidence for wrong classes")},
    bounds=(0.0, math.inf),
    invariances=("permutation",),
    was={"DirichletLoss": "same"},
)
def dirichlet_nll(
    class_logits: jax.Array, label: jax.Array, *, regularization: Numeric = 0.1
) -> jax.Array:
    r"""Expected cross-entropy under a Dirichlet belief, plus a penalty on misleading evidence.

    .. math:: ψ(S) - ψ(α_k) + λ\,\mathrm{KL}\big(\mathrm{Dir}(\tilde α)\,\|\,\mathrm{Dir}(1)\big),
              \quad α = 1 + \operatorname{softplus}(y), \quad S = \sum_j α_j

    where :math:`\tilde α` is α with 1 at the true class k. The expected probabilities are α/S; the
    share of the belief without evidence is K/S, for K classes.

    Args:
      class_logits: y ``(n, classes)``.
      label: k, int ``(n,)``.
      regularization: λ.

    Returns:
      ``(n,)``, nats.

    >>> value = dirichlet_nll(jnp.full((1, 2), -99.0), jnp.asarray([0]))
    >>> round(float(value[0]), 4)  # no evidence: the expected surprise of a uniform probability
    1.0
    """
    chex.assert_rank([class_logits, label], [2, 1])
    alpha = 1.0 + jax.nn.softplus(class_logits)
    own = jax.nn.one_hot(label, alpha.shape[-1], dtype=bool)
    of_class = jnp.where(own, alpha, 0).sum(-1)
    surprise = jax.lax.digamma(alpha.sum(-1)) - jax.lax.digamma(of_class)
    others = jnp.where(own, 1.0, alpha)
    total = others.sum(-1, keepdims=True)
    n_classes = jnp.asarray(alpha.shape[-1], alpha.dtype)
    excess = (others - 1.0) * (jax.lax.digamma(others) - jax.lax.digamma(total))
    divergence = (
        jax.lax.lgamma(total[..., 0])
        - jax.lax.lgamma(n_classes)
        - jax.lax.lgamma(others).sum(-1)
        + excess.sum(-1)
    )
    return surprise + regularization * jax.nn.relu(divergence)  # but for rounding
