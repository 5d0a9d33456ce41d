"""The ball against geoopt 0.5.1: values and gradients, row by row."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import GOLDEN
from tvae.geometry import poincare

FUNCTIONS = {
    "poincare_distance": ("xy", poincare.distance),
    "poincare_distance_to_origin": ("x", poincare.hyperbolic_radius),
    "lambda_x": ("x", lambda x, c: poincare.conformal_factor(x, c=c)[..., None]),
    "exp_map_zero": ("v", poincare.exp_map_origin),
    "log_map_zero": ("x", poincare.log_map_origin),
    "parallel_transport": ("xyv", poincare.parallel_transport),
    # geoopt projects after each addition, and twice where it is given a norm.
    "mobius_add": ("xy", lambda x, y, c: poincare.project(poincare.mobius_add(x, y, c=c), c=c)),
    "project_to_poincare": (
        "z",
        lambda z, c: poincare.project(poincare.project(z, c=c), c=c, max_norm=0.95),
    ),
    "create_manifold_parameter": ("z", poincare.project),
}

# (case, function, row) where 1 - c|x|² itself has no digits left in float32: at norms of 0.99999
# (row 11; geoopt is as far off elsewhere) and, just over the bound, of 0.997 (row 7).
ROUNDED_GAP = {
    ("boundary_c0.5", "lambda_x", 11): 1e-2,
    ("boundary_c0.5", "parallel_transport", 11): 1e-2,
    ("boundary_c1.0", "parallel_transport", 7): 5e-5,
}


@functools.cache
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "poincare.npz") as z:
        return dict(z)


def check(case: str, function: str, key: str, ours: jax.Array) -> None:
    ref = golden()[f"{case}/ref.{key}"]
    error = np.abs(ours - ref).reshape(len(ref), -1).max(-1)
    bound = golden()[f"{case}/bound.{key}"]
    for row in range(len(ref)):
        relative = ROUNDED_GAP.get((case, function, row), 0.0)
        allowed = max(bound[row], relative * np.abs(ref[row]).max())
        assert error[row] <= allowed, f"{case}: {key}, row {row}"


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("kind", ["interior", "boundary", "degenerate"])
def test_values_and_gradients(kind, c, function):
    case = f"{kind}_c{c}"
    names, ours = FUNCTIONS[function]
    arguments = [jnp.asarray(golden()[f"{case}/in.{name}"]) for name in names]
    values, pull = jax.vjp(functools.partial(ours, c=c), *arguments)
    check(case, function, function, values)
    if function == "create_manifold_parameter":  # detached in geoopt
        return
    gradients = pull(jnp.asarray(golden()[f"{case}/in.cotangent.{function}"]))
    for name, gradient in zip(names, gradients, strict=True):
        assert np.isfinite(gradient).all()
        check(case, function, f"grad.{function}.{name}", gradient)


@pytest.mark.parametrize("c", [0.5, 1.0, 2.0])
def test_distance_matrix(c):
    case = f"distance_matrix_c{c}"
    z = jnp.asarray(golden()[f"{case}/in.z"])
    weight = jnp.asarray(golden()[f"{case}/in.mask"] * golden()[f"{case}/in.pair_weight"])

    def weighted_sum(z):
        matrix = poincare.pairwise_distance(z, z, c=c)
        return jnp.sum(matrix * weight), matrix

    (total, matrix), gradient = jax.value_and_grad(weighted_sum, has_aux=True)(z)
    check(case, "pairwise_distance", "poincare_distance_matrix", matrix)
    check(case, "pairwise_distance", "grad.masked_weighted_sum.z", gradient)
    np.testing.assert_allclose(total, golden()[f"{case}/ref.masked_weighted_sum"], rtol=1e-5)
