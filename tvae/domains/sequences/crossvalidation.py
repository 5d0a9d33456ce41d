"""Out-of-fold predictions of several models on the same folds, and how good they are."""

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences import intervals, two_stage
from tvae.domains.sequences.baselines import Predictor
from tvae.domains.sequences.samples import Samples
from tvae.domains.sequences.splits import Folds


class OutOfFold(NamedTuple):
    """Predictions of rows by models trained on the other folds.

    Attributes:
      predictions: name -> ``(n, d)``.
      seconds: predictor -> time of training and prediction on all folds.
    """

    predictions: dict[str, NDArray[np.float64]]
    seconds: dict[str, float]


def two_stage_predictor(
    train: Samples, features: NDArray[np.float32], seed: int
) -> dict[str, NDArray[np.float64]]:
    """Predictions of both stages, and half-widths of intervals around the second."""
    found = two_stage.predict(two_stage.fit(train, seed), features)
    widths = {
        half_width_name(level): np.repeat(width[None], len(features), axis=0)
        for level, width in found.half_width.items()
    }
    return {"two_stage": found.mean, "ridge": found.linear} | widths


def means_only(
    train: Samples, features: NDArray[np.float32], seed: int
) -> dict[str, NDArray[np.float64]]:
    """Predictions of both stages without intervals, in a third of the time."""
    found = two_stage.predict(two_stage.fit(train, seed, with_intervals=False), features)
    return {"two_stage": found.mean, "ridge": found.linear}


def half_width_name(level: float) -> str:
    """The key of half-widths among predictions.

    >>> half_width_name(0.8)
    'half_width_80'
    """
    return f"half_width_{100 * level:.0f}"


def cross_validate(
    samples: Samples, folds: Folds, predictors: Mapping[str, Predictor], seed: int = 0
) -> OutOfFold:
    """Train on all folds but one, or on the earlier ones, and predict that one, for each fold.

    Args:
      samples: all rows.
      folds: of these rows; training rows keep ``samples.groups``.
      predictors: by name.
      seed: of the models.

    Returns:
      Predictions of all rows, each by models that saw no row of its fold; NaN for rows of the
      first of folds that follow each other in time.
    """
    predictions: dict[str, NDArray[np.float64]] = {}
    seconds = dict.fromkeys(predictors, 0.0)
    for fold in folds.tested:
        test, train = folds.fold == fold, samples.take(folds.training(fold))
        for name, predictor in predictors.items():
            start = time.perf_counter()
            found = predictor(train, samples.features[test], seed)
            seconds[name] += time.perf_counter() - start
            for key, values in found.items():
                empty = np.full(samples.targets.shape, np.nan)
                predictions.setdefault(key, empty)[test] = values
    return OutOfFold(predictions, seconds)


def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks from 1, the average for ties: ``(n,)``.

    >>> ranks(np.asarray([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


class Score(NamedTuple):
    """How good the predictions of one label are.

    Attributes:
      pearson: correlation, in [-1, 1]; NaN if either side is constant.
      spearman: rank correlation, the same.
      r2: share of the variance explained, at most 1.
      mae: mean absolute error, in the unit of the targets.
      rows: number of rows.
    """

    pearson: float
    spearman: float
    r2: float
    mae: float
    rows: int


def score(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> Score:
    """Score the rows that have a truth and a prediction.

    Args:
      truth: ``(n,)``, NaN if missing.
      predicted: ``(n,)``, NaN if missing.

    >>> score(np.asarray([1.0, 2.0, np.nan]), np.asarray([2.0, 3.0, 1.0])).mae
    1.0
    """
    both = ~(np.isnan(truth) | np.isnan(predicted))
    y, p = truth[both], predicted[both]
    if len(y) < 2 or np.ptp(y) == 0:
        return Score(math.nan, math.nan, math.nan, math.nan, len(y))
    constant = np.ptp(p) == 0
    pearson, spearman = (
        math.nan if constant else float(np.corrcoef(u, v)[0, 1])
        for u, v in ((y, p), (ranks(y), ranks(p)))
    )
    r2 = 1 - float(((y - p) ** 2).mean() / y.var())
    return Score(pearson, spearman, r2, float(np.abs(y - p).mean()), len(y))


class Coverage(NamedTuple):
    """How intervals of one label hold.

    Attributes:
      covered: share of rows that the intervals cover.
      width: mean full width, in the unit of the targets.
    """

    covered: float
    width: float


def coverage(
    truth: NDArray[np.floating],
    predicted: NDArray[np.floating],
    censored: NDArray[np.integer],
    half_width: NDArray[np.floating],
) -> Coverage:
    """Coverage and width of intervals over the rows that have all three, ``(n,)`` each."""
    some = ~(np.isnan(truth) | np.isnan(predicted) | np.isnan(half_width))
    needed = intervals.scores(truth[some], predicted[some], censored[some])
    if not len(needed):
        return Coverage(math.nan, math.nan)
    return Coverage(float((needed <= half_width[some]).mean()), 2 * float(half_width[some].mean()))
