"""Reconstruction in the ball and centroids of subtrees: recorded values, laws, hand arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from tests.support.production_cases import FAST_COMPILE, all_cases
from tvae.geometry import padic, poincare
from tvae.geometry.padic import PadicTree
from tvae.losses import centroids, hyperbolic_reconstruction
from tvae.losses.hyperbolic_reconstruction import AdaptiveWeights, WeightAdaptation
from tvae.losses.likelihood import cross_entropy

TREE = PadicTree(3, 9)


def cases(prefix):
    found = all_cases("losses", f"loss_hyperbolic_recon/{prefix}")
    if not found:
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    return found


def uncut_weight(radius, power):
    """The reference system's: a Euclidean limit, beyond which the base is negative."""
    share = 1.0 - radius / 0.95
    return jnp.sign(share) ** round(power) * jnp.abs(share) ** power + 0.5


def project(z, c):
    """Rows outside the ball are cut at its boundary first, as in the reference system."""
    return poincare.project(poincare.project(z, c=c), c=c, max_norm=0.95)


def parts(logits, z, decoded, target, c, options):
    """Both rows, weighted as in the reference system; with the library's weight where it agrees."""
    power, weighted, own = options
    z, decoded = project(z, c), project(decoded, c)
    radius = poincare.hyperbolic_radius(z, c=c)
    limit = {"power": power, "limit": 0.95}
    if own:
        entropy = hyperbolic_reconstruction.radius_weighted_cross_entropy(
            logits, target, z, c, **limit
        )
        apart = hyperbolic_reconstruction.geodesic_reconstruction(z, decoded, c, **limit)
    else:
        weight = uncut_weight(radius, power) if weighted else 1.0
        entropy = weight * cross_entropy(logits, target)
        # The square of the distance, without the weight: it is 1/2 + 1 at the largest limit.
        flat = hyperbolic_reconstruction.geodesic_reconstruction(z, decoded, c, limit=1e9)
        apart = weight * flat / 1.5
    return entropy.mean(), apart.mean()


def test_parts_equal_the_reference_system():
    found = jax.jit(
        lambda *x: (parts(*x), jax.jacrev(parts, (0, 1, 2))(*x)),
        static_argnums=5,
        compiler_options=FAST_COMPILE,
    )
    for case in cases("recon"):
        if case.name.endswith("nan"):
            continue
        z = jnp.asarray(case["in.z_enc"])
        decoded = jnp.asarray(case["in.z_dec"]) if case.has("in.z_dec") else z
        mode = case.params.get("mode", "hybrid")
        c, power = case.params.get("curvature", 1.0), case.params.get("radius_power", 2.0)
        weighted = case.params.get("radius_weighting", True)
        inside = bool((poincare.hyperbolic_radius(z, c=c) < 0.95).all())
        target = jnp.asarray(case["in.targets"] + 1, jnp.int32)
        at = jnp.asarray(case["in.logits"]), z, decoded, target, c
        values, jacobian = found(*at, (power, weighted, weighted and inside))
        share = {"hybrid": (1.0, 0.3), "geodesic": (0.0, 1.0), "weighted_ce": (1.0, 0.0)}[mode]
        share = share if case.has("in.z_dec") else (share[0], 0.0)
        case.assert_close(share[0] * values[0] + share[1] * values[1], "f32.loss")
        for i, name in enumerate(("logits", "z_enc", "z_dec")):
            if case.has(f"f32.grad.loss.{name}"):
                slope = share[0] * jacobian[0][i] + share[1] * jacobian[1][i]
                case.assert_close(slope, f"f32.grad.loss.{name}")


def test_weights_are_finite_for_any_power_where_the_reference_systems_are_not():
    case = next(c for c in cases("recon") if c.name.endswith("nan"))
    assert not np.isfinite(case["f32.loss"])
    radius = poincare.hyperbolic_radius(jnp.asarray(case["in.z_enc"]), c=1.0)
    weight, slope = jax.vmap(
        jax.value_and_grad(
            lambda r: hyperbolic_reconstruction.radius_weight(r, power=2.5, limit=0.95)
        )
    )(radius)
    assert ((weight >= 0.5) & (weight <= 1.5) & jnp.isfinite(slope)).all()


def test_adaptive_weights_equal_the_reference_system():
    for case in cases("homeostatic"):
        if not case.has("in.coverage"):
            continue
        rules = WeightAdaptation(rate=case.params.get("adaptation_rate", 0.01))
        state, states = AdaptiveWeights(0.3, 2.0, 1.0, 50.0), []
        for i, loss in enumerate(case["f32.loss_each_step"]):
            z, logits = jnp.asarray(case["in.z_enc"][i]), jnp.asarray(case["in.logits"][i])
            entropy = hyperbolic_reconstruction.radius_weighted_cross_entropy(
                logits,
                jnp.asarray(case["in.targets"][i] + 1, jnp.int32),
                z,
                1.0,
                power=state.power,
                limit=0.95,
            ).mean()
            np.testing.assert_allclose(entropy, loss, rtol=3e-5)
            state = rules.update(
                state,
                loss=entropy,
                coverage=case["in.coverage"][i],
                correlation=case["in.correlation"][i],
            )
            states.append(state)
        for geodesic, power in case["in.deltas"]:
            state = rules.shift(state, geodesic=geodesic, power=power)
            states.append(state)
        key = "f32.state_geoweight_radiuspower_lossema_coverageema"
        case.assert_close(np.asarray(states), key)


def leading_groups(z, index, c, levels):
    """The reference system's loss: groups by leading digits, Euclidean means, all groups count."""
    z = project(z, c)
    # Items with their digits reversed: leading digits become the balls of the tree.
    mirrored = padic.index_of(padic.digits(index)[..., ::-1])
    total = 0.0
    for level in range(1, levels + 1):
        member = centroids.groups(mirrored, level, tree=TREE)
        size = member.sum(-1)
        mean = member.astype(z.dtype) @ z / size[:, None]
        distance = poincare.distance(z, mean, c=c)
        rows = jnp.ones(len(z), bool)
        share = jnp.where(size > 1, 1.0 / size, 0.0).sum() / (1.0 / size).sum()
        found = centroids.mean_over_groups(distance, size, rows)
        total += 0.5 ** (level - 1) * share * found
    return total


def test_centroids_of_leading_digits_equal_the_reference_system():
    both = jax.jit(
        jax.value_and_grad(leading_groups), static_argnums=3, compiler_options=FAST_COMPILE
    )
    for case in cases("centroid"):
        c, levels = case.params.get("curvature", 1.0), case.params.get("max_level", 4)
        index = jnp.asarray(case["in.indices"])
        value, slope = both(jnp.asarray(case["in.z"]), index, c, levels)
        case.assert_close(value, "f32.loss")
        if case.has("f32.grad.loss.z"):
            case.assert_close(slope, "f32.grad.loss.z")


def test_centroids_minimise_the_hyperbolic_cosine_and_move_with_isometries():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-0.4, 0.4, (5, 2)), jnp.float32)
    weight = jnp.asarray(rng.uniform(size=(1, 5)), jnp.float32)
    found = poincare.centroids(weight, x, c=1.3)

    @jax.jit
    def cost(m):
        lengths = poincare.distance(x, jnp.broadcast_to(m, x.shape), c=1.3)
        return (weight[0] * (jnp.cosh(jnp.sqrt(1.3) * lengths) - 1)).sum()

    best = optimize.minimize(
        lambda m: float(cost(jnp.asarray(m, jnp.float32))),
        [0.0, 0.0],
        tol=1e-6,
        method="Nelder-Mead",
    )
    np.testing.assert_allclose(found[0], best.x, atol=2e-3)
    assert float(cost(found[0])) <= best.fun + 1e-5
    by = jnp.broadcast_to(jnp.asarray([0.2, -0.3]), x.shape)
    moved = poincare.centroids(weight, poincare.mobius_add(by, x, c=1.3), c=1.3)
    np.testing.assert_allclose(moved, poincare.mobius_add(by[:1], found, c=1.3), atol=1e-6)


def test_centroid_by_hand():
    """Two pairs of level 1 at ±a and one row alone; the pairs differ at level 2."""
    a, b = np.tanh(0.5), np.tanh(1.0)  # radii 1 and 2
    point = jnp.asarray([[a, 0], [-a, 0], [0, b], [0, -b], [0.3, 0.1]], jnp.float32)
    index = jnp.asarray([0, 3, 1, 4, 2])
    value = centroids.centroid(point, index, 1.0, TREE, levels=9)
    np.testing.assert_allclose(value, 1.5, rtol=1e-5)
    where = jnp.asarray([True, True, True, False, True])
    np.testing.assert_allclose(
        centroids.centroid(point, index, 1.0, TREE, where, levels=1), 1.0, rtol=1e-5
    )
    near = jnp.asarray([0, 9, 1, 10, 2])  # together at level 2 too, whose weight is 1/4
    value = centroids.centroid(point, near, 1.0, TREE, levels=9, decay=0.25)
    np.testing.assert_allclose(value, 1.5 * 1.25, rtol=1e-5)
