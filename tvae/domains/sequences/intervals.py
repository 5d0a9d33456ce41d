"""Intervals around predictions from the errors of predictions that did not see the row."""

import math

import numpy as np
from numpy.typing import NDArray

LEVELS = (0.8, 0.95)
"""Shares of truths that intervals are made to cover."""


def scores(
    truth: NDArray[np.floating], predicted: NDArray[np.floating], censored: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Half-width that an interval needs to cover each row: ``(n,)``.

    A row that is only known to be at least its value is covered when the upper end reaches the
    value, one known to be at most its value when the lower end does.

    Args:
      truth: ``(n,)``.
      predicted: ``(n,)``, by a model that was not trained on the row.
      censored: ``(n,)``, 1 at least, -1 at most, 0 exact.

    >>> scores(np.asarray([2.0, 2.0]), np.asarray([1.5, 2.5]), np.asarray([1, 1])).tolist()
    [0.5, 0.0]
    """
    error = truth - predicted
    return np.where(censored == 0, np.abs(error), np.maximum(error * censored, 0))


def half_width(found: NDArray[np.floating], level: float) -> float:
    r"""The half-width that covers a new row with at least the given probability.

    The :math:`\lceil (n + 1) q \rceil`-th smallest score, infinite if there are too few; exact for
    rows that are exchangeable with those scored.

    Args:
      found: ``(n,)``, of :func:`scores`.
      level: ``q``, in (0, 1).

    Source: Vovk, Gammerman & Shafer 2005, *Algorithmic Learning in a Random World*.

    >>> half_width(np.arange(1.0, 20.0), 0.8), half_width(np.ones(3), 0.95)
    (16.0, inf)
    """
    rank = math.ceil((len(found) + 1) * level - 1e-9)
    return float(np.sort(found)[rank - 1]) if rank <= len(found) else math.inf
