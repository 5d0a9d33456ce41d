"""Schedules by hand: their ends, corners, floors, and every restart."""

import jax.numpy as jnp
import pytest

from tvae.engine import schedules


def at(schedule, *epochs):
    return [float(schedule(epoch)) for epoch in epochs]


@pytest.mark.parametrize("growth", [1, 2, 3])
def test_warm_restarts_fall_to_zero_and_begin_again_at_the_peak(growth):
    rate = schedules.cosine_warm_restarts(2.0, cycle_epochs=8, cycle_growth=growth, epochs=500)
    start = 0
    for cycle in range(4):
        length = 8 * growth**cycle
        first, middle, last = at(rate, start, start + length / 2, start + length - 1e-3)
        assert (first, middle) == pytest.approx((2.0, 1.0), rel=1e-5)
        assert last == pytest.approx(0.0, abs=1e-5)
        start += length


def test_the_cosine_ends_at_its_end_value():
    rate = schedules.warmup_cosine(1.0, 0.2, warmup_epochs=4, epochs=20)
    # Half way down from 1.0 to 0.2 at epoch 12.
    assert at(rate, 0, 2, 4, 12, 20, 25) == pytest.approx([0.0, 0.5, 1.0, 0.6, 0.2, 0.2], rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "epochs", "rates"),
    [
        ("piecewise", (0, 4, 5, 9), (0.3, 0.3, 0.1, 0.1)),
        ("cosine", (1, 2, 6, 10), (0.5, 1.0, 0.55, 0.1)),
        ("warm_restarts", (0, 1, 2, 4), (1.0, 0.5, 1.0, 0.5)),
    ],
)
def test_the_learning_rate_takes_every_traced_field(kind, epochs, rates):
    rate = schedules.LearningRate(kind, warmup_epochs=2, cycle_epochs=2, cycle_growth=2, epochs=10)
    values = {"boundaries": jnp.asarray([0, 5]), "rates": jnp.asarray([0.3, 0.1])}
    values |= {"peak": jnp.float32(1.0), "end": jnp.float32(0.1)}
    hparams = {f"learning_rate.{name}": value for name, value in values.items()}
    found = [float(rate(jnp.int32(epoch), hparams)) for epoch in epochs]
    assert found == pytest.approx(list(rates), rel=1e-5)


def test_a_temperature_never_falls_below_its_floor():
    temperature = schedules.cyclic_temperature(
        1.0, 0.2, epochs=80, relative_amplitude=0.1, boost_epoch=40, boost_amplitude=0.5
    )
    # The lines 1.0 and 0.4 of epochs 0 and 60; at 75 the cosine of half a period would give -0.25.
    assert at(temperature, 0, 60, 75) == pytest.approx([1.1, 0.9, 0.1], rel=1e-5)


def test_beta_rises_then_goes_on_to_the_last_epoch():
    beta = schedules.warmup_then_linear(0.2, 1.0, warmup_epochs=20, epochs=100)
    assert at(beta, 0, 10, 20, 60, 100) == pytest.approx([0.0, 0.1, 0.2, 0.6, 1.0], rel=1e-5)


def test_a_cycle_falls_first():
    cycle = schedules.cosine_cycle(0.3, 0.1, period_epochs=40)
    assert at(cycle, 10, 20, 30) == pytest.approx([0.2, 0.3, 0.4], rel=1e-5)
