"""Laws of every registered term: the library's, and others whose inputs have a generator.

An invariance, a bound or an optional ``where`` that a term declares is tested here; an input of a
new name needs a generator in ``tests/support/term_inputs.py``.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import term_inputs
from tests.support.term_inputs import GENERATORS
from tests.support.term_programs import (
    N_ROWS,
    evaluate,
    evaluate_one_row,
    other_choices,
    program_size,
)
from tvae.domains import registry as domains
from tvae.losses import registry

TOLERANCE = {"permutation": 1e-5, "rotation": 1e-4, "translation": 1e-4, "scale": 1e-4}
"""Relative and absolute, by invariance; 1e-3 for those that meet the rounding of the ball."""

# Terms of the domains take part whichever tests ran before.
for domain in domains.names():
    domains.get(domain)

LIBRARY = [
    t for t in registry.all_terms().values() if t.function.__module__.startswith("tvae.losses.")
]
TESTED = [
    t for t in registry.all_terms().values() if set(t.inputs + t.optional) <= GENERATORS.keys()
]
TERMS = [pytest.param(t, id=t.name) for t in TESTED]
MASKED = [pytest.param(t, id=t.name) for t in TESTED if "where" in t.optional]
INVARIANCES = [pytest.param(t, i, id=f"{t.name}-{i}") for t in TESTED for i in t.invariances]


@functools.cache
def outcome(name):
    return evaluate(registry.get(name))


@functools.cache
def one_row(name):
    return evaluate_one_row(registry.get(name))


def not_finite(results):
    """Which values and gradients are not finite."""
    named = {
        f"{kind} of {batch}": x
        for batch, result in results.items()
        for kind, x in ({"value": result.value} | result.gradient).items()
    }
    return [name for name, x in named.items() if not np.isfinite(x).all()]


def out_of_bounds(term, results):
    """Values outside the claimed bounds, but for rounding."""
    low, high = term.bounds
    slack = 1e-5 * (1.0 + sum(abs(x) for x in term.bounds if np.isfinite(x)))
    return {
        name: result.value
        for name, result in results.items()
        if (result.value < low - slack).any() or (result.value > high + slack).any()
    }


def broken_invariance(term, name, results):
    """Values before and after a transformation that should not change them; None if equal."""
    expected, found = results["regular"].value, results[name].value
    if name == "permutation" and term.per == "item":
        expected = expected[term_inputs.permutation(N_ROWS)]
    tolerance = TOLERANCE.get(name, 1e-3)
    equal = np.allclose(found, expected, rtol=tolerance, atol=tolerance)
    return None if equal else (expected, found)


def change_by_rows_that_do_not_count(results):
    """Largest change of the value when rows are replaced where ``where`` does not hold."""
    masked, refilled = results["masked"].value, results["refilled"].value
    return np.abs(masked - refilled).max() / (1.0 + np.abs(masked).max())


@pytest.mark.parametrize("term", TERMS)
def test_value_and_gradient_are_finite_on_degenerate_batches(term):
    assert not not_finite(outcome(term.name).results)
    assert not not_finite(outcome(term.name).changed)


@pytest.mark.parametrize("term", TERMS)
def test_value_and_gradient_of_a_single_row_are_finite(term):
    bare, with_optional = one_row(term.name)
    assert not not_finite({"one row": bare})
    assert np.isfinite(with_optional).all()
    if term.optional == ("where",):
        np.testing.assert_allclose(bare.value, with_optional, rtol=1e-5)


@pytest.mark.parametrize("term", TERMS)
def test_shape_and_dtype_are_the_declared_ones(term):
    value = outcome(term.name).results["regular"].value
    assert value.shape == ((N_ROWS,) if term.per == "item" else ())
    assert value.dtype == np.float32
    assert one_row(term.name)[0].value.shape == ((1,) if term.per == "item" else ())


@pytest.mark.parametrize("term", TERMS)
def test_claimed_bounds_hold(term):
    found = outcome(term.name)
    for results in (found.results, found.changed, {"one row": one_row(term.name)[0]}):
        assert not out_of_bounds(term, results)


@pytest.mark.parametrize(("term", "name"), INVARIANCES)
def test_claimed_invariances_hold(term, name):
    assert broken_invariance(term, name, outcome(term.name).results) is None


def gradients_of_rows_that_do_not_count(results):
    """Names of inputs with a gradient in rows where ``where`` does not hold."""
    left_out = ~term_inputs.counted(N_ROWS)
    return [
        name
        for name, gradient in results["masked"].gradient.items()
        if GENERATORS[name].rows and gradient[left_out].any()
    ]


@pytest.mark.parametrize("term", MASKED)
def test_rows_that_do_not_count_change_nothing(term):
    results = outcome(term.name).results
    assert change_by_rows_that_do_not_count(results) < 1e-5
    assert not gradients_of_rows_that_do_not_count(results)


@pytest.mark.slow
@pytest.mark.parametrize("term", [p for p in TERMS if other_choices(p.values[0])])
def test_laws_hold_for_every_choice_of_the_static_options(term):
    for changes in other_choices(term):
        found = evaluate(term, **changes)
        assert not not_finite(found.results | found.changed), changes
        if "where" in term.optional:
            assert change_by_rows_that_do_not_count(found.results) < 1e-5, changes
            assert not gradients_of_rows_that_do_not_count(found.results), changes


@pytest.mark.parametrize("term", TERMS)
def test_changed_options_do_not_trace_again(term):
    assert outcome(term.name).n_traces == 1


@pytest.mark.parametrize("term", TERMS)
def test_program_does_not_grow_with_the_rows(term):
    assert program_size(term, N_ROWS) == program_size(term, 2 * N_ROWS)


def test_inputs_of_the_library_have_a_generator_and_a_meaning():
    names = {name for term in LIBRARY for name in term.inputs + term.optional}
    assert not sorted(names - GENERATORS.keys()), "add them to tests/support/term_inputs.py"
    assert not sorted(names - registry.INPUTS.keys()), "add them to INPUTS of the registry"


@pytest.mark.parametrize("term", [pytest.param(t, id=t.name) for t in LIBRARY])
def test_declaration_is_complete(term):
    assert term.unit
    assert term.source
    assert term.function.__doc__
    assert set(term.was.values()) <= set(registry.STATUSES)
    assert set(term.invariances) <= term_inputs.transformed(2).keys()


@pytest.fixture
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_TERMS", {})


def test_laws_find_an_unsafe_norm_and_wrong_claims(empty_registry):
    @registry.term("norm", unit="1", source="-", per="item", bounds=(0.0, 1.0))
    def norm(z):
        return jnp.sqrt((z**2).sum(-1))

    made = registry.get("norm")
    results = evaluate(made).results
    assert "z of zero vectors" in not_finite(results)
    assert "regular" in out_of_bounds(made, results)
    assert broken_invariance(made, "translation", results) is not None
    assert broken_invariance(made, "rotation", results) is None
    assert broken_invariance(made, "permutation", results) is None


def test_laws_find_a_loop_and_a_mask_that_is_ignored(empty_registry):
    @registry.term("loop", unit="1", source="-")
    def loop(z, where=None):
        return sum(row.sum() for row in z)

    made = registry.get("loop")
    assert program_size(made, N_ROWS) < program_size(made, 2 * N_ROWS)
    results = evaluate(made).results
    assert change_by_rows_that_do_not_count(results) > 0.1
    assert gradients_of_rows_that_do_not_count(results) == ["z"]
