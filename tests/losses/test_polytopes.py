"""The toy of figures in space, against recorded values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import FAST_COMPILE, all_cases
from tvae.errors import UserError
from tvae.losses import polytopes
from tvae.losses.similarity import unit

NAMES = dict(
    zip(("tetrahedral", "octahedral", "icosahedral", "point_24"), polytopes.FIGURES, strict=True)
)


def test_values_and_gradients_equal_the_reference_system():
    cases = all_cases("losses", "loss_geometric")
    if not cases:
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")

    @functools.partial(jax.jit, static_argnames="figure", compiler_options=FAST_COMPILE)
    @jax.value_and_grad
    def both(z, figure, size, recorded):
        if figure != "spiral":
            return polytopes.polytope(z, figure=figure, size=size)
        # Their vertices are rounded with angles of up to 244 rad.
        return polytopes.chamfer(size * unit(z[:, :3]), size * recorded)

    for case in cases:
        weight = case.params.get("alignment_weight", 1.0)
        figure, size = NAMES[case.params["symmetry_group"]], case.params.get("scale", 1.0)
        z, recorded = jnp.asarray(case["in.z"]), None
        if case.has("f32.target_vertices"):
            recorded = jnp.asarray(case["f32.target_vertices"])
            order, theirs = (
                np.lexsort(np.round(v, 3).T) for v in (polytopes.vertices(figure), recorded)
            )
            np.testing.assert_allclose(
                polytopes.vertices(figure)[order], recorded[theirs], atol=2e-5
            )
        value, slope = both(z, figure, size, recorded)
        case.assert_close(weight * value, "f32.loss")
        if case.name.endswith("zero_vectors"):
            # Theirs divides the gradient of a zero vector by 1e-12.
            expected = np.where(np.abs(case["f32.grad.loss.z"]) > 1, 0, case["f32.grad.loss.z"])
            rows = np.asarray(jnp.linalg.norm(z[:, :3], axis=-1) > 0)
            np.testing.assert_allclose(weight * slope[rows], expected[rows], atol=1e-6)
        else:
            case.assert_close(weight * slope, "f32.grad.loss.z")


@pytest.mark.parametrize("figure", polytopes.FIGURES)
def test_figures_are_on_the_sphere_around_the_origin(figure):
    corners = polytopes.vertices(figure)
    np.testing.assert_allclose(np.linalg.norm(corners, axis=-1), 1.0)
    np.testing.assert_allclose(corners.mean(0), 0.0, atol=0.02)
    if figure != "spiral":
        nearest = np.sort(np.linalg.norm(corners[:, None] - corners[None], axis=-1), -1)[:, 1]
        np.testing.assert_allclose(nearest, nearest[0])


def test_few_dimensions_are_refused():
    with pytest.raises(UserError, match=r"3 dimensions or more, got shape \(4, 2\)"):
        polytopes.polytope(jnp.zeros((4, 2)))
