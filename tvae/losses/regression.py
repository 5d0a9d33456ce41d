"""Regression of one or more quantities of a row: squares, robust ones, and likelihoods."""

import chex
import jax
import jax.numpy as jnp
import optax
from chex import Numeric

from tvae.fields import BOOLEAN, above, at_least
from tvae.losses.registry import term

# Smallest evidence: keeps the logarithms of the evidential likelihood finite.
_LEAST_EVIDENCE = 1e-6


def mean_of_tasks(
    values: jax.Array, observed: jax.Array | None, task_weight: jax.Array | None = None
) -> jax.Array:
    """Mean over the observed tasks of each row, 0 where none is.

    Args:
      values: ``(n,)`` or ``(n, tasks)``.
      observed: bool of the same shape, or None for all.
      task_weight: how much each counts, ``(tasks,)`` or ``(n, tasks)``, or None for all alike.

    Returns:
      ``(n,)``.

    >>> observed = jnp.asarray([[True, False], [False, False]])
    >>> mean_of_tasks(jnp.ones((2, 2)), observed).tolist()
    [1.0, 0.0]
    """
    mask = jnp.ones(values.shape, bool) if observed is None else observed
    chex.assert_equal_shape([values, mask])
    values, mask = values.reshape(len(values), -1), mask.reshape(len(values), -1)
    if task_weight is None:
        count = jnp.maximum(mask.sum(-1), 1).astype(values.dtype)
        return jnp.where(mask, values, 0).sum(-1) / count
    weight = mask * jnp.broadcast_to(task_weight, mask.shape)
    total = weight.sum(-1)
    return (weight * jnp.where(mask, values, 0)).sum(-1) / jnp.where(total > 0, total, 1.0)


@term(
    "squared_error",
    unit="squared unit of the measurement",
    source="textbook",
    per="item",
    bounds=(0.0, float("inf")),
    invariances=("permutation", "translation"),
    was={"MeanSquaredError": "corrected"},
)
def squared_error(
    prediction: jax.Array, measured: jax.Array, observed: jax.Array | None = None
) -> jax.Array:
    """Squared error of each row, mean over its observed tasks.

    Args:
      prediction: ``(n,)`` or ``(n, tasks)``.
      measured: of the same shape; where nothing was measured, any finite number.
      observed: bool of the same shape, or None for all.

    Returns:
      ``(n,)``; 0 where nothing was observed.

    >>> squared_error(jnp.asarray([1.0, 2.0]), jnp.asarray([1.0, 5.0])).tolist()
    [0.0, 9.0]
    """
    chex.assert_equal_shape([prediction, measured])
    return mean_of_tasks(jnp.square(prediction - measured), observed)


@term(
    "huber",
    unit="squared unit of the measurement",
    source="Huber 1964, eq. 1",
    per="item",
    options={"corner": (above(0.0), "error beyond which the loss is linear, unit of measurement")},
    bounds=(0.0, float("inf")),
    invariances=("permutation", "translation"),
    was={"MICPrediction": "same"},
)
def huber(
    prediction: jax.Array,
    measured: jax.Array,
    observed: jax.Array | None = None,
    *,
    corner: Numeric = 1.0,
) -> jax.Array:
    r"""Half the squared error e up to a corner :math:`δ`, beyond it :math:`δ(|e| - δ/2)`.

    The smooth L1 of other libraries is this over δ.

    Args:
      prediction: ``(n,)`` or ``(n, tasks)``.
      measured: of the same shape.
      observed: bool of the same shape, or None for all.
      corner: δ, unit of the measurement.

    Returns:
      ``(n,)``, mean over the observed tasks of each row.

    >>> huber(jnp.asarray([1.0, 3.0]), jnp.zeros(2), corner=2.0).tolist()
    [0.5, 4.0]
    """
    chex.assert_equal_shape([prediction, measured])
    return mean_of_tasks(optax.huber_loss(prediction, measured, delta=corner), observed)


@term(
    "gaussian_nll",
    unit="nats",
    source="Nix and Weigend 1994; Kendall and Gal 2017, eq. 5",
    per="item",
    options={"full": (BOOLEAN, "with the constant ln(2 pi)/2")},
    invariances=("permutation",),
    was={"HeteroscedasticNLL": "same"},
)
def gaussian_nll(
    prediction: jax.Array,
    predicted_logvar: jax.Array,
    measured: jax.Array,
    observed: jax.Array | None = None,
    *,
    full: bool = False,
) -> jax.Array:
    r"""Negative log-likelihood of a normal distribution whose variance is predicted as well.

    .. math:: \tfrac12 \big( \ln σ^2 + (y - μ)^2 / σ^2 \big)

    Args:
      prediction: μ, ``(n,)`` or ``(n, tasks)``.
      predicted_logvar: ln σ², of the same shape.
      measured: y, of the same shape.
      observed: bool of the same shape, or None for all.
      full: adds ½ ln 2π (static).

    Returns:
      ``(n,)``, nats, mean over the observed tasks of each row.

    >>> gaussian_nll(jnp.zeros(1), jnp.zeros(1), jnp.asarray([2.0])).tolist()
    [2.0]
    """
    chex.assert_equal_shape([prediction, predicted_logvar, measured])
    nll = 0.5 * (predicted_logvar + jnp.square(measured - prediction) * jnp.exp(-predicted_logvar))
    return mean_of_tasks(nll + 0.5 * jnp.log(2 * jnp.pi) if full else nll, observed)


def evidential_parameters(evidence: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    r"""The parameters ν > 0, α > 1 and β > 0 of a normal-inverse-gamma distribution.

    By softplus from three unconstrained outputs of a network. The expected variance of a
    measurement (aleatoric) is :math:`β/(α-1)`, that of the mean (epistemic) :math:`β/(ν(α-1))`.

    Args:
      evidence: ``(..., 3)``.

    Returns:
      Three arrays ``(...)``.

    >>> [round(float(x), 4) for x in evidential_parameters(jnp.zeros(3))]
    [0.6931, 1.6931, 0.6931]
    """
    positive = jax.nn.softplus(evidence) + _LEAST_EVIDENCE
    return positive[..., 0], 1.0 + positive[..., 1], positive[..., 2]


@term(
    "evidential_nll",
    unit="nats",
    source="Amini et al. 2020, eq. 8 and 9",
    per="item",
    options={"regularization": (at_least(0.0), "weight of the error times the evidence")},
    invariances=("permutation", "translation"),
    was={"EvidentialLoss": "corrected", "EvidentialPredictor": "corrected"},
)
def evidential_nll(
    prediction: jax.Array,
    evidence: jax.Array,
    measured: jax.Array,
    observed: jax.Array | None = None,
    *,
    regularization: Numeric = 0.01,
) -> jax.Array:
    r"""Negative log-likelihood under a normal-inverse-gamma belief, plus a penalty on evidence.

    .. math:: \tfrac12 \ln\tfrac πν - α \ln Ω + (α + \tfrac12) \ln\big(ν(y - γ)^2 + Ω\big)
              + \ln\frac{Γ(α)}{Γ(α + \frac12)} + λ\,|y - γ|\,(2ν + α), \quad Ω = 2β(1 + ν)

    Without the penalty it is the density of a Student t distribution with 2α degrees of freedom.
    The reference system's penalty lacks the error :math:`|y - γ|`, and so shrinks all evidence.

    Args:
      prediction: γ, ``(n,)`` or ``(n, tasks)``.
      evidence: unconstrained, shaped like the prediction with three more entries, see
        :func:`evidential_parameters`.
      measured: y, shaped like the prediction.
      observed: bool of that shape, or None for all.
      regularization: λ.

    Returns:
      ``(n,)``, nats, mean over the observed tasks of each row.

    >>> value = evidential_nll(jnp.zeros(1), jnp.zeros((1, 3)), jnp.zeros(1))
    >>> round(float(value[0]), 4)
    0.9918
    """
    chex.assert_equal_shape([prediction, measured])
    chex.assert_shape(evidence, (*prediction.shape, 3))
    nu, alpha, beta = evidential_parameters(evidence)
    error = measured - prediction
    omega = 2.0 * beta * (1.0 + nu)
    nll = (
        0.5 * jnp.log(jnp.pi / nu)
        - alpha * jnp.log(omega)
        + (alpha + 0.5) * jnp.log(nu * jnp.square(error) + omega)
        + jax.lax.lgamma(alpha)
        - jax.lax.lgamma(alpha + 0.5)
    )
    penalty = jnp.abs(error) * (2.0 * nu + alpha)
    return mean_of_tasks(nll + regularization * penalty, observed)
