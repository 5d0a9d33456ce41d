"""The differentiable controller: counts, range, the reference system's values."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from tests.support.golden_modules import assert_close, cotangent, load, params, size, weights
from tvae.convert import names
from tvae.models.controllers import Control, DifferentiableController, constant_control

MODEL = DifferentiableController()


def test_parameter_count_and_values_at_the_start():
    initial = jax.jit(MODEL.init)(jax.random.key(0), jnp.zeros(8))
    assert size(initial) == 1_606
    control = jax.jit(MODEL.apply)(initial, jnp.asarray([1.0, 1.0, -0.8, -0.8, 5.0, 5.0, 0.0, 0.0]))
    expected = Control(rho=0.25, weight_geodesic=0.793, weight_radial=0.693, beta_a=1.193,
                       beta_b=1.193, tau=0.5)  # fmt: skip
    for field in dataclasses.fields(Control):
        ours, theirs = getattr(control, field.name), getattr(expected, field.name)
        np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_constants_stand_in():
    control = jax.tree.map(float, constant_control())
    assert control == Control(0.0, 1.0, 0.5, 1.0, 1.0, 0.5)


def test_equals_the_original(reference):
    golden = load(reference / "golden/models_components/differentiable_controller.npz")
    named = {f"controller.{k}": v for k, v in weights(golden).items()}
    variables = {"params": params(named, names.controller())}
    statistics = jnp.asarray(golden["in.batch_stats"])
    control, pull = jax.vjp(jax.jit(lambda s: MODEL.apply(variables, s)), statistics)
    for ours in (field.name for field in dataclasses.fields(Control)):
        theirs = {"beta_a": "beta_A", "beta_b": "beta_B"}.get(ours, ours)
        assert_close(getattr(control, ours), golden[f"f32.{theirs}"])
        zeros = jax.tree.map(jnp.zeros_like, control)
        (gradient,) = pull(zeros.replace(**{ours: cotangent(golden, theirs)}))
        assert_close(gradient, golden[f"f32.grad.{theirs}.batch_stats"])
