"""The learning rate of an epoch, from ``config.learning_rate``; shared by all tasks."""

import functools
from collections.abc import Callable

import jax
from ml_collections import ConfigDict

from tvae.engine import schedules


def make_learning_rate(rate: ConfigDict, *, epochs: int) -> Callable[[jax.Array], jax.Array]:
    """The schedule that ``rate.kind`` names.

    Args:
      rate: ``config.learning_rate``.
      epochs: length of the run.

    Returns:
      ``epoch -> float32 scalar``; the epoch may be fractional.
    """
    if rate.kind == "piecewise":
        return functools.partial(
            schedules.piecewise_constant,
            boundaries=tuple(rate.boundaries),
            values=tuple(rate.rates),
        )
    if rate.kind == "warm_restarts":
        return functools.partial(
            schedules.cosine_warm_restarts,
            peak=rate.peak,
            cycle_epochs=rate.cycle_epochs,
            cycle_growth=rate.cycle_growth,
        )
    return functools.partial(
        schedules.warmup_cosine,
        peak=rate.peak,
        end=rate.end,
        warmup_epochs=rate.warmup_epochs,
        epochs=epochs,
    )
