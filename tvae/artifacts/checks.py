"""Checks of a run's weights: recomputed metrics against targets and recorded metrics.

Nothing is taken on trust. Every figure is computed from the restored parameters; the recorded
metrics are only compared with them. An aspect that a domain does not have is reported as not
applicable with the reason; one that it has but for which no target is set has failed.
"""

import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae import loading
from tvae.domains import aspects, registry
from tvae.domains.aspects import Aspect, Verdict
from tvae.model import Model
from tvae.runs import archive, parameters
from tvae.runs.run import Run

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"
RECORDED_TOLERANCE = 1e-6
"""Between a recorded and a recomputed metric, relative above 1 and absolute below."""


class Check(NamedTuple):
    """The result for one aspect."""

    aspect: str
    status: str  # PASSED, FAILED or NOT_APPLICABLE
    reasons: list[str]  # a line for each figure and its bound, or why there is none
    figures: dict[str, Any]  # everything that belongs to the aspect, by metric key


class Examination(NamedTuple):
    """A model, all its figures computed from its parameters, and a check for each aspect."""

    model: Model
    metrics: dict[str, Any]
    checks: list[Check]

    @property
    def failed(self) -> list[str]:
        """Aspects that failed."""
        return [check.aspect for check in self.checks if check.status == FAILED]


def _check(aspect: str, passed: bool, reasons: list[str], figures: dict[str, Any]) -> Check:
    return Check(aspect, PASSED if passed else FAILED, reasons, figures)


def _reason(verdict: Verdict) -> str:
    target = f"target {'>=' if verdict.at_least else '<='} {verdict.bound:g}"
    if verdict.value is None:
        return f"{verdict.metric} does not follow from the weights, {target}"
    return f"{verdict.metric} = {verdict.value:.6g}, {target}"


def _check_bounds(name: str, verdicts: list[Verdict], figures: dict[str, Any]) -> Check:
    return _check(name, all(v.reached for v in verdicts), [_reason(v) for v in verdicts], figures)


def _bounded_by(aspect: Aspect, verdict: Verdict) -> bool:
    return verdict.metric in (aspect.at_least if verdict.at_least else aspect.at_most)


def _check_aspect(aspect: Aspect, metrics: Mapping[str, Any], verdicts: list[Verdict]) -> Check:
    """An aspect's figures against its targets; failed where it applies and has none."""
    keys = (*aspect.at_least, *aspect.at_most, *aspect.also)
    figures = {key: metrics[key] for key in keys if key in metrics}
    if aspect.reason:
        return Check(aspect.name, NOT_APPLICABLE, [aspect.reason], figures)
    own = [verdict for verdict in verdicts if _bounded_by(aspect, verdict)]
    if own:
        return _check_bounds(aspect.name, own, figures)
    sides = (("at_least", aspect.at_least), ("at_most", aspect.at_most))
    wanted = " or ".join(f"config.targets.{side}['{k}']" for side, keys in sides for k in keys)
    return Check(aspect.name, FAILED, [f"no target: give {wanted}"], figures)


def check_targets(metrics: Mapping[str, Any], config: ConfigDict) -> list[Check]:
    """All aspects of a domain, and as one more check every other target of a complete config."""
    asked = registry.get(config.task).aspects(config)
    verdicts = aspects.judge(config, metrics)
    checks = [_check_aspect(aspect, metrics, verdicts) for aspect in asked]
    applicable = [aspect for aspect in asked if not aspect.reason]
    left = [v for v in verdicts if not any(_bounded_by(aspect, v) for aspect in applicable)]
    if left:
        figures = {v.metric: metrics[v.metric] for v in left if v.metric in metrics}
        checks.append(_check_bounds("other targets", left, figures))
    return checks


def _same_bits(x: Any, y: Any) -> bool:
    """Whether two trees of arrays or numbers are the same to the bit, NaN included."""
    return archive.digest(x) == archive.digest(y)


def _check_exact(aspect: str, x: Any, y: Any, compared: str) -> Check:
    same = _same_bits(x, y)
    return _check(aspect, same, [f"{compared}: {'' if same else 'not '}bit-equal"], {})


def _check_recorded(metrics: Mapping[str, Any], recorded: Mapping[str, Any]) -> Check:
    """Every recorded figure that follows from the weights, against the recomputed one."""
    keys = [key for key in recorded if key in metrics]
    apart = []
    for key in keys:
        new, old = (np.atleast_1d(np.float64(each[key])) for each in (metrics, recorded))
        if new.shape != old.shape:
            apart.append((math.inf, key))
            continue
        with np.errstate(invalid="ignore"):
            gap = np.abs(new - old) / np.maximum(1.0, np.abs(old))
        # Equal infinities and NaN that was recorded as such are the same figure; nothing else is.
        gap[~np.isfinite(gap)] = math.inf
        gap[(new == old) | (np.isnan(new) & np.isnan(old))] = 0.0
        apart.append((float(np.max(gap, initial=0.0)), key))
    worst, where = max(apart, default=(math.inf, "no figure in common"))
    at = f" ({where})" if worst else ""
    line = f"{len(keys)} figures recomputed, largest difference {worst:.3g}{at}"
    return _check("recorded metrics", worst <= RECORDED_TOLERANCE, [line], {})


def measure(model: Model) -> dict[str, Any]:
    """Final metrics, as far as the weights alone determine them."""
    return model.metrics()


def examine(run: pathlib.Path, copy: pathlib.Path) -> Examination:
    """Examine the newest checkpoint of a run.

    Args:
      run: a working directory, or a raw artifact.
      copy: must not exist; gets the parameters and their card, and is evaluated as well.

    Raises:
      UserError: if the run cannot be read.
    """
    model = loading.load_run(Run.open(run))
    metrics, recorded = measure(model), dict(model.card["metrics"])
    card = dict(model.card) | {"metrics": recorded | metrics}
    parameters.save_params(copy, model.params, card, model.views.keep)
    again = loading.load(copy)
    checks = check_targets(metrics, config_lib.complete(model.card["config"]))
    checks += [
        _check_exact("reload", model.params, again.params, "parameters after save and load"),
        _check_exact("determinism", metrics, measure(again), "two evaluations"),
        _check_recorded(metrics, recorded),
    ]
    return Examination(model, metrics, checks)
