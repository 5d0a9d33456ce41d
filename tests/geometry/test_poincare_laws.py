"""The algebra of the ball: gyrovector, metric and map laws over seeds, dtypes and curvatures."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import poincare

ATOL = {"float32": 3e-5, "float64": 1e-11}
SHAPE = (24, 6)


class Samples:
    """Points and vectors of one seed, dtype and curvature, and the tolerance that fits them."""

    def __init__(self, seed: int, dtype: str) -> None:
        rng = np.random.default_rng(seed)
        self.c = float(rng.uniform(0.3, 2.5))
        self.atol = ATOL[dtype]
        self.x, self.y, self.z = (jnp.asarray(self._points(rng), dtype) for _ in range(3))
        self.u, self.v = (jnp.asarray(rng.normal(size=SHAPE) * 0.2, dtype) for _ in range(2))

    def _points(self, rng: np.random.Generator) -> np.ndarray:
        direction = rng.normal(size=SHAPE)
        norm = rng.uniform(0.0, 0.9, (SHAPE[0], 1)) / np.sqrt(self.c)
        return direction / np.linalg.norm(direction, axis=-1, keepdims=True) * norm

    def close(self, a: jax.Array, b: jax.Array) -> None:
        assert a.dtype == self.x.dtype
        np.testing.assert_allclose(a, b, rtol=10 * self.atol, atol=self.atol)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    with jax.enable_x64(True) if request.param == "float64" else contextlib.nullcontext():
        yield request.param


@pytest.fixture(params=range(10))
def s(request, dtype):
    return Samples(request.param, dtype)


def add(s, x, y):
    return poincare.mobius_add(x, y, c=s.c)


def gyr(s, x, y, v):
    return poincare.gyration(x, y, v, c=s.c)


def length(s, x, v):
    """Riemannian length of tangent vectors."""
    return poincare.conformal_factor(x, c=s.c) * jnp.linalg.norm(v, axis=-1)


def test_addition_is_a_gyrocommutative_gyrogroup(s):
    xy = add(s, s.x, s.y)
    s.close(add(s, jnp.zeros_like(s.x), s.x), s.x)
    s.close(add(s, -s.x, xy), s.y)
    s.close(xy, gyr(s, s.x, s.y, add(s, s.y, s.x)))
    s.close(add(s, s.x, add(s, s.y, s.z)), add(s, xy, gyr(s, s.x, s.y, s.z)))
    s.close(add(s, xy, s.z), add(s, s.x, add(s, s.y, gyr(s, s.y, s.x, s.z))))
    assert not np.any(add(s, -s.x, s.x))


def test_gyrations_are_rotations_with_the_loop_properties(s):
    turned = gyr(s, s.x, s.y, s.v)
    s.close(jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(s.v, axis=-1))
    s.close(gyr(s, s.y, s.x, turned), s.v)
    s.close(gyr(s, add(s, s.x, s.y), s.y, s.v), turned)
    s.close(gyr(s, s.x, add(s, s.y, s.x), s.v), turned)
    three = add(s, -add(s, s.x, s.y), add(s, s.x, add(s, s.y, s.z)))
    s.close(gyr(s, s.x, s.y, s.z), three)


def test_scalar_products_distribute_and_associate(s):
    def scale(t, x):
        return poincare.mobius_scale(t, x, c=s.c)

    s.close(scale(1.0, s.x), s.x)
    s.close(scale(0.9, s.x), add(s, scale(0.3, s.x), scale(0.6, s.x)))
    s.close(scale(0.18, s.x), scale(0.3, scale(0.6, s.x)))
    s.close(scale(-1.0, s.x), -s.x)


def test_distance_is_a_metric_that_translations_keep(s):
    d = poincare.distance(s.x, s.y, c=s.c)
    s.close(d, poincare.distance(s.y, s.x, c=s.c))
    s.close(d, poincare.distance(add(s, s.z, s.x), add(s, s.z, s.y), c=s.c))
    s.close(d, poincare.hyperbolic_radius(add(s, -s.x, s.y), c=s.c))
    detour = poincare.distance(s.x, s.z, c=s.c) + poincare.distance(s.z, s.y, c=s.c)
    assert np.all(d <= detour + s.atol)
    assert not np.any(poincare.distance(s.x, s.x, c=s.c))


def test_radius_is_the_distance_to_the_origin_and_inverts(s):
    radius = poincare.hyperbolic_radius(s.x, c=s.c)
    s.close(radius, poincare.distance(s.x, jnp.zeros_like(s.x), c=s.c))
    s.close(poincare.norm_of_radius(radius, c=s.c), jnp.linalg.norm(s.x, axis=-1))
    s.close(2.0 * jnp.linalg.norm(poincare.log_map_origin(s.x, c=s.c), axis=-1), radius)


def test_exponential_and_logarithm_invert_each_other(s):
    s.close(poincare.exp_map_origin(poincare.log_map_origin(s.x, c=s.c), c=s.c), s.x)
    s.close(poincare.log_map_origin(poincare.exp_map_origin(s.v, c=s.c), c=s.c), s.v)
    s.close(poincare.exp_map(s.x, poincare.log_map(s.x, s.y, c=s.c), c=s.c), s.y)
    reached = poincare.exp_map(s.x, s.v, c=s.c)
    # Projection into the ball shortens the few vectors that reach its edge.
    kept = np.linalg.norm(reached, axis=-1) * np.sqrt(s.c) < 0.99
    assert kept.sum() > SHAPE[0] // 2
    s.close(poincare.log_map(s.x, reached, c=s.c)[kept], s.v[kept])
    s.close(poincare.distance(s.x, reached, c=s.c)[kept], length(s, s.x, s.v)[kept])


def test_parallel_transport_is_an_isometry_along_the_geodesic(s):
    there = poincare.parallel_transport(s.x, s.y, s.v, c=s.c)
    s.close(length(s, s.y, there), length(s, s.x, s.v))
    s.close(poincare.parallel_transport(s.y, s.x, there, c=s.c), s.v)
    # The velocity of the geodesic stays its velocity: -log_y(x) is log_x(y) transported.
    velocity = poincare.parallel_transport(s.x, s.y, poincare.log_map(s.x, s.y, c=s.c), c=s.c)
    s.close(velocity, -poincare.log_map(s.y, s.x, c=s.c))
    angle = jnp.sum(there * poincare.parallel_transport(s.x, s.y, s.u, c=s.c), -1)
    scale = (poincare.conformal_factor(s.x, c=s.c) / poincare.conformal_factor(s.y, c=s.c)) ** 2
    s.close(angle, scale * jnp.sum(s.v * s.u, -1))


def test_geodesics_join_their_ends_at_constant_speed(s):
    def at(t):
        return poincare.geodesic(t, s.x, s.y, c=s.c)

    s.close(at(0.0), s.x)
    s.close(at(1.0), s.y)
    whole = poincare.distance(s.x, s.y, c=s.c)
    s.close(poincare.distance(at(0.2), at(0.7), c=s.c), 0.5 * whole)
    s.close(at(0.4), poincare.exp_map(s.x, 0.4 * poincare.log_map(s.x, s.y, c=s.c), c=s.c))


def test_curvature_only_scales_the_unit_ball(s):
    root = s.c**0.5
    s.close(
        poincare.distance(s.x, s.y, c=s.c),
        poincare.distance(s.x * root, s.y * root, c=1.0) / root,
    )
    s.close(add(s, s.x, s.y) * root, poincare.mobius_add(s.x * root, s.y * root, c=1.0))


def test_flat_limit_is_euclidean(dtype):
    s = Samples(0, dtype)
    x, y = s.x * 0.1, s.y * 0.1
    s.close(poincare.mobius_add(x, y, c=1e-9), x + y)
    s.close(poincare.distance(x, y, c=1e-9), 2.0 * jnp.linalg.norm(x - y, axis=-1))


def test_projection_keeps_points_inside_and_reaches_the_margin(s):
    inside = poincare.project(s.x, c=s.c)
    np.testing.assert_array_equal(inside, s.x)
    outside = s.x * (2.0 / s.c**0.5 / jnp.linalg.norm(s.x, axis=-1, keepdims=True))
    norm = jnp.linalg.norm(poincare.project(outside, c=s.c), axis=-1)
    margin = {"float32": 4e-3, "float64": 1e-5}[str(s.x.dtype)]
    s.close(norm * s.c**0.5, jnp.full(SHAPE[0], 1.0 - margin, s.x.dtype))


def test_pairwise_distances_equal_the_paired_ones(s):
    every = poincare.pairwise_distance(s.x, s.z[:7], c=s.c)
    n, m = every.shape
    rows, columns = np.divmod(np.arange(n * m), m)
    s.close(every.ravel(), poincare.distance(s.x[rows], s.z[columns], c=s.c))


@pytest.mark.parametrize("step", [1e-3, 1e-5, 1e-6])
def test_pairwise_distances_of_near_pairs_keep_their_digits(step):
    """A Gram matrix in float32 would lose all of them below a step of 3e-4."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 16)).astype(np.float32)
    x *= 0.8 / np.linalg.norm(x, axis=-1, keepdims=True)
    y = (x + step * rng.normal(size=x.shape).astype(np.float32) / 4).astype(np.float32)
    ours = np.diag(poincare.pairwise_distance(jnp.asarray(x), jnp.asarray(y), c=1.0))
    with jax.enable_x64(True):
        exact = poincare.distance(jnp.asarray(x, float), jnp.asarray(y, float), c=1.0)
    np.testing.assert_allclose(ours, exact, rtol=2e-6)


def test_pairwise_distances_never_hold_all_differences():
    n, d = 256, 64

    def total(x):
        return poincare.pairwise_distance(x, x, c=1.0).sum()

    shape = jax.ShapeDtypeStruct((n, d), jnp.float32)
    memory = jax.jit(jax.grad(total)).lower(shape).compile().memory_analysis()
    assert memory.temp_size_in_bytes < n * n * d * 4 / 4
