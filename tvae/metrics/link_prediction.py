"""Precision, recall and F1 of pairs by a score, and the threshold at which F1 is best."""

from typing import NamedTuple

import numpy as np


class Agreement(NamedTuple):
    """How predictions agree with labels.

    Attributes:
      f1: harmonic mean of both, 0 where nothing is found.
      precision: share of the predicted pairs that are true; 0 where none is predicted.
      recall: share of the true pairs that are predicted; 0 where none is true.
    """

    f1: float
    precision: float
    recall: float


def agreement(predicted: np.ndarray, label: np.ndarray) -> Agreement:
    """F1, precision and recall of predictions, bool ``(n,)`` both.

    >>> f1, precision, recall = agreement(
    ...     np.asarray([True, True, False]), np.asarray([True, False, False]))
    >>> round(f1, 4), precision, recall
    (0.6667, 0.5, 1.0)
    """
    hits = int((predicted & label).sum())
    found, true = int(predicted.sum()), int(label.sum())
    return Agreement(2.0 * hits / max(found + true, 1), hits / max(found, 1), hits / max(true, 1))


def best_threshold(score: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """The score from which on pairs are taken as true so that F1 is largest, and that F1.

    Pairs of equal score are all taken or none.

    Args:
      score: ``(n,)``, larger for pairs that are more probably true.
      label: bool ``(n,)``.

    >>> best_threshold(np.asarray([0.9, 0.2, 0.8, 0.1]), np.asarray([True, False, True, False]))
    (0.8, 1.0)
    """
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], np.cumsum(label[order])
    f1 = 2.0 * hits / (np.arange(1, len(order) + 1) + label.sum())
    last = np.append(ranked[1:] != ranked[:-1], True)  # of its score
    best = int(np.argmax(np.where(last, f1, -1.0)))
    return float(ranked[best]), float(f1[best])
