"""A label with a handful of values, predicted with the help of the other labels of its table.

What helps are predictions of the other labels from sequences alone, each row's by models that saw
neither the row nor its relatives, and no value of the label in question. On them a few rows fit a
model of few parameters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences import crossvalidation, ridge
from tvae.domains.sequences.samples import Samples
from tvae.domains.sequences.splits import Folds

METHODS = (
    "zero_shot",
    "slope",
    "ridge_on_predictions",
    "prototype",
    "ridge",
    "fine_tuned",
)
"""Models of :func:`predict`, which all but ``ridge`` start from the other labels' predictions."""


def predictions_of_others(
    samples: Samples, label: int, folds: Folds, seed: int = 0
) -> NDArray[np.float64]:
    """Out-of-fold predictions of all labels but one.

    Args:
      samples: all rows; values of ``label`` are not read.
      label: the one left out.
      folds: of these rows.
      seed: of the models.

    Returns:
      ``(n, d - 1)``, without the labels that have no model in some fold.
    """
    others = samples._replace(
        targets=np.delete(samples.targets, label, 1), censored=np.delete(samples.censored, label, 1)
    )
    predictors = {"two_stage": crossvalidation.means_only}
    found = crossvalidation.cross_validate(others, folds, predictors, seed)
    values = found.predictions["two_stage"]
    return values[:, ~np.isnan(values).any(0)]


class Draw(NamedTuple):
    """Rows to learn from and rows to test, which share no group.

    Attributes:
      support: ``(k,)``, in random order by group; the first ``j`` are a draw of ``j`` rows.
      test: ``(m,)``.
    """

    support: NDArray[np.int64]
    test: NDArray[np.int64]


def draw(
    groups: NDArray[np.int64],
    known: NDArray[np.bool_],
    size: int,
    generator: np.random.Generator,
) -> Draw:
    """Draw rows that have the label; the rows that test are those of groups not drawn from.

    Args:
      groups: ``(n,)``.
      known: ``(n,)``, rows that have the label.
      size: rows to learn from.
      generator: of the order.

    >>> drawn = draw(np.asarray([0, 0, 1, 2]), np.ones(4, bool), 2, np.random.default_rng(0))
    >>> len(drawn.support), bool(np.isin(drawn.test, drawn.support).any())
    (2, False)
    """
    rows = np.flatnonzero(known)
    names = generator.permutation(np.unique(groups[rows]))
    place = np.argsort(names)[np.searchsorted(np.sort(names), groups[rows])]
    support = rows[np.argsort(place, kind="stable")][:size]
    return Draw(support, rows[~np.isin(groups[rows], groups[support])])


def predict(
    features: NDArray[np.float32],
    others: NDArray[np.float64],
    targets: NDArray[np.float64],
    drawn: Draw,
    sizes: Sequence[int],
) -> dict[str, NDArray[np.float64]]:
    r"""Predict the test rows by models of the first rows of a draw.

    ``zero_shot`` is the mean of the other labels' predictions. Three models correct it by what it
    leaves of the values: ``slope`` by a line on it, ``ridge_on_predictions`` by ridge regression on
    all predictions, ``prototype`` by the mean of what it leaves at the support, weighted by
    :math:`\exp(-|z - z_i|^2 / 2)` of the standardised predictions z. ``ridge`` is ridge regression
    on the features without the other labels, and ``fine_tuned`` that of what ``slope`` leaves.
    Penalties have the least leave-one-out error, and an infinite one returns to the zero shot: a
    line without a penalty through ten values often falls where it should rise.

    Args:
      features: ``(n, f)``.
      others: ``(n, c)``, of :func:`predictions_of_others`.
      targets: ``(n,)``, read for the support alone.
      drawn: rows to learn from and to test.
      sizes: how many of the support's rows to learn from, one model each.

    Returns:
      Name -> ``(len(sizes), m)``, in the unit of the targets.
    """
    support, test = drawn
    first = np.arange(len(support)) < np.asarray(sizes)[:, None]
    mean = others.mean(1)
    left = np.broadcast_to(targets[support] - mean[support], first.shape)
    line = _ridge(_standardised(mean[:, None]), left, first, drawn)
    z = _standardised(others)
    # Weights lie in the span of the support's features: in a basis of it the fit is the same.
    letters = features @ np.linalg.qr(features[support].T.astype(np.float64))[0]
    distance = ((z[test][:, None] - z[support][None]) ** 2).sum(-1)
    distance = np.where(first[:, None], distance, np.inf)
    weight = np.exp(-0.5 * (distance - distance.min(-1, keepdims=True)))
    found = (
        np.zeros((len(first), len(test))),
        line[:, test],
        _ridge(z, left, first, drawn)[:, test],
        (weight * left[:, None]).sum(-1) / weight.sum(-1),
        _ridge(letters, left + mean[support], first, drawn)[:, test] - mean[test],
        line[:, test] + _ridge(letters, left - line[:, support], first, drawn)[:, test],
    )
    return {name: mean[test] + each for name, each in zip(METHODS, found, strict=True)}


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean(0)) / np.maximum(values.std(0), 1e-6)


def _ridge(
    features: NDArray[np.floating],
    y: NDArray[np.float64],
    used: NDArray[np.bool_],
    drawn: Draw,
) -> NDArray[np.float64]:
    """Predictions ``(s, n)`` of all rows by ridge regression of the support's ``(s, k)`` values."""
    x = jnp.asarray(features, jnp.float32)
    model = ridge.fit(x[drawn.support], jnp.asarray(y.T, jnp.float32), jnp.asarray(used.T))
    return np.asarray(ridge.predict(model, x), np.float64).T
