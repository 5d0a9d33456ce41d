"""The configuration's targets against what the run reached."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict


class Verdict(NamedTuple):
    """A metric against its target.

    Attributes:
      metric: key.
      value: reached; None where the run has no such metric, or it is no number.
      bound: the target.
      at_least: whether the bound is a lower one.
    """

    metric: str
    value: float | None
    bound: float
    at_least: bool

    @property
    def reached(self) -> bool:
        """Whether the target is met; a metric that is missing meets none."""
        if self.value is None:
            return False
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def target(self) -> str:
        """The target in words, such as "≥ 0.83"."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:.6g}"


def judge(config: ConfigDict, final: Mapping[str, Any]) -> list[Verdict]:
    """Each target of a configuration against the final metrics.

    Args:
      config: with ``targets.at_least`` and ``targets.at_most``, as far as there are any.
      final: metric -> number or list.

    >>> config = ConfigDict({"targets": {"at_least": {"eval/x": 0.5}, "at_most": {"eval/y": 1}}})
    >>> [(v.metric, v.target, v.reached) for v in judge(config, {"eval/x": 0.7, "eval/y": 2.0})]
    [('eval/x', '≥ 0.5', True), ('eval/y', '≤ 1', False)]
    """
    targets = config.get("targets", {})  # runs of before there were any

    def reached(metric: str) -> float | None:
        value = final.get(metric)
        return value if isinstance(value, float | int) else None

    return [
        Verdict(metric, reached(metric), bound, side == "at_least")
        for side in ("at_least", "at_most")
        for metric, bound in targets.get(side, {}).items()
    ]
