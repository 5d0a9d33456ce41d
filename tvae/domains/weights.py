"""Weights of terms: a number, or a schedule over epochs whose numbers are all traced."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tvae.engine import schedules
from tvae.engine.schedules import Value
from tvae.engine.task import Hparams
from tvae.errors import UserError
from tvae.fields import Field, above, at_least, within

_NUMBER = within(-1e6, 1e6)
_EPOCHS = at_least(0.0)


def _cycle(*, base: Value, amplitude: Value, period: Value) -> optax.Schedule:
    """``base`` plus ``amplitude`` times a sine, which rises first."""
    return schedules.cosine_cycle(base, -amplitude, period_epochs=period)


_RAMP = {
    "start": Field(0.0, _NUMBER, "weight before the ramp", traced=True),
    "end": Field(1.0, _NUMBER, "weight after the ramp", traced=True),
    "begin": Field(0.0, _EPOCHS, "first epoch of the ramp", traced=True),
    "epochs": Field(1.0, _EPOCHS, "length of the ramp; 0 = a jump", traced=True),
}
SCHEDULES: dict[str, tuple[Callable[..., optax.Schedule], dict[str, Field]]] = {
    "linear": (schedules.ramp, _RAMP),
    "cosine": (functools.partial(schedules.ramp, shape="cosine"), _RAMP),
    "cycle": (
        _cycle,
        {
            "base": Field(1.0, _NUMBER, "mean of the cycle", traced=True),
            "amplitude": Field(0.5, _NUMBER, "amplitude of the cycle", traced=True),
            "period": Field(30.0, above(0.0), "epochs of a cycle", traced=True),
        },
    ),
}
"""Kind of a schedule -> its maker, and its numbers."""


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight: ``schedule`` is one of :data:`SCHEDULES`, or "" for a number at ``path``."""

    path: str
    schedule: str = ""

    def __call__(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """The weight in an epoch, float32 scalar."""
        if not self.schedule:
            return hparams[self.path]
        maker, numbers = SCHEDULES[self.schedule]
        schedule = maker(**{name: hparams[f"{self.path}.{name}"] for name in numbers})
        return jnp.asarray(schedule(epoch), jnp.float32)


def make_weight(path: str, value: Any) -> Weight:
    """The weight of a validated configuration at a path."""
    return Weight(path, value["schedule"] if isinstance(value, Mapping) else "")


def fields(path: str, value: Any, *, unit: str) -> dict[str, Field]:
    """Fields of a weight: of the number itself, or of the numbers of its schedule.

    Args:
      path: of the weight.
      value: of it in the configuration.
      unit: of the term that it weighs.

    Raises:
      UserError: if the schedule does not exist or lacks a number.
    """
    if not isinstance(value, Mapping):
        return {path: Field(1.0, _NUMBER, f"weight of the term; its unit: {unit}", traced=True)}
    kind = value.get("schedule")
    if kind not in SCHEDULES:
        known = ", ".join(map(repr, SCHEDULES))
        raise UserError(f"config.{path}.schedule: expected one of {known}, got {kind!r}")
    numbers = SCHEDULES[kind][1]
    if value.keys() - {"schedule"} != numbers.keys():
        listed = ", ".join(numbers)
        got = ", ".join(sorted(value.keys() - {"schedule"})) or "nothing"
        raise UserError(f"config.{path}: schedule {kind!r} has {listed}; got {got}")
    return {f"{path}.{name}": field for name, field in numbers.items()}
