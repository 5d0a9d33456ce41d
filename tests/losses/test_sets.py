"""Losses of sets against recorded values of the reference system, and by hand."""

import json
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import Case, referenced
from tvae.geometry import poincare
from tvae.geometry.numerics import safe_norm
from tvae.losses import classification, sets
from tvae.losses.levels import masked_mean

TOPIC = "loss_set_theory/"


def _member(case: Case) -> jax.Array:
    """Which of all mutations each recorded set holds."""
    given = json.loads(str(case["in.mutation_sets_json"]))
    names = sorted({name for one in given for name in one})
    return jnp.asarray([[name in one for name in names] for one in given])


def _case(name: str) -> Case:
    cases = referenced(TOPIC + name)
    if not cases:
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    return cases[0]


@pytest.mark.parametrize("case", referenced(TOPIC + "lattice_ordering"), ids=lambda case: case.name)
def test_lattice_order_equals_the_reference_system(case: Case):
    member, c = _member(case), case.params["curvature"]

    def loss(x):
        if case.params["distance_fn"] == "euclidean":
            radius = safe_norm(x)
        else:
            radius = poincare.hyperbolic_radius(x, c=c)
        return sets.lattice_order(radius, member, margin=case.params["margin"])

    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(case["in.embeddings"]))
    case.assert_close(value, "f32.loss")
    case.assert_close(gradient, "f32.grad.loss.embeddings")


def test_order_of_sets_equals_the_reference_system():
    case = _case("lattice_facts")
    subsets = np.asarray(sets.proper_subsets(_member(case)))
    np.testing.assert_array_equal(subsets, case["out.compare"] == -1)
    np.testing.assert_array_equal(subsets.T, case["out.compare"] == 1)


def test_concepts_equal_the_reference_system():
    case = _case("concept_consistency")
    x, t = jnp.asarray(case["in.embeddings"]), case.params["temperature"]
    # Known genomes share a concept, the unknown ones at the end have none.
    member = jnp.arange(len(x))[:, None] < len(case["in.concept_share_mask_known"])

    def loss(x):
        # Attraction is 1 - cos here and -cos there: they differ by the constant 1/T.
        return sets.concepts(x, member, temperature=t) - 1 / t

    value, gradient = jax.jit(jax.value_and_grad(loss))(x)
    case.assert_close(value, "f32.loss")
    case.assert_close(gradient, "f32.grad.loss.embeddings")


def test_rough_boundary_equals_the_reference_system():
    case = _case("rough_boundary")

    def loss(logits, boundary):
        return sets.rough_boundary(logits, boundary, least_entropy=case.params["entropy_target"])

    both = jax.jit(jax.value_and_grad(loss))
    for column, drug in enumerate(("RIF", "INH")):
        logits = jnp.asarray(case["in.predictions"][:, column])
        value, gradient = both(logits, jnp.asarray(case[f"in.is_boundary_{drug}"]))
        case.assert_close(value, f"f32.loss_{drug}")
        expected = case[f"f32.grad.loss_{drug}.predictions"][:, column]
        np.testing.assert_allclose(gradient, expected, atol=8e-7, rtol=1e-5)
    value, _ = both(logits, jnp.zeros(len(logits), bool))
    case.assert_close(value, "f32.loss_unknown_drug")


def test_cross_resistance_equals_the_reference_system():
    case = _case("cross_resistance")
    matrix, threshold = jnp.asarray(case["in.matrix"]), case.params["threshold"]
    value, gradient = jax.jit(
        jax.value_and_grad(lambda y: sets.cross_resistance(y, matrix, threshold=threshold))
    )(jnp.asarray(case["in.predictions"]))
    case.assert_close(value, "f32.loss")
    case.assert_close(gradient, "f32.grad.loss.predictions")


def test_ordinal_nll_equals_the_reference_system():
    case = _case("hierarchical_resistance")
    label, scale = jnp.asarray(case["in.targets"]), case.params["level_penalty_scale"]

    def loss(logits):
        return classification.ordinal_nll(logits, label, level_penalty=scale).mean()

    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(case["in.predictions"]))
    case.assert_close(value, "f32.loss")
    case.assert_close(gradient, "f32.grad.loss.predictions")


def test_the_combined_loss_is_a_sum_of_terms():
    case = _case("combined")
    member, p = _member(case), case.params
    # All are related: any two rows share a concept, which no other has.
    related = jnp.asarray([[i in pair for pair in combinations(range(12), 2)] for i in range(12)])
    coupled = jnp.asarray([[0.0, p["cross"]["RIF,INH"]], [0.0, 0.0]])
    outcome = jnp.asarray(case["in.targets"])

    def terms(logits, x):
        radius = poincare.hyperbolic_radius(x, c=1.0)
        boundaries = (case[f"in.is_boundary_{drug}"] for drug in ("RIF", "INH"))
        return {
            "prediction": classification.binary_nll(logits, outcome).mean(),
            "lattice": sets.lattice_order(radius, member, margin=p["margin"]),
            # The reference adds 1/2 for no negatives.
            "concept": sets.concepts(x, related, temperature=p["temperature"])
            - 1 / p["temperature"]
            + 0.5,
            "rough": sum(
                sets.rough_boundary(logits[:, k], jnp.asarray(b)) for k, b in enumerate(boundaries)
            ),
            "cross_resistance": sets.cross_resistance(logits, coupled),
        }

    weights = {name: p.get(f"{name}_weight", 1.0) for name in ("prediction", "lattice", "concept")}
    weights |= {
        "rough": p["rough_weight"],
        "cross_resistance": p["cross_resistance_weight"],
    }

    def total(logits, x):
        values = terms(logits, x)
        return sum(weights[name] * value for name, value in values.items()), values

    (value, values), gradients = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(
        jnp.asarray(case["in.predictions"]), jnp.asarray(case["in.embeddings"])
    )
    for name, of_term in values.items():
        case.assert_close(of_term, f"f32.{name}")
    case.assert_close(value, "f32.total")
    case.assert_close(gradients[0], "f32.grad.total.predictions")
    case.assert_close(gradients[1], "f32.grad.total.embeddings")


def test_concepts_that_all_rows_have_relate_no_rows():
    member = jnp.asarray([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], bool)
    shared = [[True, True, False, True], [False, False, True, True]]
    related = np.asarray(sets.share_an_element(member))
    np.testing.assert_array_equal(related[[0, 2]], shared)
    # Among the first two and the last, all have the second concept too.
    some = jnp.asarray([True, True, False, True])
    assert not np.asarray(sets.share_an_element(member, some))[0].any()
    # Cosines 1 and 0 of related rows, 0 and 1 of others.
    x = jnp.asarray([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    loss = jax.jit(lambda x: sets.concepts(x, member[:3], temperature=0.5, margin=0.25))
    assert float(loss(x)) == pytest.approx(0.25)
    value = loss(x[jnp.asarray([0, 2, 1])])
    assert float(value) == pytest.approx(1 / 0.5 + 0.5 / 0.5 + 0.25)


def test_rows_outside_do_not_count():
    radius, member = jnp.asarray([1.0, 0.5, 0.9]), jnp.asarray([[0, 0], [1, 0], [1, 1]], bool)
    some = jnp.asarray([True, False, True])
    value = sets.lattice_order(radius, member, some, margin=0.0)
    assert float(value) == pytest.approx(0.1)
    logits = jnp.asarray([0.0, 99.0, 99.0])
    value = sets.rough_boundary(logits, some, jnp.asarray([True, True, False]), least_entropy=0.7)
    assert float(value) == pytest.approx(0.7 - np.log(2), rel=1e-4)
    assert float(masked_mean(sets.binary_entropy(logits), some)) == pytest.approx(np.log(2) / 2)
