"""Losses of v5.12 against recorded values and gradients of the reference system."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.support.production_cases import FAST_COMPILE, VECTORISED, Case, all_cases
from tests.support.rich_hierarchy import rich_hierarchy
from tvae.domains.operations.tree import TREE
from tvae.domains.projected_vae import zero_structure
from tvae.geometry import padic, poincare
from tvae.losses import distances, level_means, radial, ranking
from tvae.losses.pairs import Pairs


def _pairs(case: Case, prefix: str = "") -> Pairs | None:
    if not case.has(f"in.{prefix}i_idx"):
        return None
    return Pairs(*(jnp.asarray(case[f"in.{prefix}{end}_idx"], jnp.int32) for end in "ij"))


def _bounds(params: dict, inner: float = 0.1, outer: float = 0.85) -> dict:
    return {
        "inner": params.get("inner_radius", inner),
        "outer": params.get("outer_radius", outer),
        "tree": TREE,
    }


def _radius_and_valuation(z, case):
    radius = poincare.hyperbolic_radius(z, c=case.params.get("curvature", 1.0))
    return radius, TREE.level(jnp.asarray(case["in.indices"]))


def _rich(z, logits, case):
    radius, valuation = _radius_and_valuation(z, case)
    if case.has("in.original_radii"):
        reference = jnp.asarray(case["in.original_radii"])
        reference = reference[case["in.indices"]] if reference.size == 19683 else reference
    else:
        reference = jnp.zeros_like(radius)  # no spread to keep: the ratio is never small
    terms = rich_hierarchy(
        radius,
        valuation,
        reference,
        min_richness_ratio=case.params.get("min_richness_ratio", 0.5),
        **_bounds(case.params, outer=0.9),
    )
    digit = jnp.asarray(case["in.targets"] + 1, jnp.int32)
    coverage = optax.softmax_cross_entropy_with_integer_labels(logits, digit).mean()
    weights = {"hierarchy": 5.0, "coverage": 1.0, "richness": 2.0, "separation": 3.0}
    terms = {**terms._asdict(), "coverage": coverage}
    total = sum(
        case.params.get(f"{name}_weight", weight) * terms[name] for name, weight in weights.items()
    )
    return total, terms


@pytest.mark.parametrize("case", all_cases("losses", "loss_rich_hierarchy"), ids=lambda c: c.name)
def test_rich_hierarchy_equals_the_reference_system(case):
    z, logits = jnp.asarray(case["in.z_hyp"]), jnp.asarray(case["in.logits"])

    def outputs(z, logits):
        total, terms = _rich(z, logits, case)
        return {"total": total} | terms

    value, jacobian = jax.jit(
        lambda *x: (outputs(*x), jax.jacrev(outputs, argnums=(0, 1))(*x)),
        compiler_options=FAST_COMPILE,
    )(z, logits)
    total, (z_gradient, logits_gradient) = value.pop("total"), jacobian.pop("total")
    for name, term in value.items():
        case.assert_close(term, f"f32.{name}_loss")
        if case.has(f"f32.grad.{name}_loss.z_hyp"):
            case.assert_close(jacobian[name][0], f"f32.grad.{name}_loss.z_hyp")
    np.testing.assert_allclose(total, case["f32.total"], rtol=2e-5)
    case.assert_close(z_gradient, "f32.grad.total.z_hyp")
    case.assert_close(logits_gradient, "f32.grad.total.logits")


def _stratification(z, case):
    radius, valuation = _radius_and_valuation(z, case)
    return radial.radial_stratification(
        radius,
        valuation,
        weighted=case.params.get("valuation_weighting", True),
        smooth=case.params.get("loss_type", "smooth_l1") == "smooth_l1",
        **_bounds(case.params),
    ).mean()


def _radial_hierarchy(z, case, prefix="", *, curvature=None):
    params = {**case.params, "curvature": curvature or case.params.get("curvature", 1.0)}
    case = case._replace(params=params)
    radius, valuation = _radius_and_valuation(z, case)
    bounds = _bounds(params)
    weighting = params.get("valuation_weighting", True)
    weight = radial.exponential_weight(valuation) if weighting else 1.0
    loss = (weight * radial.radial_hierarchy(radius, valuation, **bounds)).mean()
    if params.get("use_margin_loss", True) and z.shape[0] > 1:
        pairs = _pairs(case, prefix)
        margin = radial.radial_margin(radius, valuation, pairs=pairs, **bounds)
        loss += params.get("margin_weight", 1.0) * margin
    return loss


def _geodesic(z, case, prefix=""):
    params = case.params
    return distances.tree_geodesic(
        z,
        jnp.asarray(case["in.indices"]),
        tree=TREE,
        c=params.get("curvature", 1.0),
        pairs=_pairs(case, prefix),
        max_distance=params.get("max_target_distance", 3.0),
        level_scale=params.get("valuation_scale", 3.0),
        smooth=params.get("use_smooth_l1", True),
    )


def _combined(z, case):
    tau = case.params["tau"]
    radial_part = _radial_hierarchy(z, case, "rad_", curvature=1.0)
    return (1 - tau) * radial_part + tau * _geodesic(z, case, "geo_")


def _rank(z, case):
    radius, valuation = _radius_and_valuation(z, case)
    temperature = case.params.get("temperature", 0.1)
    return ranking.global_rank(radius, valuation, temperature=temperature, pairs=_pairs(case))


def _monotonic(z, case):
    radius, valuation = _radius_and_valuation(z, case)
    soft = case.params.get("use_soft_margin", True)
    return level_means.monotonic_radial(
        radius,
        valuation,
        min_margin=case.params.get("min_margin", 0.02),
        margin_scale=case.params.get("margin_scale", 1.0),
        temperature=case.params.get("temperature", 0.05),
        hard=not soft,
        **_bounds(case.params),
    )


def _zero_index(case):
    return padic.index_of(jnp.asarray(case["in.operations"] + 1, jnp.int32))


def _zero_valuation(z, case, weight_name="weight", default=1.0):
    radius = poincare.hyperbolic_radius(z, c=case.params.get("curvature", 1.0))
    bounds = _bounds(case.params)
    loss = zero_structure.zero_valuation_loss(
        radius,
        _zero_index(case),
        smooth=case.params.get("loss_type", "smooth_l1") == "smooth_l1",
        inner=bounds["inner"],
        outer=bounds["outer"],
    ).mean()
    return case.params.get(weight_name, default) * loss


def _zero_sparsity(z, case, weight_name="weight", default=0.5):
    radius = poincare.hyperbolic_radius(z, c=case.params.get("curvature", 1.0))
    target = case.params.get("target_correlation", -0.3)
    index = _zero_index(case)
    loss = zero_structure.zero_sparsity_loss(radius, index, target_correlation=target)
    return case.params.get(weight_name, default) * loss


def _zero_combined(z, case):
    return _zero_valuation(z, case, "valuation_weight") + _zero_sparsity(z, case, "sparsity_weight")


LOSSES = {
    "loss_radial_stratification/": _stratification,
    "loss_padic_geodesic/radial_hierarchy": _radial_hierarchy,
    "loss_padic_geodesic/geodesic": _geodesic,
    "loss_padic_geodesic/combined": _combined,
    "loss_padic_geodesic/global_rank": _rank,
    "loss_padic_geodesic/monotonic": _monotonic,
    "loss_zero_structure/valuation": _zero_valuation,
    "loss_zero_structure/sparsity": _zero_sparsity,
    "loss_zero_structure/combined": _zero_combined,
}
SCALAR_CASES = [
    pytest.param(loss, case, id=case.name)
    for topic, loss in LOSSES.items()
    for case in all_cases("losses", topic)
]


@pytest.mark.parametrize(("loss", "case"), SCALAR_CASES)
def test_loss_and_gradient_equal_the_reference_system(loss, case):
    name = "z_hyp" if case.has("in.z_hyp") else "z"
    z = jnp.asarray(case[f"in.{name}"])
    value, gradient = jax.jit(
        jax.value_and_grad(lambda z: loss(z, case)), compiler_options=VECTORISED
    )(z)
    case.assert_close(value, "f32.loss")
    if case.has(f"f32.grad.loss.{name}"):
        case.assert_close(gradient, f"f32.grad.loss.{name}")
    assert jnp.isfinite(gradient).all()


def test_zero_features_equal_the_reference_system():
    (case,) = all_cases("losses", "loss_zero_structure/zero_features")
    index = _zero_index(case)
    valuation = zero_structure.zero_valuation(index)
    np.testing.assert_array_equal(valuation, case["f32.zero_valuation"])
    np.testing.assert_array_equal(zero_structure.zero_count(index), case["f32.zero_count"])


def test_target_distance_equals_the_reference_system(reference):
    data = np.load(reference / "golden" / "loss_padic_geodesic" / "target_distance.npz")
    valuation = jnp.asarray(data["in.valuation"], jnp.int32)
    default = distances.target_distance(valuation)
    np.testing.assert_allclose(default, data["f32.default"], rtol=1e-6)
    other = distances.target_distance(valuation, max_distance=2.0, level_scale=1.5)
    np.testing.assert_allclose(other, data["f32.max2_scale1.5"], rtol=1e-6)
