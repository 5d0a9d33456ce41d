"""Gradients in the closed ball: finite everywhere, right where finite differences resolve them."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from tvae.geometry import numerics, poincare

FUNCTIONS = {
    "project": lambda x, _y, _v, c: poincare.project(x, c=c),
    "conformal_factor": lambda x, _y, _v, c: poincare.conformal_factor(x, c=c),
    "mobius_add": lambda x, y, _v, c: poincare.mobius_add(x, y, c=c),
    "mobius_scale": lambda x, _y, _v, c: poincare.mobius_scale(0.5, x, c=c),
    "distance": lambda x, y, _v, c: poincare.distance(x, y, c=c),
    "hyperbolic_radius": lambda x, _y, _v, c: poincare.hyperbolic_radius(x, c=c),
    "pairwise_distance": lambda x, y, _v, c: poincare.pairwise_distance(x, y, c=c),
    "exp_map_origin": lambda x, _y, _v, c: poincare.exp_map_origin(x, c=c),
    "log_map_origin": lambda x, _y, _v, c: poincare.log_map_origin(x, c=c),
    "exp_map": lambda x, _y, v, c: poincare.exp_map(x, v, c=c),
    "log_map": lambda x, y, _v, c: poincare.log_map(x, y, c=c),
    "gyration": lambda x, y, v, c: poincare.gyration(x, y, v, c=c),
    "parallel_transport": lambda x, y, v, c: poincare.parallel_transport(x, y, v, c=c),
    "geodesic": lambda x, y, _v, c: poincare.geodesic(0.3, x, y, c=c),
}


def norms() -> np.ndarray:
    """0, then log-uniform towards the origin and towards the boundary, then the boundary."""
    small = np.geomspace(1e-15, 0.5, 40)
    return np.concatenate([[0.0], small, 1.0 - np.geomspace(0.5, 1e-7, 20), [1.0]])


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    with jax.enable_x64(True) if request.param == "float64" else contextlib.nullcontext():
        yield request.param


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_finite_in_the_closed_ball(name, dtype):
    rng = np.random.default_rng(1)
    unit = rng.normal(size=(3, len(norms()), 5))
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    v = jnp.asarray(unit[2], dtype)

    def value_and_gradients(x, y, c):
        value, pull = jax.vjp(FUNCTIONS[name], x, y, v, c)
        return value, *pull(jnp.ones_like(value))

    for c in (0.5, 1.0, 2.0):
        x, y = (jnp.asarray(u * norms()[:, None] / np.sqrt(c), dtype) for u in unit[:2])
        partners = {
            "other": y,
            "coincident": x,
            "antipodal": -x,
            "origin": jnp.zeros_like(x),
            "of other norm": jnp.flip(y, 0),
        }
        for kind, partner in partners.items():
            for array in value_and_gradients(x, partner, jnp.asarray(c, dtype)):
                assert np.isfinite(array).all(), f"{name} is not finite for {kind} points, c={c}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_agree_with_finite_differences(name):
    rng = np.random.default_rng(2)
    x, y, v = rng.normal(size=(3, 6, 5)) * 0.2
    with jax.enable_x64(True):
        check_grads(
            FUNCTIONS[name],
            (jnp.asarray(x), jnp.asarray(y), jnp.asarray(v), jnp.asarray(1.3)),
            order=1,
            atol=1e-5,
            rtol=1e-5,
        )


def test_maps_at_the_origin_have_the_identity_as_jacobian(dtype):
    zero = jnp.zeros(3, dtype)
    for function in (poincare.exp_map_origin, poincare.log_map_origin):
        jacobian = jax.jit(jax.jacfwd(lambda x, f=function: f(x, c=1.5)))(zero)
        np.testing.assert_array_equal(jacobian, np.eye(3))


def test_distance_has_no_gradient_at_coincident_points(dtype):
    x = jnp.asarray([[0.3, 0.2], [0.0, 0.0]], dtype)
    gradient = jax.jit(jax.grad(lambda y: poincare.distance(x, y, c=1.0).sum()))(x)
    np.testing.assert_array_equal(gradient, 0.0)
    every = jax.jit(jax.grad(lambda y: jnp.trace(poincare.pairwise_distance(x, y, c=1.0))))(x)
    np.testing.assert_array_equal(every, 0.0)


def test_curvature_may_be_traced_and_mapped():
    x = jnp.asarray([[0.3, 0.2]])
    radii = jax.jit(jax.vmap(lambda c: poincare.hyperbolic_radius(x, c=c)))(jnp.asarray([0.5, 2.0]))
    norm = np.hypot(0.3, 0.2)
    expected = [2 / np.sqrt(c) * np.arctanh(np.sqrt(c) * norm) for c in (0.5, 2.0)]
    np.testing.assert_allclose(radii[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("q", [0.0, 1e-12, 9.9e-5, 1.01e-4, 5e-3, 0.3, 0.99])
def test_ratios_join_their_series_and_closed_forms(q, dtype):
    root = np.sqrt(q) if q else 1.0
    tolerance = 4 * np.finfo(dtype).eps
    at = jnp.asarray(q, dtype)
    artanh = np.arctanh(root) / root if q else 1.0
    tanh = np.tanh(root) / root if q else 1.0
    np.testing.assert_allclose(numerics.artanh_ratio(at), artanh, rtol=20 * tolerance)
    np.testing.assert_allclose(numerics.tanh_ratio(at), tanh, rtol=tolerance)


def test_half_precision_is_refused():
    with pytest.raises(TypeError, match="float32 or float64, got bfloat16"):
        poincare.hyperbolic_radius(jnp.zeros(3, jnp.bfloat16), c=1.0)
