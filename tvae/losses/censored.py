"""Regression of values that a measurement may only bound: the assay ends before the quantity."""

import chex
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from tvae.losses.registry import term
from tvae.losses.regression import mean_of_tasks


@term(
    "tobit_nll",
    unit="nats",
    source="Tobin 1958, Estimation of relationships for limited dependent variables",
    per="item",
    invariances=("permutation",),
)
def tobit_nll(
    prediction: jax.Array,
    predicted_logvar: jax.Array,
    measured: jax.Array,
    censored: jax.Array,
    observed: jax.Array | None = None,
    task_weight: jax.Array | None = None,
) -> jax.Array:
    r"""Negative log-likelihood of normal distributions, of a tail where a value is only a bound.

    .. math:: -\ln φ\big((y - μ)/σ\big) + \ln σ, \qquad -\ln Φ\big((μ - y)/σ\big), \qquad
              -\ln Φ\big((y - μ)/σ\big)

    for exact values, for truths of at least y, and for truths of at most y.

    Args:
      prediction: μ, ``(n,)`` or ``(n, tasks)``.
      predicted_logvar: ln σ², of the same shape.
      measured: y, of the same shape; where nothing was measured, any finite number.
      censored: of the same shape: 0 exact, 1 the truth is at least y, -1 at most.
      observed: bool of that shape, or None for all.
      task_weight: how much each counts, ``(tasks,)`` or of that shape, or None for all alike.

    Returns:
      ``(n,)``, nats, weighted mean over the observed tasks of each row, 0 where none is.

    >>> zero = jnp.zeros((1, 2))
    >>> tobit_nll(zero, zero, zero, jnp.asarray([[1, -1]])).round(4).tolist()  # ln 2
    [0.693...]
    """
    chex.assert_equal_shape([prediction, predicted_logvar, measured, censored])
    deviations = (measured - prediction) * jnp.exp(-0.5 * predicted_logvar)
    exact = -norm.logpdf(deviations) + 0.5 * predicted_logvar
    # The branch that is not taken gets a harmless argument: its gradient would be NaN far out.
    bound = -norm.logcdf(jnp.where(censored == 0, 0.0, -censored * deviations))
    nll = jnp.where(censored == 0, exact, bound)
    return mean_of_tasks(nll, observed, task_weight)
