"""Aspects of a model that a validation checks, and targets that its metrics have to meet."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict


class Aspect(NamedTuple):
    """An aspect that is checked for every model of a domain.

    Attributes:
      name: for the report.
      at_least: metric keys of which one or more need a lower bound in the targets.
      at_most: the same for an upper bound.
      reason: why the aspect does not apply to this model; "" where it does.
      also: further keys whose figures are reported with it.
    """

    name: str
    at_least: tuple[str, ...] = ()
    at_most: tuple[str, ...] = ()
    reason: str = ""
    also: tuple[str, ...] = ()


def of_latents(encoders: str, *, deterministic: bool = False) -> list[Aspect]:
    """Aspects of a latent space with a posterior, for encoders such as ``"ab"``."""

    def keys(measure: str) -> tuple[str, ...]:
        return tuple(f"latent/{measure}_{encoder}" for encoder in encoders)

    on_means = "trained on means (config.model.posterior_noise is 0): there is no posterior"
    return [
        Aspect(
            "posterior collapse",
            keys("informed_dimensions") + keys("kl"),
            also=keys("kl_per_dimension"),
            reason=on_means if deterministic else "",
        ),
        Aspect("active dimensions", keys("active_dimensions")),
        Aspect("entropy", keys("entropy")),
    ]


class Verdict(NamedTuple):
    """A metric against its lower or upper bound; None where it is missing or not a number."""

    metric: str
    value: float | None
    bound: float
    at_least: bool

    @property
    def reached(self) -> bool:
        """Whether the target is met; a missing metric and NaN meet none."""
        if self.value is None:
            return False
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def target(self) -> str:
        """The target in words, such as "≥ 0.83"."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:.6g}"


def judge(config: ConfigDict, metrics: Mapping[str, Any]) -> list[Verdict]:
    """Each target of ``config.targets`` against metrics, in the order of the keys.

    >>> config = ConfigDict({"targets": {"at_least": {"eval/x": 0.5}, "at_most": {"eval/y": 1}}})
    >>> [(v.metric, v.target, v.reached) for v in judge(config, {"eval/x": 0.7, "eval/y": 2.0})]
    [('eval/x', '≥ 0.5', True), ('eval/y', '≤ 1', False)]
    """
    targets = config.get("targets", {})  # absent from runs older than targets

    def reached(metric: str) -> float | None:
        value = metrics.get(metric)
        return value if isinstance(value, float | int) else None

    verdicts = [
        Verdict(metric, reached(metric), bound, side == "at_least")
        for side in ("at_least", "at_most")
        for metric, bound in targets.get(side, {}).items()
    ]
    return sorted(verdicts, key=lambda verdict: verdict.metric)
