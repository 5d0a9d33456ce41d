"""Schedules: pure functions of the epoch, traced or not.

Each returns a float32 scalar. ``epoch`` is 0-based and may be a Python number or a traced scalar.
"""

import jax
import jax.numpy as jnp
import optax

Epoch = jax.Array | int | float


def linear(epoch: Epoch, *, start: float, end: float, epochs: int) -> jax.Array:
    """Line from ``start`` to ``end`` over ``epochs``, then constant.

    >>> [round(float(linear(e, start=1.0, end=0.3, epochs=400)), 3) for e in (0, 200, 400, 500)]
    [1.0, 0.65, 0.3, 0.3]
    """
    share = jnp.clip(jnp.asarray(epoch, jnp.float32) / max(epochs, 1), 0.0, 1.0)
    return start + (end - start) * share


def cyclic_temperature(  # noqa: PLR0913 - the schedule has this many knobs
    epoch: Epoch,
    *,
    start: float,
    end: float,
    epochs: int,
    relative_amplitude: float,
    boost_epoch: int,
    boost_amplitude: float,
    period_epochs: int = 30,
    floor: float = 0.1,
) -> jax.Array:
    r"""Linearly falling temperature with a cosine on top (v5.5's temperature of A).

    .. math:: \max(\text{floor},\; b_e + a_e \cos(2\pi e / \text{period}))

    with :math:`b_e` the line from ``start`` to ``end`` over ``epochs``, and :math:`a_e` equal to
    ``relative_amplitude`` times :math:`b_e` before ``boost_epoch`` and ``boost_amplitude`` from it.

    >>> knobs = dict(start=1.0, end=0.3, epochs=400, relative_amplitude=0.1, boost_epoch=250,
    ...              boost_amplitude=0.5)
    >>> [round(float(cyclic_temperature(e, **knobs)), 4) for e in (0, 249, 250, 399)]
    [1.1, 0.5468, 0.3125, 0.1472]
    """
    epoch = jnp.asarray(epoch, jnp.float32)
    base = linear(epoch, start=start, end=end, epochs=epochs)
    amplitude = jnp.where(epoch < boost_epoch, relative_amplitude * base, boost_amplitude)
    phase = jnp.mod(epoch, period_epochs) / period_epochs
    return jnp.maximum(floor, base + amplitude * jnp.cos(2.0 * jnp.pi * phase))


def lagged_temperature(
    epoch: Epoch,
    *,
    start: float,
    end: float,
    epochs: int,
    lag_epochs: int,
    late_epoch: int,
    late_value: float,
) -> jax.Array:
    """Constant for ``lag_epochs``, then a line; ``late_value`` from ``late_epoch`` on (v5.5's B).

    >>> knobs = dict(start=0.9, end=0.2, epochs=400, lag_epochs=30, late_epoch=250, late_value=0.3)
    >>> [round(float(lagged_temperature(e, **knobs)), 5) for e in (0, 30, 249, 250)]
    [0.9, 0.9, 0.51675, 0.3]
    """
    epoch = jnp.asarray(epoch, jnp.float32)
    line = linear(epoch - lag_epochs, start=start, end=end, epochs=epochs)
    return jnp.where(epoch < late_epoch, line, late_value)


def warmup_then_linear(
    epoch: Epoch, *, start: float, end: float, warmup_epochs: int, epochs: int
) -> jax.Array:
    """0 to ``start`` over the warm-up, then to ``end`` at ``epochs`` (v5.5's beta of A).

    >>> beta = dict(start=0.3, end=0.8, warmup_epochs=50, epochs=400)
    >>> [round(float(warmup_then_linear(e, **beta)), 6) for e in (0, 1, 50, 399)]
    [0.0, 0.006, 0.3, 0.798571]
    """
    epoch = jnp.asarray(epoch, jnp.float32)
    rising = start * epoch / max(warmup_epochs, 1)
    line = linear(
        epoch - warmup_epochs, start=start, end=end, epochs=max(epochs - warmup_epochs, 1)
    )
    return jnp.where(epoch < warmup_epochs, rising, line)


def cosine_cycle(
    epoch: Epoch, *, base: float, amplitude: float, period_epochs: int = 30
) -> jax.Array:
    r"""``base`` + ``amplitude`` :math:`\cos(2\pi e/\text{period} + \pi/2)` (v5.5's lambda3).

    >>> [round(float(cosine_cycle(e, base=0.3, amplitude=0.15)), 4) for e in (0, 1, 15)]
    [0.3, 0.2688, 0.3]
    """
    phase = jnp.mod(jnp.asarray(epoch, jnp.float32), period_epochs) / period_epochs
    return base - amplitude * jnp.sin(2.0 * jnp.pi * phase)


def piecewise_constant(
    epoch: Epoch, *, boundaries: tuple[int, ...], values: tuple[float, ...]
) -> jax.Array:
    """The last value whose boundary is at or below the epoch; the first boundary must be 0.

    >>> steps = dict(boundaries=(0, 50, 120), values=(1e-3, 5e-4, 3e-4))
    >>> [round(float(piecewise_constant(e, **steps)), 6) for e in (0, 49, 50, 399)]
    [0.001, 0.001, 0.0005, 0.0003]
    """
    reached = jnp.asarray(epoch) >= jnp.asarray(boundaries)
    return jnp.asarray(values, jnp.float32)[reached.sum() - 1]


def warmup_cosine(
    epoch: Epoch, *, peak: float, end: float, warmup_epochs: float, epochs: int
) -> jax.Array:
    """Line from 0 to ``peak`` over the warm-up, then half a cosine down to ``end`` at ``epochs``.

    >>> knobs = dict(peak=3e-3, end=0.0, warmup_epochs=2, epochs=80)
    >>> [round(float(warmup_cosine(e, **knobs)), 5) for e in (0, 1, 2, 41, 80)]
    [0.0, 0.0015, 0.003, 0.0015, 0.0]
    """
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=peak,
        warmup_steps=warmup_epochs,
        decay_steps=epochs,
        end_value=end,
    )
    return jnp.asarray(schedule(jnp.asarray(epoch, jnp.float32)), jnp.float32)


def cosine_warm_restarts(
    epoch: Epoch, *, peak: float, cycle_epochs: int, cycle_growth: int
) -> jax.Array:
    r"""Half a cosine from ``peak`` to 0 per cycle, which grow.

    Source: Loshchilov and Hutter (2017), equation 5.

    Cycle ``n`` begins at epoch :math:`T_0 (g^n - 1)/(g - 1)` and lasts :math:`T_0 g^n`.

    >>> knobs = dict(peak=1e-3, cycle_epochs=20, cycle_growth=2)
    >>> [round(float(cosine_warm_restarts(e, **knobs)), 6) for e in (0, 10, 20, 40, 60)]
    [0.001, 0.0005, 0.001, 0.0005, 0.001]
    """
    epoch = jnp.asarray(epoch, jnp.float32)
    if cycle_growth == 1:
        start, length = jnp.floor(epoch / cycle_epochs) * cycle_epochs, jnp.float32(cycle_epochs)
    else:
        # A table of cycle starts: a logarithm would misplace epochs at the edges by rounding.
        lengths = cycle_epochs * cycle_growth ** jnp.arange(12, dtype=jnp.float32)
        starts = jnp.cumsum(lengths) - lengths
        cycle = (epoch >= starts).sum() - 1
        start, length = starts[cycle], lengths[cycle]
    return peak * 0.5 * (1.0 + jnp.cos(jnp.pi * (epoch - start) / length))
