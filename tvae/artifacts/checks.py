"""Validation: what the weights themselves say, against the targets of their configuration.

Nothing is taken on trust. Every figure is computed from the restored parameters; the recorded
metrics are only compared with them. An aspect that a task does not have is reported as not
applicable with the reason; one that it has but for which no target is set has failed.
"""

import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae import loading
from tvae.domains import latent_use, registry
from tvae.domains.aspects import Aspect
from tvae.model import Model
from tvae.runs import archive
from tvae.runs import log as writers
from tvae.runs import params as parameters

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"
RECORDED_TOLERANCE = 1e-6
"""Between a recorded and a recomputed metric, relative above 1 and absolute below."""


class Check(NamedTuple):
    """What one aspect came to.

    Attributes:
      aspect: such as ``coverage``.
      status: ``PASSED``, ``FAILED`` or ``NOT_APPLICABLE``.
      reasons: one line for each figure and its bound, or why there is none.
      figures: metric key -> value, everything that belongs to the aspect.
    """

    aspect: str
    status: str
    reasons: list[str]
    figures: dict[str, Any]


class Examination(NamedTuple):
    """A model and what was found.

    Attributes:
      model: as read from the run.
      metrics: all figures, computed from its parameters.
      checks: one for each aspect.
    """

    model: Model
    metrics: dict[str, Any]
    checks: list[Check]

    @property
    def failed(self) -> list[str]:
        """Aspects that failed."""
        return [check.aspect for check in self.checks if check.status == FAILED]


def _bound(
    key: str, bound: float, metrics: Mapping[str, Any], *, at_least: bool
) -> tuple[bool, str]:
    """Whether a target is met, and the line that says so."""
    sign = ">=" if at_least else "<="
    value = metrics.get(key)
    if value is None:
        return False, f"{key} is not told by the weights, target {sign} {bound:g}"
    met = value >= bound if at_least else value <= bound
    return bool(met), f"{key} = {value:.6g}, target {sign} {bound:g}"


def judge(aspect: Aspect, metrics: Mapping[str, Any], targets: ConfigDict) -> Check:
    """Hold an aspect's figures against the targets.

    Args:
      aspect: the question.
      metrics: computed figures.
      targets: ``at_least`` and ``at_most``: metric key -> bound.

    Returns:
      The check; failed where the aspect applies and no target bounds it.
    """
    sides = (("at_least", aspect.at_least), ("at_most", aspect.at_most))
    keys = (*aspect.at_least, *aspect.at_most, *aspect.also)
    figures = {key: metrics[key] for key in keys if key in metrics}
    if aspect.reason:
        return Check(aspect.name, NOT_APPLICABLE, [aspect.reason], figures)
    bounds = [
        _bound(key, targets[side][key], metrics, at_least=side == "at_least")
        for side, keys in sides
        for key in keys
        if key in targets[side]
    ]
    if not bounds:
        wanted = " or ".join(f"config.targets.{side}['{k}']" for side, keys in sides for k in keys)
        return Check(aspect.name, FAILED, [f"no target: give {wanted}"], figures)
    met = all(holds for holds, _ in bounds)
    return Check(aspect.name, PASSED if met else FAILED, [line for _, line in bounds], figures)


def _other_targets(
    aspects: list[Aspect], metrics: Mapping[str, Any], targets: ConfigDict
) -> list[Check]:
    """The targets that no aspect has looked at, as one check, if there are any."""
    asked = [aspect for aspect in aspects if not aspect.reason]
    judged = {(side, key) for a in asked for side in targets for key in getattr(a, side)}
    left = [(side, key) for side in targets for key in targets[side] if (side, key) not in judged]
    if not left:
        return []
    bounds = [
        _bound(key, targets[side][key], metrics, at_least=side == "at_least") for side, key in left
    ]
    status = PASSED if all(holds for holds, _ in bounds) else FAILED
    figures = {key: metrics[key] for _, key in left if key in metrics}
    return [Check("other targets", status, [line for _, line in bounds], figures)]


def hold_against_targets(metrics: Mapping[str, Any], config: ConfigDict) -> list[Check]:
    """All aspects of a task, and every other target.

    Args:
      metrics: computed figures.
      config: of the run, complete.
    """
    aspects = registry.get(config.task).aspects(config)
    checks = [judge(aspect, metrics, config.targets) for aspect in aspects]
    return checks + _other_targets(aspects, metrics, config.targets)


def _same_bits(x: Any, y: Any) -> bool:
    """Whether two trees of arrays or numbers are the same to the bit, NaN included."""
    return archive.digest(x) == archive.digest(y)


def _exact(aspect: str, same: bool, what: str) -> Check:
    verdict = "bit-equal" if same else "not bit-equal"
    return Check(aspect, PASSED if same else FAILED, [f"{what}: {verdict}"], {})


def _against_recorded(metrics: Mapping[str, Any], recorded: Mapping[str, Any]) -> Check:
    """Every recorded figure that the weights tell, recomputed."""
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
        apart.append((float(gap.max(initial=0.0)), key))
    worst, where = max(apart, default=(math.inf, "no figure in common"))
    good = worst <= RECORDED_TOLERANCE
    at = f" ({where})" if worst else ""
    line = f"{len(keys)} figures recomputed, largest difference {worst:.3g}{at}"
    return Check("recorded metrics", PASSED if good else FAILED, [line], {})


def measure(model: Model) -> dict[str, Any]:
    """Everything that the weights alone tell: final metrics and the use of the latent space."""
    latent = latent_use.measure(model.views, model.params)
    return model.metrics() | writers.to_plain(jax.device_get(latent))


def examine(run: pathlib.Path, copy: pathlib.Path) -> Examination:
    """Examine the newest checkpoint of a run.

    Args:
      run: a working directory, or a raw artifact.
      copy: must not exist; gets the parameters and their card, as ``checkpoints/`` ships them.

    Returns:
      What was found; two evaluations, one of the original and one of what ``copy`` holds.

    Raises:
      UserError: if the run cannot be read.
    """
    model = loading.load(run)
    metrics = measure(model)
    recorded = dict(model.card["metrics"])
    card = dict(model.card) | {"metrics": recorded | metrics}
    parameters.save_params(copy, model.params, card)
    again = loading.load(copy)
    checks = hold_against_targets(metrics, config_lib.complete(model.card["config"]))
    checks += [
        _exact("reload", _same_bits(model.params, again.params), "parameters after save and load"),
        _exact("determinism", _same_bits(metrics, measure(again)), "two evaluations"),
        _against_recorded(metrics, recorded),
    ]
    return Examination(model, metrics, checks)
