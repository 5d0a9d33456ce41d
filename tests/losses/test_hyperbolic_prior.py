"""Priors on the ball: recorded values, the adaptive state by steps, the three divergences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import all_cases
from tvae.geometry import poincare
from tvae.geometry.distributions import WrappedNormal
from tvae.losses import hyperbolic_prior
from tvae.losses.hyperbolic_prior import AdaptivePrior, PriorAdaptation


def cases(prefix):
    found = all_cases("losses", f"loss_hyperbolic_prior/{prefix}")
    if not found:
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    return found


def project(mu, c, max_norm):
    return poincare.project(poincare.project(mu, c=c), c=c, max_norm=max_norm)


@jax.jit
def divergence(mu, logvar, c, max_norm, scale):
    """The mean of the rows, of means that are cut at the ball's boundary as in the original."""
    point = project(mu, c, max_norm)
    return hyperbolic_prior.tangent_normal_kl(point, logvar, c, scale=scale).mean()


def test_tangent_normal_kl_equals_the_reference_system():
    slopes = jax.jit(jax.grad(divergence, (0, 1)))
    for case in cases("prior"):
        given = {"curvature": 1.0, "max_norm": 0.95, "prior_sigma": 1.0} | case.params
        at = jnp.asarray(case["in.mu"]), jnp.asarray(case["in.logvar"])
        options = [jnp.float32(given[name]) for name in ("curvature", "max_norm", "prior_sigma")]
        case.assert_close(divergence(*at, *options), "f32.kl")
        for name, slope in zip(("mu", "logvar"), slopes(*at, *options), strict=True):
            case.assert_close(slope, f"f32.grad.kl.{name}")
        scaled = options[2] * case["in.prior_noise"]
        sample = poincare.exp_map_origin(scaled, c=options[0])
        case.assert_close(sample, "f32.sample_prior")
        noisy = at[0] + case["in.eps"] * jnp.exp(0.5 * at[1])
        case.assert_close(project(noisy, *options[:2]), "f32.z_hyperbolic")


@pytest.fixture(scope="module")
def adapted():
    """Recorded and own states and divergences of each homeostatic case."""

    @jax.jit
    def step(rules, state, mu, logvar, eps, max_norm):
        names = ("rate", "memory", "target_radius", "target_kl")
        rules = PriorAdaptation(**dict(zip(names, rules, strict=True)))
        kl = divergence(mu, logvar, state.c, max_norm, state.scale)
        z = project(mu + eps * jnp.exp(0.5 * logvar), state.c, max_norm)
        radius = poincare.hyperbolic_radius(z, c=state.c).mean()
        return rules.update(state, radius=radius, kl=kl), kl

    found = []
    for case in cases("homeostatic"):
        given = {
            "adaptation_rate": 0.01,
            "ema_alpha": 0.1,
            "target_radius": 0.5,
            "kl_target": 1.0,
            "curvature": 1.0,
            "prior_sigma": 1.0,
        } | case.params
        rules = [given[k] for k in ("adaptation_rate", "ema_alpha", "target_radius", "kl_target")]
        state = AdaptivePrior(given["prior_sigma"], given["curvature"], 0.5, 1.0)
        state = jax.tree.map(jnp.float32, state)
        states, divergences = [], []
        for i in range(12):
            at = case["in.mu"][i], case["in.logvar"][i], case[f"in.eps_step{i}"]
            state, kl = step(rules, state, *at, 0.95)
            states.append(state)
            divergences.append(kl)
        for scale, c in case["in.statenet_deltas"]:
            state = PriorAdaptation(rate=rules[0]).shift(state, scale=scale, c=c)
            states.append(state)
        found.append((case, np.asarray(states), np.asarray(divergences)))
    return found


def test_adaptive_prior_equals_the_reference_system(adapted):
    for case, states, divergences in adapted:
        case.assert_close(divergences, "f32.kl_each_step")
        case.assert_close(states, "f32.state_sigma_curvature_radiusema_klema")


def test_updates_pass_no_gradient():
    def scale(radius):
        state = hyperbolic_prior.ADAPTIVE_PRIOR
        return PriorAdaptation().update(state, radius=radius, kl=1.0).scale

    assert jax.grad(scale)(0.7) == 0.0


def test_samples_give_the_divergence_of_the_quadrature():
    point, logvar = jnp.asarray([[0.3, -0.2], [-0.5, 0.4]]), jnp.full((2, 2), -1.5)
    wrapped = hyperbolic_prior.wrapped_normal_kl(
        point, logvar, jax.random.key(0), 1.3, scale=0.8, n_samples=4000
    )
    q = WrappedNormal(point, jnp.exp(0.5 * logvar[:, :1]), 1.3)
    p = WrappedNormal(jnp.zeros_like(point), jnp.full((1, 1), 0.8), 1.3)
    np.testing.assert_allclose(wrapped, q.kl(p), atol=0.08)


def test_the_three_divergences_agree_where_the_ball_is_flat():
    """Lengths below 0.1: the KL of Gaussians, of whose lengths the tangent one takes half."""
    point, logvar = jnp.asarray([[0.01, 0.0]]), jnp.full((1, 2), 2 * np.log(0.02))
    expected = 2 * (np.log(2) - 0.5 + 0.125) + 0.5 * (0.02 / 0.04) ** 2

    @jax.jit
    def divergences(key):
        return (
            hyperbolic_prior.riemannian_normal_kl(point, logvar, 1.3, scale=0.04),
            hyperbolic_prior.tangent_normal_kl(point, logvar, 1.3, scale=0.02),
            hyperbolic_prior.wrapped_normal_kl(point, logvar, key, 1.3, scale=0.04, n_samples=4000),
        )

    riemannian, tangent, wrapped = divergences(jax.random.key(0))
    np.testing.assert_allclose(riemannian, expected, rtol=3e-3)
    np.testing.assert_allclose(tangent, expected, rtol=1e-3)
    np.testing.assert_allclose(wrapped, expected, atol=0.08)
