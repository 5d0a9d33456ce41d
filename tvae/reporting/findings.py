"""Diagnostics of a run: which rules fired, when and on which metric."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tvae.domains.domain import HeldOut
from tvae.engine import diagnostics
from tvae.runs.run import Run

_LEAST_WINDOW = 10  # epochs, of a rule that the configuration has switched off


class Finding(NamedTuple):
    """The result of one diagnostic.

    Attributes:
      rule: its name.
      metric: key of the metric that it reads; "" where the run does not measure it.
      epoch: epochs completed when it fired; None if it did not.
      text: when it fires, with the rule's numbers, or why it does not apply.
    """

    rule: str
    metric: str
    epoch: float | None
    text: str


def _generalisation(run: Run, pairs: Sequence[HeldOut]) -> Iterator[Finding]:
    """Memorisation and grokking, for each loss that is measured on both sides of a split."""
    found = False
    for pair in pairs:
        first, second = run.series(pair.train), run.series(pair.held_out)
        epoch, here, there = np.intersect1d(first.epoch, second.epoch, return_indices=True)
        if epoch.size == 0:
            continue
        found = True
        learned, other = first.value[here], second.value[there]
        unseen = 1.0 - other if pair.rises else other
        memorising = epoch[diagnostics.is_memorising(learned, unseen)]
        yield Finding(
            "memorisation",
            pair.held_out,
            float(memorising[0]) if memorising.size else None,
            "training loss below 0.1, held-out loss more than 0.5 above it",
        )
        yield Finding(
            "grokking",
            pair.held_out,
            diagnostics.first_epoch(diagnostics.is_grokking, epoch, learned, unseen),
            "after ten epochs of memorisation the held-out loss falls by 5 %",
        )
    if not found:
        yield Finding("grokking", "", None, "does not apply: nothing is held out in this run")


def _apply_rule(
    run: Run, name: str, metric: str, rule: Callable[..., bool], text: str, sign: float = 1.0
) -> Finding:
    """A rule on one metric."""
    series = run.series(metric)
    if series.epoch.size == 0:
        return Finding(name, "", None, f"does not apply: {metric} is not measured during the run")
    epoch = diagnostics.first_epoch(rule, series.epoch, sign * series.value)
    return Finding(name, metric, epoch, text)


def diagnose(run: Run, config: ConfigDict, pairs: Sequence[HeldOut]) -> list[Finding]:
    """Apply every diagnostic to a run; all findings, fired or not.

    Rules of the early stop that are switched off take windows of a fifth of the run.
    """
    stop = config.early_stop
    window = max(_LEAST_WINDOW, config.epochs // 5)
    plateau = {"window_epochs": stop.plateau.window_epochs or window, "delta": stop.plateau.delta}
    patience = stop.drop.patience_epochs or window
    drop = {"size": stop.drop.size, "patience_epochs": patience}
    sign = {"max": 1.0, "min": -1.0}
    is_plateau = functools.partial(diagnostics.is_plateau, **plateau)
    is_drop = functools.partial(diagnostics.is_drop, **drop)
    stalled = f"moved by less than {plateau['delta']:g} in {plateau['window_epochs']} epochs"
    behind = f"more than {drop['size']:g} behind its best for {patience} epochs"
    passed = "best in the first fifth of at least 50 epochs, then lost by more than 0.02"
    shrunk = "norm of the weights fell by 2 % within ten epochs"
    apply = functools.partial(_apply_rule, run)
    return [
        *_generalisation(run, pairs),
        apply("plateau", stop.plateau.metric, is_plateau, stalled),
        apply("drop", stop.drop.metric, is_drop, behind, sign[stop.drop.mode]),
        apply("early peak", stop.metric, diagnostics.is_early_peak, passed, sign[stop.mode]),
        apply("compression", "train/weight_norm", diagnostics.is_compression, shrunk),
    ]


def ending(run: Run, config: ConfigDict, findings: list[Finding]) -> str:
    """Length of the run and why it ended, to be read after "ran"."""
    epochs = len(run.rows)
    if not run.finished:
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
