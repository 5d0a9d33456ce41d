"""In two dimensions the ball is the unit disk of the complex numbers: formulas of NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import poincare

X, Y, V = np.asarray([0.3 - 0.2j, -0.55 + 0.1j]), np.asarray([0.1 + 0.6j, 0.4 + 0.5j]), 0.7 - 0.4j
CURVATURES = (0.5, 1.0, 2.0)


def add(x, y):
    """Möbius addition in the unit disk."""
    return (x + y) / (1 + np.conj(x) * y)


def turn(x, y):
    """The rotation that is the gyration of two points."""
    return (1 + x * np.conj(y)) / (1 + np.conj(x) * y)


def arm(x):
    """A point's hyperbolic radius over its length."""
    return 2 * np.arctanh(np.abs(x)) / np.abs(x)


def gap(x):
    return 1 - np.abs(x) ** 2


# Of the unit disk; a ball of curvature -c is this one with lengths divided by the root of c.
EXPECTED = {
    "mobius_add": add(X, Y),
    "mobius_scale": np.tanh(2.5 * np.arctanh(np.abs(X))) * X / np.abs(X),
    "gyration": turn(X, Y) * V,
    "exp_map_origin": np.tanh(np.abs(Y)) * Y / np.abs(Y),
    "log_map_origin": arm(X) / 2 * X,
    "exp_map": add(X, np.tanh(np.abs(V) / gap(X)) * V / np.abs(V)),
    "log_map": gap(X) * arm(add(-X, Y)) / 2 * add(-X, Y),
    "parallel_transport": turn(Y, -X) * V * gap(Y) / gap(X),
    "geodesic": add(
        X, np.tanh(0.3 * np.arctanh(np.abs(add(-X, Y)))) * np.exp(1j * np.angle(add(-X, Y)))
    ),
    "distance": 2 * np.arctanh(np.abs(add(-X, Y))),
    "pairwise": 2 * np.arctanh(np.abs(add(-X[:, None], Y[None, :]))),
    "hyperbolic_radius": 2 * np.arctanh(np.abs(X)),
    "norm_of_radius": np.tanh(np.abs(X) / 2),
}
# These do not scale with the ball.
PURE = {"conformal_factor": 2 / gap(X)}


@jax.jit
def everything(x, y, v, c):
    return {
        "mobius_add": poincare.mobius_add(x, y, c=c),
        "mobius_scale": poincare.mobius_scale(2.5, x, c=c),
        "gyration": poincare.gyration(x, y, v, c=c),
        "exp_map_origin": poincare.exp_map_origin(y, c=c),
        "log_map_origin": poincare.log_map_origin(x, c=c),
        "exp_map": poincare.exp_map(x, v, c=c),
        "log_map": poincare.log_map(x, y, c=c),
        "parallel_transport": poincare.parallel_transport(x, y, v, c=c),
        "geodesic": poincare.geodesic(0.3, x, y, c=c),
        "distance": poincare.distance(x, y, c=c),
        "pairwise": poincare.pairwise_distance(x, y, c=c),
        "hyperbolic_radius": poincare.hyperbolic_radius(x, c=c),
        "norm_of_radius": poincare.norm_of_radius(jnp.linalg.norm(x, axis=-1), c=c),
        "conformal_factor": poincare.conformal_factor(x, c=c),
    }


def real(z):
    return np.stack([np.real(z), np.imag(z)], axis=-1)


@pytest.mark.parametrize("c", CURVATURES)
def test_every_map_is_that_of_the_complex_disk(c):
    root = np.sqrt(c)
    x, y = (jnp.asarray(real(z) / root, jnp.float32) for z in (X, Y))
    v = jnp.asarray(np.broadcast_to(real(V), (2, 2)) / root, jnp.float32)
    found = everything(x, y, v, jnp.float32(c))
    for name, expected in (EXPECTED | PURE).items():
        wanted = real(expected) if np.iscomplexobj(expected) else expected
        scale = 1.0 if name in PURE else root
        np.testing.assert_allclose(scale * found[name], wanted, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("c", CURVATURES)
def test_points_outside_land_on_the_outermost_sphere(c):
    radius = (1 - 4e-3) / np.sqrt(c)
    x = jnp.asarray([[3.0, 4.0], [0.0, 1.5 * radius], [0.3, 0.1], [0.0, 0.0]])
    found = poincare.project(x, c=c)
    wanted = [[0.6 * radius, 0.8 * radius], [0.0, radius], [0.3, 0.1], [0.0, 0.0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    far = jnp.asarray([[0.0, 50.0]])
    for moved in (poincare.exp_map_origin(far, c=c), poincare.exp_map(x[2:3], far, c=c)):
        np.testing.assert_allclose(jnp.linalg.norm(moved), radius, rtol=1e-5)


def test_gradients_of_all_pairs_are_those_of_single_ones():
    x, y = (jnp.asarray(real(z), jnp.float32) for z in (X, Y))
    weight = jnp.asarray([[1.0, -2.0], [0.5, 3.0]])

    def by_pairs(x, y):
        return (weight * poincare.pairwise_distance(x, y, c=1.0)).sum()

    def one_by_one(x, y):
        return (weight * poincare.distance(x[:, None], y[None, :], c=1.0)).sum()

    for found, wanted in zip(
        jax.jit(jax.grad(by_pairs, (0, 1)))(x, y), jax.grad(one_by_one, (0, 1))(x, y), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    itself = jax.jit(jax.grad(lambda x: poincare.pairwise_distance(x, x, c=1.0).sum()))(x)
    assert jnp.isfinite(itself).all()


def test_double_precision_tells_points_near_the_boundary_apart():
    """The reference's clamp of artanh at 1 - 1e-7 would end all radii at 16.8."""
    norm = 1 - 1e-10
    with jax.enable_x64(True):
        radius = poincare.radius_of_norm(jnp.float64(norm), c=1.0)
    np.testing.assert_allclose(radius, 2 * np.arctanh(norm), rtol=1e-6)
