"""The closed-form models of all parts as stacked arrays, which a checkpoint carries.

A part is what models are fitted to: part k < K is all folds but fold k, part K is all rows. Arrays
that belong to parts lead with K + 1. Nothing here is trained by steps.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences import gaussian_process, ridge, two_stage
from tvae.domains.sequences.gaussian_process import GaussianProcess, Inputs
from tvae.domains.sequences.samples import Samples
from tvae.engine.task import Params

N_HYPERPARAMETERS = len(gaussian_process.PRIOR_CENTRE)


class Sizes(NamedTuple):
    """Sizes of the arrays.

    Attributes:
      rows: n.
      features: f.
      labels: d.
      folds: K.
    """

    rows: int
    features: int
    labels: int
    folds: int

    @property
    def parts(self) -> int:
        """K + 1."""
        return self.folds + 1


def empty(sizes: Sizes) -> dict[str, Params]:
    """Zeros in place of a table and its models: the shapes that :func:`solve` fills."""
    n, f, d, _ = sizes
    parts = sizes.parts
    shapes = {
        "table": {
            "features": (n, f),
            "target": (n, d),
            "known": (n, d),
            "censored": (n, d),
            "fold": (n,),
        },
        "solved": {
            "used": (parts, f),
            "weights": (parts, d, f),
            "intercepts": (parts, d),
            "centre": (parts, d),
            "spread": (parts, d),
            "linear": (parts, n, d),
            "coefficients": (parts, d, n),
            "hyperparameters": (parts, d, N_HYPERPARAMETERS),
            "mean": (parts, d),
            "deviation": (parts, d),
            "low": (parts, d),
            "high": (parts, d),
            "has_process": (parts, d),
            "held_out": (n, d),
        },
    }
    return {
        group: {name: jnp.zeros(shape, jnp.float32) for name, shape in arrays.items()}
        for group, arrays in shapes.items()
    }


def solve(
    samples: Samples, fold: NDArray[np.int64], n_folds: int, seed: int, *, processes: bool
) -> dict[str, Params]:
    """Fit the models of all parts; not for ``jit``.

    Args:
      samples: all rows.
      fold: ``(n,)``, the fold of each row.
      n_folds: K.
      seed: of the rows that hyperparameters are found on.
      processes: whether to fit the second stage.

    Returns:
      Arrays of the shapes of :func:`empty`. ``linear`` holds the first stage's predictions of all
      rows, of those that it was fitted to by the models without each; ``held_out`` the predictions
      of each row by the models of the other folds.

    Raises:
      UserError: if no label has enough rows.
    """
    known = samples.known
    table = {
        "features": samples.features,
        "target": np.where(known, samples.targets, 0),
        "known": known,
        "censored": np.where(known, samples.censored, 0),
        "fold": fold,
    }
    parts = [_solve_part(samples, fold != part, seed, processes) for part in range(n_folds + 1)]
    solved = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    predict_all = jax.jit(predict)
    held_out = np.zeros(samples.targets.shape)
    arrays = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), {"table": table, "solved": solved})
    for part in range(n_folds):
        own = fold == part
        padded = two_stage.padded(samples.features[own])
        held_out[own] = predict_all(arrays, part, padded)[1][: own.sum()]
    arrays["solved"]["held_out"] = jnp.asarray(held_out, jnp.float32)
    return arrays


def _solve_part(
    samples: Samples, train: NDArray[np.bool_], seed: int, processes: bool
) -> dict[str, NDArray[np.float64]]:
    """The arrays of one part, rows that it is not fitted to among those of ``linear``."""
    rows, d = np.flatnonzero(train), samples.targets.shape[1]
    model = two_stage.fit_stages(samples.take(train), seed, processes=processes)
    x = jnp.asarray(samples.features) * model.used[None, :]
    linear = np.array(ridge.predict(model.linear, x))
    held_out = np.asarray(model.linear.held_out)[: len(rows)]
    known = samples.known[rows]
    linear[rows] = np.where(known, held_out, linear[rows])
    found: dict[str, Any] = {
        "used": model.used,
        "weights": model.linear.weights,
        "intercepts": model.linear.intercepts,
        "centre": model.centre,
        "spread": model.spread,
        "linear": linear,
        "coefficients": np.zeros((d, len(train))),
        "hyperparameters": np.zeros((d, N_HYPERPARAMETERS)),
    }
    targets = np.where(samples.known & train[:, None], samples.targets, np.nan)
    # A label without a training row is predicted as 0 by the first stage.
    filled = np.where(known.any(axis=0, keepdims=True), targets, 0.0)
    found["low"], found["high"] = np.nanmin(filled, 0), np.nanmax(filled, 0)
    found |= {name: np.zeros(d) for name in ("mean", "deviation", "has_process")}
    for label, fitted in enumerate(model.processes):
        if fitted is None:
            continue
        own = rows[known[:, label]]
        process = fitted.process
        found["coefficients"][label, own] = np.asarray(process.coefficients)[: len(own)]
        found["hyperparameters"][label] = process.hyperparameters
        found["mean"][label], found["deviation"][label] = process.mean, process.deviation
        found["has_process"][label] = 1
    return {name: np.asarray(value) for name, value in found.items()}


def predict(
    params: Params, part: jax.Array | int, features: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Predictions of one part's models.

    Args:
      params: with the arrays of :func:`solve`.
      part: 0 to K.
      features: ``(n, f)``.

    Returns:
      Of the first stage ``(n, d)``, and of the second, which is the first where a label has no
      process; the second stays between the smallest and the largest training value.
    """
    own = part_of(params["solved"], part)
    linear = linear_of(own, features)
    table = params["table"]["features"] * own["used"][None, :]
    x = features * own["used"][None, :]
    z, new_z = (standardise(own, values) for values in (own["linear"], linear))
    labels = {
        k: own[k] for k in ("weights", "coefficients", "hyperparameters", "mean", "deviation")
    }

    def one(label: dict[str, jax.Array]) -> jax.Array:
        scale = gaussian_process.feature_scale(label["weights"])
        process = GaussianProcess(
            inputs=Inputs(table, table * scale[None, :], z),
            scale=scale,
            coefficients=label["coefficients"],
            hyperparameters=label["hyperparameters"],
            mean=label["mean"],
            deviation=label["deviation"],
        )
        return gaussian_process.predict(process, x, new_z)

    second = jnp.clip(jax.lax.map(one, labels).T, own["low"][None, :], own["high"][None, :])
    return linear, jnp.where(own["has_process"][None, :] > 0, second, linear)


def part_of(solved: Params, part: jax.Array | int) -> Params:
    """The arrays of one part."""
    return {name: value[part] for name, value in solved.items() if name != "held_out"}


def linear_of(own: Params, features: jax.Array) -> jax.Array:
    """Predictions ``(n, d)`` of the first stage of one part's arrays."""
    x = features * own["used"][None, :]
    return x @ own["weights"].T + own["intercepts"][None, :]


def standardise(own: Params, linear: jax.Array) -> jax.Array:
    """First-stage predictions ``(n, d)`` in standard deviations around their mean."""
    spread = jnp.maximum(own["spread"], 1e-3)[None, :]
    return (linear - own["centre"][None, :]) / spread
