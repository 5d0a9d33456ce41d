"""Which diagnostics fired in a run, when, and on what."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tvae.engine import diagnostics
from tvae.runs.run import Run, Series

_LEAST_WINDOW = 10  # epochs, of a rule that the configuration has switched off


class Finding(NamedTuple):
    """What one diagnostic says of a run.

    Attributes:
      rule: its name.
      metric: what it watches; "" where the run has nothing for it.
      epoch: epochs completed when it fired; None where it stayed quiet.
      text: what that means, with the rule's numbers.
    """

    rule: str
    metric: str
    epoch: float | None
    text: str


# Training loss, what is held out, and whether that is a share that rises to 1.
_HELD_OUT = (
    ("train/cross_entropy_a", "val/cross_entropy_a", False),
    ("train/cross_entropy_b", "val/cross_entropy_b", False),
    ("train/reconstruction", "eval/coverage_ball_held_out", True),
)


def _together(first: Series, second: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs at which both were measured, and their values there."""
    epoch, here, there = np.intersect1d(first.epoch, second.epoch, return_indices=True)
    return epoch, first.value[here], second.value[there]


def _first_true(epoch: np.ndarray, holds: np.ndarray) -> float | None:
    return float(epoch[holds][0]) if holds.any() else None


def _generalisation(record: Run) -> Iterator[Finding]:
    """Memorisation and grokking, for each loss that is measured on both sides of a split."""
    found = False
    for train, held_out, is_share in _HELD_OUT:
        epoch, learned, other = _together(record.series(train), record.series(held_out))
        if epoch.size == 0:
            continue
        found = True
        unseen = 1.0 - other if is_share else other
        yield Finding(
            "memorisation",
            held_out,
            _first_true(epoch, diagnostics.is_memorising(learned, unseen)),
            "training loss below 0.1, held-out loss more than 0.5 above it",
        )
        yield Finding(
            "grokking",
            held_out,
            diagnostics.first_epoch(diagnostics.is_grokking, epoch, learned, unseen),
            "after ten epochs of memorisation the held-out loss falls by 5 %",
        )
    if not found:
        yield Finding("grokking", "", None, "does not apply: nothing is held out in this run")


def _watched(
    name: str,
    metric: str,
    rule: Callable[..., bool],
    record: Run,
    text: str,
    *,
    sign: float = 1.0,
) -> Finding:
    """A rule on one metric."""
    series = record.series(metric)
    if series.epoch.size == 0:
        return Finding(name, "", None, f"does not apply: {metric} is not measured during the run")
    epoch = diagnostics.first_epoch(rule, series.epoch, sign * series.value)
    return Finding(name, metric, epoch, text)


def diagnose(record: Run, config: ConfigDict) -> list[Finding]:
    """Every diagnostic, fired or not.

    Args:
      record: the run.
      config: its complete configuration.

    Returns:
      Findings; rules of the early stop that are off are judged by windows of a fifth of the run.
    """
    stop = config.early_stop
    window = max(_LEAST_WINDOW, config.epochs // 5)
    plateau = {"window_epochs": stop.plateau.window_epochs or window, "delta": stop.plateau.delta}
    patience = stop.drop.patience_epochs or window
    drop = {"size": stop.drop.size, "patience_epochs": patience}
    better = 1.0 if stop.mode == "max" else -1.0
    return [
        *_generalisation(record),
        _watched(
            "plateau",
            stop.plateau.metric,
            functools.partial(diagnostics.is_plateau, **plateau),
            record,
            f"moved by less than {plateau['delta']:g} in {plateau['window_epochs']} epochs",
        ),
        _watched(
            "drop",
            stop.drop.metric,
            functools.partial(diagnostics.is_drop, **drop),
            record,
            f"more than {drop['size']:g} behind its best for {patience} epochs",
            sign=1.0 if stop.drop.mode == "max" else -1.0,
        ),
        _watched(
            "early peak",
            stop.metric,
            diagnostics.is_early_peak,
            record,
            "best in the first fifth of at least 50 epochs, then lost by more than 0.02",
            sign=better,
        ),
        _watched(
            "compression",
            "train/weight_norm",
            diagnostics.is_compression,
            record,
            "norm of the weights fell by 2 % within ten epochs",
        ),
    ]


def ending(record: Run, config: ConfigDict, findings: list[Finding]) -> str:
    """How far the run went and why it ended there, to be read after "ran"."""
    epochs = len(record.rows)
    if not record.finished:
        return f"{epochs} of {config.epochs} epochs so far"
    if epochs >= config.epochs:
        return f"all {epochs} epochs"
    stop = config.early_stop
    switched_on = {"plateau": stop.plateau.window_epochs, "drop": stop.drop.patience_epochs}
    for finding in findings:
        if switched_on.get(finding.rule) and finding.epoch is not None:
            return f"{epochs} of {config.epochs} epochs, until {finding.rule}: {finding.text}"
    return (
        f"{epochs} of {config.epochs} epochs, until no better {stop.metric} for "
        f"{stop.patience_epochs}"
    )
