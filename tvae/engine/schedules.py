"""Schedules in optax's shape: a maker takes numbers and returns ``epoch -> value``.

They join and compose with optax's own. ``epoch`` is 0-based, may be fractional, and may be a Python
number or a traced scalar; so may every number but lengths in epochs, which are static.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

Value = jax.Array | float


def cyclic_temperature(
    start: Value,
    end: Value,
    *,
    epochs: int,
    relative_amplitude: Value,
    boost_epoch: Value,
    boost_amplitude: Value,
    period_epochs: int = 30,
    floor: float = 0.1,
) -> optax.Schedule:
    r"""Linearly falling temperature with a cosine on top (v5.5's temperature of A).

    .. math:: \max(\text{floor},\; b_e + a_e \cos(2\pi e / \text{period}))

    with :math:`b_e` the line from ``start`` to ``end`` over ``epochs``, and :math:`a_e` equal to
    ``relative_amplitude`` times :math:`b_e` before ``boost_epoch`` and ``boost_amplitude`` from it.

    >>> t = cyclic_temperature(1.0, 0.3, epochs=400, relative_amplitude=0.1, boost_epoch=250,
    ...                        boost_amplitude=0.5)
    >>> [round(float(t(e)), 4) for e in (0, 249, 250, 399)]
    [1.1, 0.5468, 0.3125, 0.1472]
    """
    line = optax.linear_schedule(start, end, epochs)

    def temperature(epoch: Value) -> jax.Array:
        base = line(epoch)
        amplitude = jnp.where(epoch < boost_epoch, relative_amplitude * base, boost_amplitude)
        phase = jnp.mod(epoch, period_epochs) / period_epochs
        return jnp.maximum(floor, base + amplitude * jnp.cos(2.0 * jnp.pi * phase))

    return temperature


def lagged_temperature(
    start: Value, end: Value, *, epochs: int, lag_epochs: int, late_epoch: Value, late_value: Value
) -> optax.Schedule:
    """Constant for ``lag_epochs``, then a line; ``late_value`` from ``late_epoch`` on (v5.5's B).

    >>> t = lagged_temperature(0.9, 0.2, epochs=400, lag_epochs=30, late_epoch=250, late_value=0.3)
    >>> [round(float(t(e)), 5) for e in (0, 30, 249, 250)]
    [0.9, 0.9, 0.51675, 0.3]
    """
    line = optax.linear_schedule(start, end, epochs, transition_begin=lag_epochs)
    return optax.join_schedules([line, lambda _: late_value], [late_epoch])


def warmup_then_linear(
    start: Value, end: Value, *, warmup_epochs: int, epochs: int
) -> optax.Schedule:
    """0 to ``start`` over the warm-up, then to ``end`` at ``epochs`` (v5.5's beta of A).

    >>> beta = warmup_then_linear(0.3, 0.8, warmup_epochs=50, epochs=400)
    >>> [round(float(beta(e)), 6) for e in (0, 1, 50, 399)]
    [0.0, 0.006, 0.3, 0.798571]
    """
    rise = optax.linear_schedule(0.0, start, warmup_epochs)
    line = optax.linear_schedule(start, end, max(epochs - warmup_epochs, 1))
    return optax.join_schedules([rise, line], [warmup_epochs])


def cosine_cycle(base: Value, amplitude: Value, *, period_epochs: Value = 30) -> optax.Schedule:
    r"""``base`` + ``amplitude`` :math:`\cos(2\pi e/\text{period} + \pi/2)` (v5.5's lambda3).

    >>> [round(float(cosine_cycle(0.3, 0.15)(e)), 4) for e in (0, 1, 15)]
    [0.3, 0.2688, 0.3]
    """

    def cycle(epoch: Value) -> jax.Array:
        phase = jnp.mod(epoch, period_epochs) / period_epochs
        return base - amplitude * jnp.sin(2.0 * jnp.pi * phase)

    return cycle


def ramp(
    start: Value, end: Value, *, begin: Value, epochs: Value, shape: str = "linear"
) -> optax.Schedule:
    """``start`` before epoch ``begin``, ``end`` from ``epochs`` later on; 0 epochs: a jump.

    In between a line, or half a cosine for the shape "cosine". optax's own cannot trace the length.

    >>> rise = ramp(0.0, 2.0, begin=10.0, epochs=4.0)
    >>> [float(rise(e)) for e in (9, 11, 12, 20)]
    [0.0, 0.5, 1.0, 2.0]
    >>> round(float(ramp(0.0, 2.0, begin=10.0, epochs=4.0, shape="cosine")(11)), 4)
    0.2929
    """

    def value(epoch: Value) -> jax.Array:
        since = jnp.asarray(epoch, jnp.float32) - begin
        ramped = jnp.clip(since / jnp.maximum(epochs, 1e-6), 0.0, 1.0)
        done = jnp.where(epochs > 0, ramped, (since >= 0).astype(jnp.float32))
        if shape == "cosine":
            done = (1.0 - jnp.cos(jnp.pi * done)) / 2.0
        return start + (end - start) * done

    return value


def piecewise_constant(
    boundaries: Sequence[Value] | jax.Array, values: Sequence[Value] | jax.Array
) -> optax.Schedule:
    """The last value whose boundary is at or below the epoch; the first boundary must be 0.

    >>> rate = piecewise_constant((0, 50, 120), (1e-3, 5e-4, 3e-4))
    >>> [round(float(rate(e)), 6) for e in (0, 49, 50, 399)]
    [0.001, 0.001, 0.0005, 0.0003]
    """
    n = len(boundaries)
    constants = [optax.constant_schedule(values[i]) for i in range(n)]
    return optax.join_schedules(constants, [boundaries[i] for i in range(1, n)])


def warmup_cosine(peak: Value, end: Value, *, warmup_epochs: float, epochs: int) -> optax.Schedule:
    """Line from 0 to ``peak`` over the warm-up, then half a cosine down to ``end`` at ``epochs``.

    ``optax.warmup_cosine_decay_schedule``, whose peak cannot be traced.

    >>> rate = warmup_cosine(3e-3, 0.0, warmup_epochs=2, epochs=80)
    >>> [round(float(rate(e)), 5) for e in (0, 1, 2, 41, 80)]
    [0.0, 0.0015, 0.003, 0.0015, 0.0]
    """
    rise = optax.linear_schedule(0.0, peak, warmup_epochs)
    fall = optax.cosine_decay_schedule(1.0, epochs - warmup_epochs)
    return optax.join_schedules(
        [rise, lambda epoch: end + (peak - end) * fall(epoch)], [warmup_epochs]
    )


def cosine_warm_restarts(
    peak: Value, *, cycle_epochs: int, cycle_growth: int, epochs: int
) -> optax.Schedule:
    """Half a cosine from ``peak`` to 0 per cycle; each cycle is ``cycle_growth`` times the last.

    Source: Loshchilov and Hutter (2017), equation 5.

    >>> rate = cosine_warm_restarts(1e-3, cycle_epochs=20, cycle_growth=2, epochs=100)
    >>> [round(float(rate(e)), 6) for e in (0, 10, 20, 40, 60)]
    [0.001, 0.0005, 0.001, 0.0005, 0.001]
    """
    if cycle_growth == 1:
        cycle = optax.cosine_decay_schedule(1.0, cycle_epochs)
        return lambda epoch: peak * cycle(jnp.mod(epoch, cycle_epochs))
    ends = [cycle_epochs]
    while ends[-1] < epochs:
        ends.append(ends[-1] + cycle_epochs * cycle_growth ** len(ends))
    lengths = [end - start for start, end in itertools.pairwise([0, *ends])]
    cycles = [optax.cosine_decay_schedule(1.0, length) for length in lengths]
    joined = optax.join_schedules(cycles, ends[:-1])
    return lambda epoch: peak * joined(epoch)


@dataclasses.dataclass(frozen=True)
class LearningRate:
    """The learning rate of ``config.learning_rate``: static shape, traced values.

    Attributes:
      kind: "piecewise", "cosine" or "warm_restarts".
      warmup_epochs: cosine: epochs from 0 to the peak.
      cycle_epochs: warm_restarts: length of the first cycle.
      cycle_growth: warm_restarts: factor on the length of each next cycle.
      epochs: length of the run.
    """

    kind: str
    warmup_epochs: float
    cycle_epochs: int
    cycle_growth: int
    epochs: int

    def __call__(self, epoch: jax.Array, hparams: Mapping[str, jax.Array]) -> jax.Array:
        """Rate of an epoch, float32 scalar; ``hparams`` hold the section's traced values."""
        if self.kind == "piecewise":
            schedule = piecewise_constant(
                hparams["learning_rate.boundaries"], hparams["learning_rate.rates"]
            )
        elif self.kind == "cosine":
            schedule = warmup_cosine(
                hparams["learning_rate.peak"],
                hparams["learning_rate.end"],
                warmup_epochs=self.warmup_epochs,
                epochs=self.epochs,
            )
        else:
            schedule = cosine_warm_restarts(
                hparams["learning_rate.peak"],
                cycle_epochs=self.cycle_epochs,
                cycle_growth=self.cycle_growth,
                epochs=self.epochs,
            )
        return jnp.asarray(schedule(epoch), jnp.float32)


def make_learning_rate(rate: Any, *, epochs: int) -> LearningRate:
    """The learning rate of ``config.learning_rate`` in a run of ``epochs``."""
    return LearningRate(
        kind=rate.kind,
        warmup_epochs=rate.warmup_epochs,
        cycle_epochs=rate.cycle_epochs,
        cycle_growth=rate.cycle_growth,
        epochs=epochs,
    )
