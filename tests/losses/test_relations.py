"""Losses on pairs of items and ancestors: the papers' formulas, in coordinates and in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from tests.support.production_cases import FAST_COMPILE
from tvae.geometry import hyperboloid, poincare
from tvae.losses import relations

C = 1.3
RNG = np.random.default_rng(0)
CHILD, PARENT = RNG.uniform(-0.5, 0.5, (2, 6, 2))
RELATED = np.eye(6, dtype=bool)
RELATED[0, 3] = RELATED[4, 1] = True


def on(points, model="poincare"):
    points = jnp.asarray(points, jnp.float32)
    return hyperboloid.from_ball(points, c=C) if model == "hyperboloid" else points


def distances(x, y):
    """By Möbius addition, from its definition."""
    x, y = -x[:, None], y[None, :]
    xy, xx, yy = (x * y).sum(-1), (x * x).sum(-1), (y * y).sum(-1)
    moved = (1 + 2 * C * xy + C * yy)[..., None] * x + (1 - C * xx)[..., None] * y
    moved /= (1 + 2 * C * xy + C**2 * xx * yy)[..., None]
    return 2 / np.sqrt(C) * np.arctanh(np.sqrt(C) * np.linalg.norm(moved, axis=-1))


def ganea_energy(x, y, width):
    """Equations 26, 28 and 33 of Ganea et al. (2018) for the apex x, in the unit ball."""
    x, y = np.sqrt(C) * x, np.sqrt(C) * y
    xy, xx, yy = (x * y).sum(-1), (x * x).sum(-1), (y * y).sum(-1)
    aperture = np.arcsin(np.minimum(width * (1 - xx) / np.sqrt(xx), 1.0))
    apart = np.linalg.norm(x - y, axis=-1) * np.sqrt(1 + xx * yy - 2 * xy)
    angle = np.arccos((xy * (1 + xx) - xx * (1 + yy)) / (np.sqrt(xx) * apart))
    return np.maximum(angle - aperture, 0)


def test_cones_equal_the_papers_formula_on_both_models():
    energy = ganea_energy(PARENT[None, :], CHILD[:, None], 0.1)
    assert (energy == 0).any()
    expected = energy[RELATED].mean() + np.maximum(0.4 - energy[~RELATED], 0).mean()
    cones = jax.jit(
        relations.entailment_cones, static_argnames="model", compiler_options=FAST_COMPILE
    )
    for model in ("poincare", "hyperboloid"):
        points = on(CHILD, model), on(PARENT, model)
        value = cones(*points, C, jnp.asarray(RELATED), margin=0.4, model=model)
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_angles_and_their_gradients_at_the_edges():
    """On one line with the origin: beyond, before, opposite; and at one place."""
    at = jnp.asarray([3.0, 1.0, 4.0, 0.0])
    other = jnp.asarray([4.0, 0.5, 2.0, 0.0])
    apart = jnp.asarray([1.0, 0.5, 6.0, 0.0])
    angle = relations.outer_angle(at, apart, other, c=1.0)
    np.testing.assert_allclose(angle, [0.0, np.pi, np.pi, 0.0], atol=1e-6)
    slopes = jax.jit(jax.grad(lambda *x: relations.outer_angle(*x, c=1.0).sum(), (0, 1, 2)))
    assert all(jnp.isfinite(slope).all() for slope in slopes(at, apart, other))


def test_gradient_turns_a_child_into_its_parents_cone():
    parent, child = on([[0.5, 0.0]]), on([[0.4, 0.5]])

    def energy(child):
        return relations.entailment_energy(
            poincare.hyperbolic_radius(parent, c=C),
            poincare.distance(parent, child, c=C),
            poincare.hyperbolic_radius(child, c=C),
            c=C,
            width=0.1,
        )[0]

    both = jax.jit(jax.value_and_grad(energy), compiler_options=FAST_COMPILE)
    value, slope = both(child)
    assert value > 0.5
    assert both(child - 0.05 * slope / jnp.linalg.norm(slope))[0] < value


def test_ranking_softmax_by_scipy_on_both_models():
    logits = -distances(CHILD, PARENT) / 0.5
    logits[RELATED & ~np.eye(6, dtype=bool)] = -np.inf
    expected = -np.diag(special.log_softmax(logits, axis=-1))
    for model in ("poincare", "hyperboloid"):
        value = relations.ranking_softmax(
            on(CHILD, model),
            on(PARENT, model),
            C,
            jnp.asarray(RELATED),
            similarity=model,
            temperature=0.5,
        )
        np.testing.assert_allclose(value, expected, rtol=2e-5)
    lorentz = relations.ranking_softmax(
        on(CHILD, "hyperboloid"), on(PARENT, "hyperboloid"), C, similarity="lorentz"
    )
    products = -np.cosh(np.sqrt(C) * distances(CHILD, PARENT)) / C
    np.testing.assert_allclose(lorentz, -np.diag(special.log_softmax(products, -1)), rtol=2e-4)
