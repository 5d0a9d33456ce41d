"""The polar projection: geometry, start, curvature, and the reference system's values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.golden_modules import (
    assert_close,
    cotangent,
    load,
    projection_params,
    random_params,
    size,
    weights,
)
from tvae.geometry import poincare
from tvae.models.projections import HyperbolicProjection

Z = jnp.asarray(np.random.default_rng(0).normal(size=(12, 16)), jnp.float32)


@functools.cache
def init(model):
    return random_params(model, Z)


@functools.partial(jax.jit, static_argnums=0)
def apply(model, params, z=Z):
    return model.apply({"params": params}, z)


@pytest.mark.parametrize(("n_layers", "expected"), [(1, 2_834), (2, 8_178)])
def test_parameter_counts_are_those_of_the_original(n_layers, expected):
    assert size(init(HyperbolicProjection(n_layers=n_layers, learnable_curvature=True))) == expected
    # A constant curvature is not a parameter here; the reference system stores it all the same.
    assert size(init(HyperbolicProjection(n_layers=n_layers))) == expected - 1


def test_starts_as_the_identity_direction_at_half_of_the_largest_norm():
    model = HyperbolicProjection(n_layers=2)
    points = apply(model, jax.jit(model.init)(jax.random.key(0), Z)["params"])
    unit = Z / jnp.linalg.norm(Z, axis=-1, keepdims=True)
    np.testing.assert_allclose(points.direction, unit, rtol=1e-6)
    np.testing.assert_allclose(points.euclidean_norm, 0.475, atol=0.1)


def test_a_translation_starts_as_the_identity_and_is_an_isometry():
    model = HyperbolicProjection(curvature=2.0, max_norm=0.98, translated=True)
    params = init(HyperbolicProjection(curvature=2.0, max_norm=0.98))
    plain = apply(HyperbolicProjection(curvature=2.0, max_norm=0.98), params)
    fresh = jax.jit(model.init)(jax.random.key(0), Z)["params"]["translation"]
    start = apply(model, params | {"translation": fresh})
    np.testing.assert_allclose(start.z, plain.z, atol=1e-7)
    np.testing.assert_allclose(start.hyperbolic_radius, plain.hyperbolic_radius, rtol=1e-5)

    point = jnp.zeros(16).at[0].set(0.3)
    moved = apply(model, params | {"translation": {"point": point}})
    before, after = (poincare.pairwise_distance(p.z, p.z, c=2.0) for p in (plain, moved))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert not np.allclose(moved.hyperbolic_radius, plain.hyperbolic_radius, rtol=0.01)
    measured = poincare.hyperbolic_radius(moved.z, c=2.0)
    np.testing.assert_allclose(moved.hyperbolic_radius, measured, rtol=2e-6)
    np.testing.assert_allclose(
        moved.direction * moved.euclidean_norm[:, None], moved.z, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("c", [0.5, 1.0, 3.0])
def test_points_stay_inside_and_the_radius_is_exact(c):
    model = HyperbolicProjection(curvature=c, learnable_curvature=True, max_norm=0.9)
    params = dict(init(model), inverse_softplus_c=jnp.log(jnp.expm1(c)))
    points = apply(model, params)
    np.testing.assert_allclose(points.c, c, rtol=1e-6)
    assert np.all(points.euclidean_norm * np.sqrt(c) < 0.9)
    measured = poincare.hyperbolic_radius(points.z, c=points.c)
    np.testing.assert_allclose(points.hyperbolic_radius, measured, rtol=2e-6)


def test_latent_at_the_origin_gives_the_origin_with_finite_gradients():
    model = HyperbolicProjection()
    zeros = jax.tree.map(jnp.zeros_like, init(model)["direction"]["output"])
    params = dict(init(model), direction=dict(init(model)["direction"], output=zeros))
    z = jnp.zeros((1, 16))
    assert not np.any(apply(model, params, z).z)
    gradient = jax.grad(lambda z: apply(model, params, z).hyperbolic_radius.sum())(z)
    assert np.isfinite(gradient).all()
    assert np.any(gradient != 0.0)


def test_learnable_curvature_reaches_points_radii_maps_and_distances():
    model = HyperbolicProjection(learnable_curvature=True)
    params = init(model)

    reads = {
        "z": lambda p: p.z**2,
        "radius": lambda p: p.hyperbolic_radius,
        "distance": lambda p: poincare.distance(p.z, jnp.flip(p.z, 0), c=p.c),
        "log map": lambda p: poincare.log_map_origin(p.z, c=p.c) ** 2,
    }

    def totals(raw):
        points = apply(model, params | {"inverse_softplus_c": raw})
        return {name: jnp.sum(read(points)) for name, read in reads.items()}

    slopes = jax.jacfwd(totals)(params["inverse_softplus_c"])
    for name, slope in slopes.items():
        assert abs(slope) > 1e-3, f"curvature does not reach the {name}"
    # Radius: 2/√c artanh(share): d/dc = -radius / (2c), times softplus' = 1 - e^-c.
    c = np.log1p(np.exp(params["inverse_softplus_c"]))
    radius = apply(model, params).hyperbolic_radius.sum()
    expected = -radius / (2 * c) * (1 - np.exp(-c))
    np.testing.assert_allclose(slopes["radius"], expected, rtol=1e-5)


def test_borrowed_direction_needs_no_direction_net():
    model = HyperbolicProjection()
    direction = jnp.broadcast_to(jnp.eye(16)[0], Z.shape)
    params = random_params(model, Z, direction=direction)
    assert set(params) == {"radius"}
    assert not np.any(model.apply({"params": params}, Z, direction=direction).z[:, 1:])


@pytest.mark.parametrize(("field", "value"), [("max_norm", 1.0), ("curvature", 0.0)])
def test_impossible_balls_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must"):
        init(HyperbolicProjection(**{field: value}))


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("0", {"n_layers": 1}),
        ("1", {"n_layers": 2, "dropout": 0.1}),
        # The original's largest norm ignores c (there, 0.9 leaves the ball of c = 2); the points
        # themselves do not depend on c, so they are compared in the unit ball.
        ("2", {"n_layers": 2, "width": 24, "max_norm": 0.9}),
        ("3", {"n_layers": 3, "width": 40, "dropout": 0.2}),
        ("default_init", {"n_layers": 1}),
    ],
)
def test_equals_the_original(reference, case, settings):
    golden = load(reference / "golden/models_components" / f"hyperbolic_projection_{case}.npz")
    z = jnp.asarray(golden["in.z"])
    model = HyperbolicProjection(**settings)
    params = projection_params(
        weights(golden),
        dim=z.shape[1],
        width=model.width,
        n_layers=model.n_layers,
        dropout=model.dropout > 0,
    )
    points, pull = jax.vjp(lambda z: apply(model, params, z), z)
    assert_close(points.z, golden["f32.z_hyp"])
    assert_close(points.direction, golden["f32.direction"])
    assert_close(points.euclidean_norm, golden["f32.radius"])
    if "in.cotangent.z_hyp" in golden:
        zeros = jax.tree.map(jnp.zeros_like, points)
        (gradient,) = pull(zeros.replace(z=cotangent(golden, "z_hyp")))
        assert_close(gradient, golden["f32.grad.z_hyp.z"])
        (gradient,) = pull(zeros.replace(euclidean_norm=cotangent(golden, "radius")))
        assert_close(gradient, golden["f32.grad.radius.z"])


@pytest.mark.parametrize(
    ("case", "settings"),
    [("1", {"n_layers": 1}), ("2", {"n_layers": 2, "width": 32, "dropout": 0.1})],
)
def test_shared_direction_equals_the_original(reference, case, settings):
    golden = load(reference / "golden/models_components" / f"dual_projection_{case}.npz")
    z_a, z_b = jnp.asarray(golden["in.z_A"]), jnp.asarray(golden["in.z_B"])
    model_a = HyperbolicProjection(**settings)
    # There, B's radius net has one hidden layer whatever the settings.
    model_b = HyperbolicProjection(**settings | {"n_layers": 1})
    sizes = {"dim": z_a.shape[1], "width": model_a.width, "dropout": model_a.dropout > 0}
    found = weights(golden)
    params_a = projection_params(weights(found, "proj_A."), n_layers=model_a.n_layers, **sizes)
    radius = {f"radius_net.{k}": v for k, v in weights(found, "proj_B_radius.").items()}
    params_b = projection_params(radius, n_layers=1, **sizes)

    direction = model_a.apply({"params": params_a}, z_b, method=model_a.directions)
    b = model_b.apply({"params": params_b}, z_b, direction=direction)
    assert_close(apply(model_a, params_a, z_a).z, golden["f32.z_A_hyp"])
    assert_close(b.z, golden["f32.z_B_hyp"])
