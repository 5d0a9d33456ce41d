"""The differentiable controller: counts, range, inputs ranked on device, the original's values."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from tests.support.golden_modules import assert_close, cotangent, load, params, size, weights
from tvae.convert import names
from tvae.models.controllers import (
    Control,
    DifferentiableController,
    batch_statistics,
    constant_control,
)

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


def test_statistics_are_real_and_their_ranks_carry_no_gradient():
    rng = np.random.default_rng(1)
    mu, logvar = (jnp.asarray(a, jnp.float32) for a in rng.normal(size=(2, 6, 4)))
    valuation = jnp.asarray([0, 0, 1, 1, 2, 3])
    radius = jnp.asarray([3.0, 2.5, 2.0, 2.2, 1.0, 0.5])

    def statistics(radius):
        rising = jnp.flip(radius)
        return batch_statistics((mu, logvar), (mu, logvar), radius, rising, valuation=valuation)

    s = jax.jit(statistics)(radius)
    rho = scipy.stats.spearmanr(valuation, radius).statistic
    np.testing.assert_allclose(s[:2], radius.mean(), rtol=1e-6)
    np.testing.assert_allclose(s[2], rho, rtol=1e-6)
    assert s[3] > 0.9
    # KL = -1/2 Σ_d (1 + logvar - mu² - e^logvar), mean over rows.
    kl = np.mean(-0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=-1))
    np.testing.assert_allclose(s[4:6], kl, rtol=1e-6)
    np.testing.assert_array_equal(s[6:], 0.0)
    jacobian = jax.jit(jax.jacrev(statistics))(radius)
    np.testing.assert_allclose(jacobian[0], 1 / 6)
    np.testing.assert_array_equal(jacobian[2], 0.0)


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
