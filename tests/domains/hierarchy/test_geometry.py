"""The geometries of a table: distances that agree, finite gradients, moves along geodesics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.engine import frames

CURVED = ("lorentz", "poincare")


def tangents(n, dim=4, largest=12.0, seed=0):
    """Tangent vectors at the origin of radii from 0 to the largest."""
    draw = np.random.default_rng(seed)
    direction = draw.normal(size=(n, dim))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * np.linspace(0.0, largest, n)[:, None]


def exact(v):
    """Distances of all pairs in float64 by the law of cosines."""
    r = np.linalg.norm(v, axis=1)
    unit = v / np.where(r > 0, r, 1)[:, None]
    turn = ((unit[:, None] - unit[None]) ** 2).sum(-1) / 4
    half = np.sinh((r[:, None] - r[None]) / 2) ** 2 + np.sinh(r[:, None]) * np.sinh(r[None]) * turn
    return 2 * np.arcsinh(np.sqrt(half))


@pytest.mark.parametrize(
    ("name", "radius", "error"),
    [("lorentz", 10, 1e-5), ("lorentz", 12, 1e-4), ("poincare", 6, 1e-4), ("poincare", 10, 3e-3)],
)
def test_distances_in_float32(name, radius, error):
    space, v = GEOMETRIES[name], tangents(60, largest=radius)
    placed = space.place(space.from_tangent(jnp.asarray(v, jnp.float32)))
    found, expected = np.asarray(space.pairwise(placed, placed)), exact(v)
    apart = ~np.eye(60, dtype=bool)
    np.testing.assert_allclose(found[apart], expected[apart], rtol=error)
    rows = space.distance(jax.tree.map(lambda a: a[3:4], placed), placed)
    np.testing.assert_allclose(rows[4:], expected[3, 4:], rtol=error)


def test_the_isometry_between_both_curved_tables():
    v = jnp.asarray(tangents(50, largest=9.0), jnp.float32)
    lorentz, ball = (GEOMETRIES[name] for name in CURVED)
    back = ball.to_tangent(ball.from_tangent(v))
    np.testing.assert_allclose(back, lorentz.to_tangent(lorentz.from_tangent(v)), atol=3e-3)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_gradients_are_finite_from_the_origin_to_the_cap(name):
    space = GEOMETRIES[name]
    x = space.from_tangent(jnp.asarray(tangents(40), jnp.float32))
    x = jnp.concatenate([x, x[:3]])  # coincident points, the origin among them

    def total(x):
        placed = space.place(x)
        return space.pairwise(placed, placed).sum()

    gradient = jax.grad(total)(x)
    assert jnp.isfinite(gradient).all()
    frame = space.surface(12.0).to_frame(x, gradient)
    assert jnp.isfinite(frame).all()
    # Of a sum of n distances, each of slope 1 in each of its points.
    assert jnp.linalg.norm(frame, axis=-1).max() <= 2 * len(x) * 1.01


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_move_has_the_length_of_its_vector_and_descends(name):
    space = GEOMETRIES[name]
    surface = space.surface(12.0)
    x = space.from_tangent(jnp.asarray(tangents(20, largest=6.0), jnp.float32))
    u = jnp.asarray(0.3 * tangents(20, largest=1.0, seed=1), jnp.float32)
    moved = surface.follow(x, u)
    length = space.distance(space.place(x), space.place(moved))
    np.testing.assert_allclose(length, jnp.linalg.norm(u, axis=-1), atol=2e-4)
    target = space.place(space.from_tangent(jnp.full((20, 4), 0.4, jnp.float32)))

    def apart(x):
        return space.distance(space.place(x), target)

    toward = -surface.to_frame(x, jax.grad(lambda x: apart(x).sum())(x))
    np.testing.assert_allclose(jnp.linalg.norm(toward, axis=-1), 1.0, rtol=2e-3)
    step = surface.follow(x, 0.1 * toward)
    np.testing.assert_allclose(apart(x) - apart(step), 0.1, atol=2e-3)


@pytest.mark.parametrize("name", CURVED)
def test_points_stop_at_the_cap(name):
    space = GEOMETRIES[name]
    surface = space.surface(8.0)
    x = space.from_tangent(jnp.asarray([[7.5, 0.0], [0.0, 0.0]], jnp.float32))
    moved = surface.follow(x, jnp.asarray([[3.0, 0.0], [0.0, 1e9]], jnp.float32))
    radius = jnp.linalg.norm(space.to_tangent(moved), axis=-1)
    np.testing.assert_allclose(radius, 8.0, rtol=1e-3)


def test_moments_in_frames_are_one_number_a_point():
    tx = frames.adam_in_frames(frames.flat_surface(), 0.9, 0.99, 1e-8)
    x = jnp.asarray([[3.0, 4.0], [0.0, 0.0]])
    gradient = jnp.asarray([[3.0, 4.0], [0.0, 1e-3]])
    step, state = tx.update(gradient, tx.init(x), x, learning_rate=0.5)
    # The first step of Adam has the length of the learning rate, along the gradient.
    np.testing.assert_allclose(step, [[-0.3, -0.4], [0.0, -0.5]], rtol=1e-4)
    assert state.nu.shape == (2, 1)
    step, _ = tx.update(jnp.zeros_like(x), state, x + step, learning_rate=0.5)
    m, v = 0.9 * 0.1 * 5 / (1 - 0.81), 0.99 * 0.01 * 25 / (1 - 0.99**2)
    np.testing.assert_allclose(jnp.linalg.norm(step[0]), 0.5 * m / v**0.5, rtol=1e-5)
