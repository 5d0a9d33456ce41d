"""Weights of terms: a number, or a schedule over epochs whose numbers are all traced."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tvae.engine.task import Hparams
from tvae.errors import UserError
from tvae.fields import Field, above, at_least, within

_NUMBER = within(-1e6, 1e6)
_EPOCHS = at_least(0.0)


def linear(epoch: jax.Array, *, start: Any, end: Any, begin: Any, epochs: Any) -> jax.Array:
    """``start`` before epoch ``begin``, then a line to ``end``, ``epochs`` later; 0 epochs: a jump.

    >>> [float(linear(jnp.float32(e), start=0.0, end=2.0, begin=10.0, epochs=4.0)) for e in (9, 12)]
    [0.0, 1.0]
    """
    return start + (end - start) * _progress(epoch, begin, epochs)


def cosine(epoch: jax.Array, *, start: Any, end: Any, begin: Any, epochs: Any) -> jax.Array:
    """Like :func:`linear`, along half a cosine.

    >>> round(float(cosine(jnp.float32(1), start=0.0, end=2.0, begin=0.0, epochs=4.0)), 4)
    0.2929
    """
    return start + (end - start) * (1.0 - jnp.cos(jnp.pi * _progress(epoch, begin, epochs))) / 2.0


def cycle(epoch: jax.Array, *, base: Any, amplitude: Any, period: Any) -> jax.Array:
    r"""``base`` + ``amplitude`` :math:`\\sin(2\\pi e / \\text{period})`.

    >>> round(float(cycle(jnp.float32(5), base=1.0, amplitude=0.5, period=20.0)), 4)
    1.5
    """
    return base + amplitude * jnp.sin(2.0 * jnp.pi * jnp.mod(epoch, period) / period)


def _progress(epoch: jax.Array, begin: Any, epochs: Any) -> jax.Array:
    """Share of a ramp that an epoch has behind it, in [0, 1]."""
    since = jnp.asarray(epoch, jnp.float32) - begin
    ramped = jnp.clip(since / jnp.maximum(epochs, 1e-6), 0.0, 1.0)
    return jnp.where(epochs > 0, ramped, (since >= 0).astype(jnp.float32))


_RAMP = {
    "start": Field(0.0, _NUMBER, "weight before the ramp", traced=True),
    "end": Field(1.0, _NUMBER, "weight after the ramp", traced=True),
    "begin": Field(0.0, _EPOCHS, "first epoch of the ramp", traced=True),
    "epochs": Field(1.0, _EPOCHS, "length of the ramp; 0 = a jump", traced=True),
}
SCHEDULES: dict[str, tuple[Callable[..., jax.Array], dict[str, Field]]] = {
    "linear": (linear, _RAMP),
    "cosine": (cosine, _RAMP),
    "cycle": (
        cycle,
        {
            "base": Field(1.0, _NUMBER, "mean of the cycle", traced=True),
            "amplitude": Field(0.5, _NUMBER, "amplitude of the cycle", traced=True),
            "period": Field(30.0, above(0.0), "epochs of a cycle", traced=True),
        },
    ),
}
"""Kind of a schedule -> its function of the epoch, and its numbers."""


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight: ``schedule`` is one of :data:`SCHEDULES`, or "" for a number at ``path``."""

    path: str
    schedule: str = ""

    def __call__(self, epoch: jax.Array, hparams: Hparams) -> jax.Array:
        """The weight in an epoch, float32 scalar."""
        if not self.schedule:
            return hparams[self.path]
        function, numbers = SCHEDULES[self.schedule]
        return function(epoch, **{name: hparams[f"{self.path}.{name}"] for name in numbers})


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
