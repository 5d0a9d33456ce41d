"""Fold changes from sequences in two stages: linear models of all labels, then Gaussian processes.

The linear predictions of all labels, each training row's by the models without it, are inputs of
every label's process: this is how a label with many values informs one with few. Hyperparameters
and penalties are chosen on training rows alone, and so are intervals: each part of the training
rows is predicted by models of the others, parts never dividing a group, and the errors give
half-widths.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tvae.domains.sequences import gaussian_process, intervals, ridge, splits
from tvae.domains.sequences.gaussian_process import GaussianProcess, Inputs
from tvae.domains.sequences.samples import Samples
from tvae.errors import UserError

MIN_FEATURE_ROWS = 4
"""Training rows that must have a letter, for it to be a feature."""

MIN_LABEL_ROWS = 20
"""Training rows that must have a label, for it to be predicted."""

SUBSET_ROWS = 384
"""Rows on which hyperparameters are found."""

PARTS = 4
"""Parts of the training rows, each predicted by models of the others for the intervals."""

_MULTIPLE = 128  # of rows, so that folds and labels of nearly equal sizes share compiled programs


class Process(NamedTuple):
    """The second stage of one label.

    Attributes:
      process: the Gaussian process.
      low: smallest training value; predictions are not below it.
      high: largest training value; predictions are not above it.
    """

    process: GaussianProcess
    low: float
    high: float


class TwoStage(NamedTuple):
    """Fitted models of ``d`` labels.

    Attributes:
      used: ``(f,)``, 1 for features that enough training rows have, else 0.
      linear: the first stage.
      centre: ``(d,)``, means of the first stage's predictions.
      spread: ``(d,)``, their standard deviations.
      processes: one for each label, None where it has too few training rows.
      scores: for each label, the half-widths that would cover each training row, of
        :func:`tvae.domains.sequences.intervals.scores`; empty without a process.
    """

    used: jax.Array
    linear: ridge.Ridge
    centre: jax.Array
    spread: jax.Array
    processes: tuple[Process | None, ...]
    scores: tuple[NDArray[np.float64], ...] = ()


class Predictions(NamedTuple):
    """Predictions of ``n`` rows, NaN for labels without a model.

    Attributes:
      mean: ``(n, d)``, in the unit of the targets.
      half_width: level -> ``(d,)``, of intervals around the mean.
      linear: ``(n, d)``, of the first stage alone.
    """

    mean: NDArray[np.float64]
    half_width: dict[float, NDArray[np.float64]]
    linear: NDArray[np.float64]


def padded(values: ArrayLike, fill: float = 0) -> jax.Array:
    """Rows up to the next multiple of ``_MULTIPLE``."""
    array = np.asarray(values)
    missing = -len(array) % _MULTIPLE
    widths = [(0, missing), *[(0, 0)] * (array.ndim - 1)]
    return jnp.asarray(np.pad(array, widths, constant_values=fill))


def fit(samples: Samples, seed: int, *, with_intervals: bool = True) -> TwoStage:
    """Fit both stages to training rows, and the intervals.

    For the intervals everything but the hyperparameters is fitted again to all parts but one.

    Args:
      samples: training rows. A censored target is learnt as it stands, and the intervals heed what
        it means. Parts do not divide the groups.
      seed: of the rows that hyperparameters are found on, and of the parts.
      with_intervals: whether to fit them; half-widths are infinite without.

    Raises:
      UserError: if no label has enough rows, or there is one group.
    """
    counts = samples.known.sum(0)
    if not (counts >= MIN_LABEL_ROWS).any():
        raise UserError(
            f"expected a label with {MIN_LABEL_ROWS} training rows or more, got at most "
            f"{counts.max(initial=0)}"
        )
    model = fit_stages(samples, seed)
    if not with_intervals:
        return model._replace(scores=(np.empty(0),) * len(counts))
    n_parts = min(PARTS, len(np.unique(samples.groups)))
    part = splits.make_folds(samples.groups, n_parts, seed, "interval").fold
    log_h = [each and each.process.hyperparameters for each in model.processes]
    held_out = np.full(samples.targets.shape, np.nan)
    for one in range(n_parts):
        others = fit_stages(samples.take(part != one), seed, log_h)
        held_out[part == one] = _means(others, samples.features[part == one])[0]
    scores = intervals.scores(samples.targets, held_out, samples.censored)
    return model._replace(scores=tuple(column[~np.isnan(column)] for column in scores.T))


def fit_stages(
    samples: Samples,
    seed: int,
    log_h: Sequence[jax.Array | None] | None = None,
    *,
    processes: bool = True,
) -> TwoStage:
    """Fit both stages without intervals.

    Args:
      samples: training rows.
      seed: of the rows that hyperparameters are found on.
      log_h: hyperparameters of each label, found where there are none.
      processes: whether to fit the second stage; without it all processes are None.
    """
    known = samples.known
    used = ((samples.features > 0).sum(0) >= MIN_FEATURE_ROWS).astype(np.float32)
    x, filled = padded(samples.features * used), padded(known, fill=False)
    targets = padded(np.where(known, samples.targets, 0).astype(np.float32))
    linear = ridge.fit(x, targets, filled)
    stage = jnp.where(filled, linear.held_out, ridge.predict(linear, x))[: len(known)]
    model = TwoStage(jnp.asarray(used), linear, stage.mean(0), stage.std(0), ())
    z = np.asarray(_standardised(model, stage))
    given = [None] * known.shape[1] if log_h is None else log_h
    fitted = [
        _fit_process(samples.features * used, z, weights, y, h, seed)
        if processes and (~np.isnan(y)).sum() >= MIN_LABEL_ROWS
        else None
        for weights, y, h in zip(linear.weights, samples.targets.T, given, strict=True)
    ]
    return model._replace(processes=tuple(fitted))


def _standardised(model: TwoStage, linear: jax.Array) -> jax.Array:
    return (linear - model.centre[None, :]) / jnp.maximum(model.spread, 1e-3)[None, :]


def _fit_process(
    x: NDArray[np.float32],
    z: NDArray[np.float32],
    weights: jax.Array,
    targets: NDArray[np.float64],
    log_h: jax.Array | None,
    seed: int,
) -> Process:
    """The second stage of one label, on the rows that have it."""
    rows = np.flatnonzero(~np.isnan(targets))
    y = targets[rows]
    mean, deviation = y.mean(), max(y.std(), 1e-6)
    scale = gaussian_process.feature_scale(weights)

    def prepared(chosen: NDArray[np.int64]) -> tuple[Inputs, jax.Array, jax.Array]:
        some = padded(x[chosen])
        standard = padded(((targets[chosen] - mean) / deviation).astype(np.float32))
        filled = jnp.arange(len(some)) < len(chosen)
        return Inputs(some, some * scale[None, :], padded(z[chosen])), standard, filled

    if log_h is None:
        subset = np.random.default_rng(seed).permutation(rows)[:SUBSET_ROWS]
        log_h = gaussian_process.find_hyperparameters(*prepared(subset))
    given = prepared(rows)
    process = GaussianProcess(
        inputs=given[0],
        scale=scale,
        coefficients=gaussian_process.condition(log_h, *given),
        hyperparameters=log_h,
        mean=jnp.float32(mean),
        deviation=jnp.float32(deviation),
    )
    return Process(process, float(y.min()), float(y.max()))


def _means(
    model: TwoStage, features: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predictions of both stages, the second first."""
    n = len(features)
    x = padded(features) * model.used[None, :]
    linear = ridge.predict(model.linear, x)
    z = _standardised(model, linear)
    mean = np.full((n, len(model.processes)), np.nan)
    for label, fitted in enumerate(model.processes):
        if fitted is not None:
            found = np.asarray(gaussian_process.predict(fitted.process, x, z))[:n]
            mean[:, label] = np.clip(found, fitted.low, fitted.high)
    return mean, np.asarray(linear, np.float64)[:n]


def predict(model: TwoStage, features: NDArray[np.float32]) -> Predictions:
    """Predictions of rows with the model's features.

    Args:
      model: the fitted models.
      features: ``(n, f)``.

    Returns:
      Means within the range of the training values, half-widths, and the first stage's means.
    """
    mean, linear = _means(model, features)
    half_width = {
        level: np.asarray([intervals.half_width(found, level) for found in model.scores])
        for level in intervals.LEVELS
    }
    return Predictions(mean, half_width, linear)
