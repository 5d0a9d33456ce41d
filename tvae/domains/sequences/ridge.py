"""Linear models of several labels in closed form, their penalty chosen by exact leave-one-out.

Nothing is trained by steps: one eigendecomposition for each label gives all penalties of the path
and, for each, the prediction of every training row by the model without it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

PENALTIES = tuple(float(value) for value in np.logspace(0, 3, 13))
"""Penalties of the path; features are in [0, 1]."""


class Ridge(NamedTuple):
    """Linear models of ``d`` labels.

    Attributes:
      weights: ``(d, f)``, in the unit of the label for each feature.
      intercepts: ``(d,)``.
      penalties: ``(d,)``, the chosen ones.
      held_out: ``(n, d)``, predictions of training rows by the models without each, else 0.
    """

    weights: jax.Array
    intercepts: jax.Array
    penalties: jax.Array
    held_out: jax.Array


@jax.jit
def fit(features: jax.Array, targets: jax.Array, known: jax.Array) -> Ridge:
    r"""Fit ridge regression to each label on the rows that have it.

    With centred features X, :math:`X^\top X = V \Lambda V^\top`, penalty :math:`\alpha` and
    :math:`h_i = 1/n + \sum_j (XV)_{ij}^2 / (\lambda_j + \alpha)`, the error of row i by the model
    without it is :math:`(y_i - \hat y_i) / (1 - h_i)`; the penalty has the least mean square of it.

    Args:
      features: ``(n, f)``.
      targets: ``(n, d)``; what stands where ``known`` is False has no effect.
      known: bool ``(n, d)``, labels to learn from.

    Returns:
      The models. A label without a known row predicts 0.

    Source: Allen 1974, *The relationship between variable selection and data augmentation and a
    method for prediction*, Technometrics 16 (the statistic PRESS).

    >>> model = fit(jnp.zeros((3, 1)), jnp.asarray([[1.0], [2.0], [9.0]]), jnp.ones((3, 1), bool))
    >>> model.held_out[:, 0].round(2).tolist()  # means of the other two
    [5.5, 5.0, 1.5]
    """
    penalties = jnp.asarray(PENALTIES)

    def one(label: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        y, rows = label
        weight = rows.astype(features.dtype)
        n = jnp.maximum(weight.sum(), 1)
        centre, mean = weight @ features / n, jnp.where(rows, y, 0).sum() / n
        X, residual = (features - centre[None, :]) * weight[:, None], jnp.where(rows, y - mean, 0)
        values, vectors = jnp.linalg.eigh(X.T @ X)
        values, XV = jnp.maximum(values, 0)[:, None] + penalties[None, :], X @ vectors
        shrunk = (XV.T @ residual)[:, None] / values
        leverage = 1 / n + (XV**2) @ (1 / values)
        error = (residual[:, None] - XV @ shrunk) / jnp.maximum(1 - leverage, 1e-3)
        best = jnp.argmin(jnp.where(rows[:, None], error**2, 0).sum(0))
        w = vectors @ shrunk[:, best]
        return w, mean - centre @ w, penalties[best], jnp.where(rows, y - error[:, best], 0)

    w, intercepts, chosen, held_out = jax.lax.map(one, (targets.T, known.T))
    return Ridge(w, intercepts, chosen, held_out.T)


@jax.jit
def predict(model: Ridge, features: jax.Array) -> jax.Array:
    """Predictions ``(n, d)`` of features ``(n, f)``."""
    return features @ model.weights.T + model.intercepts[None, :]


def shares(model: Ridge, features: jax.Array, label: int) -> jax.Array:
    """What each feature adds to a prediction: ``(n, f)``; their sum and the intercept give it."""
    return features * model.weights[label][None, :]
