"""The hyperboloid: textbook formulas in float64, float32 up to radius 10, and the isometry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import hyperboloid, numerics, poincare

RADII = np.concatenate([[0.0], np.geomspace(1e-12, 0.3, 12), np.linspace(0.5, 10.0, 20)])
MODERATE = np.linspace(0.0, 3.0, 33)


def vectors(seed: int, radii=RADII, d: int = 4) -> np.ndarray:
    """Tangent vectors at the origin, of given lengths."""
    unit = np.random.default_rng(seed).normal(size=(len(radii), d))
    return unit / np.linalg.norm(unit, axis=-1, keepdims=True) * np.asarray(radii)[:, None]


def product(x, y):
    """The Lorentz product by its definition."""
    return -x[..., 0] * y[..., 0] + (x[..., 1:] * y[..., 1:]).sum(-1)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def points(seed: int, c: float):
    return hyperboloid.exp_map_origin(jnp.asarray(vectors(seed, MODERATE)), c=c)


def close(a, b, atol=1e-10):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=atol)


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_textbook_formulas(c, float64):
    x, y = points(0, c), points(1, c)[::-1]
    close(product(x, x), -1 / c)
    close(hyperboloid.lorentz_product(x, y), product(x, y))
    close(hyperboloid.pairwise_lorentz_product(x, y[:7]), product(x[:, None], y[None, :7]))
    expected = np.arccosh(-c * product(x, y)) / np.sqrt(c)
    close(hyperboloid.distance(x, y, c=c), expected)
    close(jnp.diag(hyperboloid.pairwise_distance(x, y, c=c)), expected)
    close(hyperboloid.hyperbolic_radius(x, c=c), MODERATE)
    close(hyperboloid.log_map_origin(x, c=c), vectors(0, MODERATE))

    u = hyperboloid.log_map(x, y, c=c)
    close(product(x, u), 0.0)
    close(product(u, u), expected**2)
    length = np.sqrt(c) * expected[:, None]
    close(hyperboloid.exp_map(x, u, c=c), np.cosh(length) * x + np.sinh(length) / length * u)
    close(hyperboloid.exp_map(x, u, c=c), y)


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_transport_and_translation_are_isometries(c, float64):
    x, y, z = points(0, c), points(1, c)[::-1], points(2, c)
    v, w = vectors(3, np.ones(33)), vectors(4, np.ones(33))
    moved, other = (hyperboloid.transport_from_origin(x, jnp.asarray(a), c=c) for a in (v, w))
    close(product(x, moved), 0.0)
    close(product(moved, other), (v * w).sum(-1))
    close(hyperboloid.transport_to_origin(x, moved, c=c), v)
    # P u = u + c <y, u> / (1 - c <x, y>) (x + y), from the origin.
    origin = hyperboloid.lift(jnp.zeros((33, 4)), c=c)
    start = jnp.concatenate([jnp.zeros((33, 1)), jnp.asarray(v)], -1)
    share = c * product(x, start) / (1 - c * product(origin, x))
    close(moved, start + share[:, None] * (origin + x))

    def translate(x, y):
        return hyperboloid.translate(x, y, c=c)

    close(product(translate(x, y), translate(x, z)), product(y, z), atol=1e-6)
    close(translate(hyperboloid.inverse(x), translate(x, y)), y, atol=1e-7)
    assert (translate(hyperboloid.inverse(x), x)[:, 1:] == 0).all()
    close(hyperboloid.unwrap(x, hyperboloid.wrap(x, jnp.asarray(v), c=c), c=c), v)


@pytest.mark.parametrize("c", [0.5, 2.0])
def test_isometry_with_the_poincare_ball(c, float64):
    x, y = points(0, c), points(1, c)[::-1]
    p, q = hyperboloid.to_ball(x, c=c), hyperboloid.to_ball(y, c=c)
    close(hyperboloid.distance(x, y, c=c), poincare.distance(p, q, c=c))
    close(hyperboloid.from_ball(p, c=c), x)
    close(
        hyperboloid.to_ball(hyperboloid.translate(x, y, c=c), c=c), poincare.mobius_add(p, q, c=c)
    )


def test_distances_in_float32_up_to_radius_10():
    """Random pairs and pairs on a ray, against float64 at the same rounded coordinates."""
    x = hyperboloid.exp_map_origin(jnp.asarray(vectors(0), jnp.float32), c=1.0)
    for y in (
        hyperboloid.exp_map_origin(jnp.asarray(vectors(1)[::-1], jnp.float32), c=1.0),
        hyperboloid.exp_map_origin(jnp.asarray(0.9 * vectors(0), jnp.float32), c=1.0),
    ):
        with jax.enable_x64(True):
            exact = hyperboloid.distance(x.astype(float), y.astype(float), c=1.0)
        np.testing.assert_allclose(hyperboloid.distance(x, y, c=1.0), exact, rtol=2e-5)
        every = jnp.diag(hyperboloid.pairwise_distance(x, y, c=1.0))
        np.testing.assert_allclose(every, exact, rtol=2e-5)


def test_wrapped_vectors_in_float32_up_to_radius_10():
    """Where a vector of length 1 leads, up to what the coordinates resolve."""
    x = hyperboloid.exp_map_origin(jnp.asarray(vectors(0), jnp.float32), c=1.0)
    v = jnp.asarray(vectors(1, np.ones(len(RADII))), jnp.float32)
    with jax.enable_x64(True):
        exact = hyperboloid.wrap(x.astype(float), v.astype(float), c=1.0)
        back = hyperboloid.unwrap(x.astype(float), exact, c=1.0)
    error = hyperboloid.distance(hyperboloid.wrap(x, v, c=1.0), exact.astype(jnp.float32), c=1.0)
    assert (error < 3e-7 * np.exp(np.maximum(RADII, 1.0))).all()
    np.testing.assert_allclose(back, v, rtol=1e-6, atol=1e-6)


def test_gradients_are_finite_up_to_the_largest_radius():
    v = jnp.asarray(vectors(0, [*RADII, 15.0, 19.9, 30.0, 1e4]), jnp.float32)

    def total(v, other, c):
        x, y = hyperboloid.exp_map_origin(v, c=c), hyperboloid.exp_map_origin(other, c=c)
        every = hyperboloid.pairwise_distance(x, y, c=c) + hyperboloid.distance(x, y, c=c)[:, None]
        frame = hyperboloid.unwrap(x, y, c=c) + hyperboloid.wrap(x, other, c=c)[:, 1:]
        ball = hyperboloid.from_ball(hyperboloid.to_ball(x, c=c), c=c)
        log = hyperboloid.exp_map(x, hyperboloid.log_map(x, y, c=c), c=c)
        radius = hyperboloid.hyperbolic_radius(x, c=c)
        return every.sum() + sum((jnp.log1p(a * a)).sum() for a in (frame, ball, log, radius))

    gradient = jax.jit(jax.grad(total, (0, 1, 2)))
    for other in (v, -v, v[::-1], jnp.zeros_like(v)):
        for array in gradient(v, other, jnp.float32(1.3)):
            assert jnp.isfinite(array).all()


def test_distance_to_the_origin_pulls_straight_out_of_it():
    x = hyperboloid.exp_map_origin(jnp.asarray([[3.0, 4.0]]), c=1.0)
    origin = hyperboloid.lift(jnp.zeros((1, 2)), c=1.0)
    gradient = jax.jit(jax.grad(lambda y: hyperboloid.distance(x, y, c=1.0).sum()))
    np.testing.assert_allclose(gradient(origin), [[0.0, -0.6, -0.8]], rtol=1e-5)
    assert not gradient(x).any()


def test_riemannian_gradient_is_that_of_the_frame():
    x = hyperboloid.exp_map_origin(jnp.asarray(vectors(0, [0.0, 0.5, 2.0]), jnp.float32), c=0.7)
    a = jnp.asarray(np.random.default_rng(2).normal(size=5), jnp.float32)

    def height(x):
        return (x * a[None, :]).sum()

    frame = jax.jit(jax.grad(lambda v: height(hyperboloid.wrap(x, v, c=0.7))))(jnp.zeros((3, 4)))
    gradient = hyperboloid.riemannian_gradient(x, jax.grad(height)(x), c=0.7)
    np.testing.assert_allclose(gradient, frame, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("q", [0.0, 1e-12, 9.9e-5, 1.01e-4, 5e-3, 0.3, 50.0])
def test_ratios_join_their_series_and_closed_forms(q):
    root = np.sqrt(q) if q else 1.0
    sinh, arsinh = (np.sinh(root) / root, np.arcsinh(root) / root) if q else (1.0, 1.0)
    np.testing.assert_allclose(numerics.sinh_ratio(jnp.float32(q)), sinh, rtol=1e-6)
    np.testing.assert_allclose(numerics.arsinh_ratio(jnp.float32(q)), arsinh, rtol=1e-6)
    with jax.enable_x64(True):
        np.testing.assert_allclose(numerics.sinh_ratio(jnp.asarray(q)), sinh, rtol=1e-14)
        np.testing.assert_allclose(numerics.arsinh_ratio(jnp.asarray(q)), arsinh, rtol=1e-14)
