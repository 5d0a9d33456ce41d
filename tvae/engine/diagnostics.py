"""What a history of metrics says about a run: plateaus, drops, memorisation, grokking.

A rule is a pure function of the history so far, ``(epoch, value, ...) -> bool`` about its last row,
so that a resumed run decides as an uninterrupted one. Histories are NumPy arrays on the host, one
row per evaluation, epochs increasing; windows are lengths in epochs, whatever the interval.
"""

import dataclasses
from collections.abc import Callable

import numpy as np


def is_plateau(epoch: np.ndarray, value: np.ndarray, *, window_epochs: float, delta: float) -> bool:
    """Whether a value has moved by less than ``delta`` during the last ``window_epochs``.

    Args:
      epoch: ``(n,)``.
      value: ``(n,)``, any unit.
      window_epochs: length of the window; the history must be as long.
      delta: largest range, exclusive, in units of the value.

    Returns:
      False for a history that is shorter than the window.

    >>> epoch = np.arange(5)
    >>> [is_plateau(epoch, v, window_epochs=3, delta=0.1) for v in (epoch / 5, epoch > 0)]
    [False, True]
    """
    start = epoch[-1] - window_epochs if epoch.size else 0
    if epoch.size < 2 or epoch[0] > start:
        return False
    return bool(np.ptp(value[epoch >= start].astype(float)) < delta)


def is_drop(epoch: np.ndarray, value: np.ndarray, *, size: float, patience_epochs: float) -> bool:
    """Whether a value has stayed more than ``size`` below its best for ``patience_epochs``.

    An evaluation within ``size`` of the best ends the wait: the original's counter never falls,
    so that unconnected dips add up.

    Args:
      epoch: ``(n,)``.
      value: ``(n,)``, larger is better.
      size: of the drop, exclusive, in units of the value.
      patience_epochs: between the last evaluation near the best and the last of all.

    >>> is_drop(np.arange(4), np.array([0.8, 0.6, 0.6, 0.6]), size=0.1, patience_epochs=3)
    True
    """
    if epoch.size == 0:
        return False
    near = value >= np.maximum.accumulate(value) - size
    return bool(not near[-1] and epoch[-1] - epoch[near][-1] >= patience_epochs)


def is_memorising(
    train: np.ndarray, held_out: np.ndarray, *, learned: float = 0.1, gap: float = 0.5
) -> np.ndarray:
    """Rows in which the training loss is solved and the held-out loss is not.

    Args:
      train: ``(n,)`` training loss.
      held_out: ``(n,)`` loss on what is never trained on, same unit.
      learned: largest training loss, exclusive.
      gap: least difference of the two, exclusive.

    Returns:
      bool ``(n,)``.

    Source: thresholds of the original's grokking detector.
    """
    return (train < learned) & (held_out - train > gap)


def is_grokking(
    epoch: np.ndarray,
    train: np.ndarray,
    held_out: np.ndarray,
    *,
    window_epochs: float = 10,
    improvement: float = 0.05,
) -> bool:
    """Whether the held-out loss falls long after the training loss was solved.

    Fires when the run memorised for at least ``window_epochs`` before the last window, the training
    loss is still solved, and the held-out loss of the last window is, on average, lower by a share
    of ``improvement`` than the best of the memorising rows *before* it. The original compares with
    a best that contains the window: its mean is never below its own minimum, so it cannot fire.

    Args:
      epoch: ``(n,)``.
      train: ``(n,)`` training loss.
      held_out: ``(n,)`` held-out loss.
      window_epochs: length of the window.
      improvement: share of the plateau's loss.
    """
    if epoch.size == 0:
        return False
    recent = epoch > epoch[-1] - window_epochs
    stuck = is_memorising(train, held_out) & ~recent
    still_solved = is_memorising(train[recent], np.full(recent.sum(), np.inf)).all()
    if not stuck.any() or not still_solved or np.ptp(epoch[stuck]) < window_epochs:
        return False
    return bool(held_out[recent].mean() < (1.0 - improvement) * held_out[stuck].min())


def is_early_peak(
    epoch: np.ndarray,
    value: np.ndarray,
    *,
    min_epochs: float = 50,
    share: float = 0.2,
    loss: float = 0.02,
) -> bool:
    """Whether training has only lost since its first fifth ("anti-grokking").

    Args:
      epoch: ``(n,)``.
      value: ``(n,)``, larger is better.
      min_epochs: least length of the history.
      share: of the history in which the best lies.
      loss: by which the last value lies below the best, exclusive.
    """
    if epoch.size == 0 or epoch[-1] < min_epochs:
        return False
    best = int(np.argmax(value))
    return bool(epoch[best] <= share * epoch[-1] and value[-1] < value[best] - loss)


def is_compression(
    epoch: np.ndarray, weight_norm: np.ndarray, *, window_epochs: float = 10, share: float = 0.02
) -> bool:
    """Whether the weights' norm has shrunk by ``share`` within the last ``window_epochs``.

    Decay that wins over the gradient: what precedes a late generalisation where there is one.
    """
    inside = epoch >= epoch[-1] - window_epochs if epoch.size else np.zeros(0, bool)
    if inside.sum() < 2:
        return False
    return bool(weight_norm[-1] < (1.0 - share) * weight_norm[inside][0])


def first_epoch(rule: Callable[..., bool], epoch: np.ndarray, *series: np.ndarray) -> float | None:
    """The first epoch at which a rule holds of the history up to there, or None.

    >>> rises = np.array([0.0, 0.1, 0.9, 0.9, 0.9])
    >>> first_epoch(lambda e, v: is_plateau(e, v, window_epochs=2, delta=0.01), np.arange(5), rises)
    4.0
    """
    for end in range(1, epoch.size + 1):
        if rule(epoch[:end], *(values[:end] for values in series)):
            return float(epoch[end - 1])
    return None


@dataclasses.dataclass(frozen=True)
class PlateauStop:
    """Stop when a metric stands still; fields as in ``config.early_stop.plateau``.

    Attributes:
      metric: key of an evaluation.
      window_epochs: without movement; 0 = off.
      delta: movement that counts, exclusive, in units of the metric.
    """

    metric: str
    window_epochs: int
    delta: float

    @property
    def on(self) -> bool:
        """Whether the rule can fire."""
        return self.window_epochs > 0

    def fires(self, epoch: np.ndarray, value: np.ndarray) -> bool:
        """Whether to stop after the last evaluation of this history."""
        rule = {"window_epochs": self.window_epochs, "delta": self.delta}
        return self.on and is_plateau(epoch, value, **rule)


@dataclasses.dataclass(frozen=True)
class DropStop:
    """Stop when a metric, such as a correlation, is lost; fields as in ``config.early_stop.drop``.

    Attributes:
      metric: key of an evaluation.
      mode: "max" where larger is better, else "min".
      size: distance from the best that counts, exclusive, in units of the metric.
      patience_epochs: for which it lasts; 0 = off.
    """

    metric: str
    mode: str
    size: float
    patience_epochs: int

    @property
    def on(self) -> bool:
        """Whether the rule can fire."""
        return self.patience_epochs > 0

    def fires(self, epoch: np.ndarray, value: np.ndarray) -> bool:
        """Whether to stop after the last evaluation of this history."""
        better = value if self.mode == "max" else -value
        rule = {"size": self.size, "patience_epochs": self.patience_epochs}
        return self.on and is_drop(epoch, better, **rule)
