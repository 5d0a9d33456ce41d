"""What is measured: predictions of rows by models of the other folds, beside plain baselines."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences import intervals
from tvae.domains.sequences.contents import Contents
from tvae.domains.sequences.crossvalidation import coverage, ranks, score
from tvae.domains.sequences.predictor import HeldOut, Predictor
from tvae.engine.task import Metrics, Params
from tvae.metrics.definitions import Definition, Entry, define


def correlations(prediction: jax.Array, target: jax.Array, known: jax.Array) -> jax.Array:
    """Pearson correlation of each label over its known rows ``(d,)``; 0 where a side is constant.

    Args:
      prediction: ``(n, d)``.
      target: ``(n, d)``.
      known: ``(n, d)``, 1 where there is a target.
    """
    count = jnp.maximum(known.sum(0), 1)
    u, v = (known * (x - ((known * x).sum(0) / count)[None, :]) for x in (prediction, target))
    size = jnp.sqrt((u**2).sum(0) * (v**2).sum(0))
    return jnp.where(size > 0, (u * v).sum(0) / jnp.where(size > 0, size, 1.0), 0.0)


def headline(table: Params, held_out: HeldOut) -> Metrics:
    """Mean correlation over labels; a part of :func:`measure` that is traceable."""
    r = correlations(held_out.prediction, table["target"], table["known"])
    error = (table["known"] * jnp.abs(held_out.prediction - table["target"])).sum(0)
    return {
        "eval/pearson": r.mean(),
        "eval/mae": (error / jnp.maximum(table["known"].sum(0), 1)).mean(),
    }


@functools.partial(jax.jit, static_argnums=0)
def _held_out(predictor: Predictor, params: Params, least: jax.Array) -> HeldOut:
    return predictor.held_out(params, least)


def measure(predictor: Predictor, params: Params, least: float, contents: Contents) -> Metrics:
    """All measures; not for ``jit``.

    Args:
      predictor: of the model.
      params: of the model.
      least: smallest standard deviation of a network.
      contents: of the table.
    """
    found = jax.device_get(_held_out(predictor, params, jnp.float32(least)))
    table = {name: np.asarray(params["table"][name]) for name in ("target", "known", "censored")}
    fold = np.asarray(params["table"]["fold"])
    target = np.where(table["known"] > 0, table["target"], np.nan)
    censored = table["censored"].astype(np.int8)
    rivals = {
        "ridge": found.linear,
        "mean": fold_means(target, fold),
        "gaussian_process": found.process,
        "network": found.network,
    }
    scored = {"": _scores(target, found.prediction)}
    scored |= {f"_{k}": _scores(target, v) for k, v in rivals.items() if v is not None}
    metrics: dict[str, Any] = {}
    for name, values in scored.items():
        metrics |= {f"eval/{key}{name}": value.mean() for key, value in values.items()}
    # The means of folds fall where a fold's own values rise: their correlation measures nothing.
    del metrics["eval/pearson_mean"], metrics["eval/spearman_mean"]
    for key in ("pearson", "spearman"):
        gain = metrics[f"eval/{key}"] - metrics[f"eval/{key}_ridge"]
        metrics[f"eval/gain_over_ridge_{key}"] = gain
        for label, value in zip(contents.labels, scored[""][key], strict=True):
            metrics[f"eval/{key}/{label}"] = value
    metrics["eval/spearman_ceiling"] = np.mean(
        [tie_ceiling(column[~np.isnan(column)]) for column in target.T]
    )
    metrics |= _intervals(target, found.prediction, censored, fold)
    metrics |= {f"leaks/{kind}": count for kind, count in contents.leaks}
    return {key: jnp.asarray(value, jnp.float32) for key, value in metrics.items()}


def fold_means(target: NDArray[np.floating], fold: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean of each label over the other folds, 0 where there is none."""
    found = np.zeros(target.shape)
    for own in np.unique(fold):
        other = target[fold != own]
        count = (~np.isnan(other)).sum(0)
        found[fold == own] = np.nansum(other, 0) / np.maximum(count, 1)
    return found


def _scores(
    target: NDArray[np.floating], predicted: NDArray[np.floating]
) -> dict[str, NDArray[np.floating]]:
    """Scores by label; a correlation with a constant is 0."""
    each = [score(y, p) for y, p in zip(target.T, np.asarray(predicted, np.float64).T, strict=True)]
    return {
        key: np.nan_to_num(np.asarray([getattr(one, key) for one in each]))
        for key in ("pearson", "spearman", "mae")
    }


def tie_ceiling(values: NDArray[np.floating]) -> float:
    """Largest rank correlation of predictions without ties.

    >>> tie_ceiling(np.asarray([1.0, 2.0, 3.0])), round(tie_ceiling(np.asarray([1.0, 1, 2])), 3)
    (1.0, 0.866)
    """
    order = np.argsort(values, kind="stable")
    return float(np.corrcoef(ranks(values)[order], np.arange(len(values)))[0, 1])


def _intervals(
    target: NDArray[np.floating],
    predicted: NDArray[np.floating],
    censored: NDArray[np.integer],
    fold: NDArray[np.floating],
) -> dict[str, float]:
    """Coverage and width of intervals, each row's by the errors of the other folds."""
    found = {}
    for level in intervals.LEVELS:
        width = np.full(target.shape, np.nan)
        needed = intervals.scores(target, predicted, censored)
        for own in np.unique(fold):
            for label, column in enumerate(needed[fold != own].T):
                known = column[~np.isnan(column)]
                width[fold == own, label] = intervals.half_width(known, level)
        # Too few rows give an infinite width, which covers all and has no mean.
        width[np.isinf(width)] = np.nan
        each = [
            coverage(*one) for one in zip(target.T, predicted.T, censored.T, width.T, strict=True)
        ]
        if some := [one for one in each if not np.isnan(one.covered)]:
            name = f"{100 * level:.0f}"
            found[f"eval/coverage_{name}"] = float(np.mean([one.covered for one in some]))
            found[f"eval/width_{name}"] = float(np.mean([one.width for one in some]))
    return found


_ROWS = "each row by models of the other folds, pooled; mean over labels"
_BY = {
    "": "",
    "_ridge": " of ridge regression on the same folds",
    "_gaussian_process": " of the Gaussian process alone",
    "_network": " of the networks alone",
    "_mean": " of the mean of the other folds",
}
_PEARSON = "Pearson correlation of predictions and measured values"
_SPEARMAN = "Spearman correlation of predictions and measured values"
_TIES = "Its ceiling by ties of the values is eval/spearman_ceiling."
_CROSS = (
    "Widths come from errors of the other folds' rows, whose models have seen this fold; coverage "
    "is over all rows of a label."
)
DEFINITIONS = (
    {f"eval/pearson{k}": Entry(_PEARSON + v, _ROWS, 1.0) for k, v in _BY.items() if k != "_mean"}
    | {
        f"eval/spearman{k}": Entry(_SPEARMAN + v, _ROWS, 1.0, note=_TIES)
        for k, v in _BY.items()
        if k != "_mean"
    }
    | {
        f"eval/mae{k}": Entry(
            f"mean absolute error{v}, unit of the scale", _ROWS, 0.0, better="lower"
        )
        for k, v in _BY.items()
    }
    | {
        "eval/gain_over_ridge_pearson": Entry("eval/pearson less that of ridge regression", _ROWS),
        "eval/gain_over_ridge_spearman": Entry(
            "eval/spearman less that of ridge regression", _ROWS
        ),
        "eval/spearman_ceiling": Entry(
            "largest eval/spearman of predictions without ties", "the values", better="neither"
        ),
        "leaks/rows": Entry("rows of the table", "the table", better="neither"),
        "leaks/same_name": Entry(
            "rows with a row of the same name in another fold", "the table", 0.0, better="lower"
        ),
        "leaks/same_genotype": Entry(
            "rows with an identical sequence in another fold", "the table", 0.0, better="lower"
        ),
        "leaks/near": Entry(
            "rows with a row within data.distance positions in another fold",
            "the table",
            0.0,
            better="lower",
            note="0 only where clusters are not divided: data.groups = 'cluster'.",
        ),
        "leaks/largest_group": Entry(
            "rows of the largest group that folds do not divide", "the table", better="neither"
        ),
    }
    | {
        f"eval/coverage_{100 * level:.0f}": Entry(
            f"share of values in intervals made to cover {level:.0%}",
            _ROWS,
            better="neither",
            note=_CROSS,
        )
        for level in intervals.LEVELS
    }
    | {
        f"eval/width_{100 * level:.0f}": Entry(
            f"mean width of intervals made to cover {level:.0%}, unit of the scale",
            _ROWS,
            better="lower",
            note=_CROSS,
        )
        for level in intervals.LEVELS
    }
)
"""Metric key -> entry; those of single labels come from :func:`define_metric`."""


def define_metric(key: str) -> Definition | None:
    """The definition of a metric key, of single labels too."""
    for stem, text in (("eval/pearson/", _PEARSON), ("eval/spearman/", _SPEARMAN)):
        if key.startswith(stem):
            label = key.removeprefix(stem)
            return Definition(f"{text} of {label}", _ROWS.partition(";")[0], "higher", 1.0)
    return define(key, DEFINITIONS)
