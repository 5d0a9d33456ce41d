"""When a run ends: its epochs are done, or a rule of ``config.early_stop`` says so."""

import dataclasses
import math
from collections.abc import Collection
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tvae.engine import diagnostics
from tvae.errors import UserError


@dataclasses.dataclass
class Progress:
    """What the loop remembers between epochs, on the host.

    Attributes:
      epoch: epochs completed.
      best_score: best value of the early-stop metric so far, larger is better.
      best_epoch: epochs completed when it was reached.
      watched: what the plateau and drop rules decide by: ``{"epoch": [...], metric: [...]}``, a
        value for each evaluation; empty while both are off.
    """

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    watched: dict[str, list[float]] = dataclasses.field(default_factory=dict)


def check_metrics(config: ConfigDict, metrics: Collection[str]) -> None:
    """Refuse names of metrics in ``config.early_stop`` that no evaluation gives.

    Args:
      config: of the run.
      metrics: keys of the rows of evaluated epochs.

    Raises:
      UserError: listing those that exist.
    """
    names = {"metric": config.early_stop.metric}
    names |= {
        f"{field}.metric": rule.metric for field, rule in _watchers(config).items() if rule.on
    }
    for field, name in names.items():
        if name not in metrics:
            known = ", ".join(sorted(key for key in metrics if not key.startswith("train/")))
            raise UserError(f"config.early_stop.{field}: expected one of {known}; got {name!r}")


def score(config: ConfigDict, metrics: dict[str, Any]) -> float:
    """The metric that selects the best checkpoint, larger is better."""
    sign = 1.0 if config.early_stop.mode == "max" else -1.0
    return sign * float(metrics[config.early_stop.metric])


def _watchers(config: ConfigDict) -> dict[str, diagnostics.PlateauStop | diagnostics.DropStop]:
    """The rules of ``config.early_stop`` that look at a history, by field."""
    stop = config.early_stop
    return {
        "plateau": diagnostics.PlateauStop(**stop.plateau.to_dict()),
        "drop": diagnostics.DropStop(**stop.drop.to_dict()),
    }


def watch(config: ConfigDict, progress: Progress, metrics: dict[str, Any]) -> None:
    """Note what the rules that are on decide by."""
    rules = [rule for rule in _watchers(config).values() if rule.on]
    seen = {rule.metric: float(metrics[rule.metric]) for rule in rules}
    if seen:
        for name, value in {"epoch": progress.epoch, **seen}.items():
            progress.watched.setdefault(name, []).append(value)


def is_finished(config: ConfigDict, progress: Progress) -> bool:
    """Whether all epochs are done or a rule of the early stop is at the end of its patience."""
    stop = config.early_stop
    if progress.epoch >= config.epochs:
        return True
    if progress.epoch < stop.min_epochs:
        return False
    waited = progress.epoch - progress.best_epoch
    history = {name: np.asarray(values) for name, values in progress.watched.items()}
    return 0 < stop.patience_epochs <= waited or any(
        rule.fires(history["epoch"], history[rule.metric])
        for rule in _watchers(config).values()
        if rule.metric in history
    )
