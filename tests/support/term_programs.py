"""A loss term as one compiled program over the batches of :mod:`tests.support.term_inputs`."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.support import term_inputs
from tests.support.term_inputs import STATIC, Batch
from tvae.fields import Field
from tvae.losses.registry import Term

N_ROWS = 6


class Result(NamedTuple):
    """Value of a term and the gradient of its sum, in NumPy."""

    value: np.ndarray
    gradient: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one program gave, by name of the batch; and how often it was traced.

    ``changed`` are the results after all traced options changed.
    """

    results: dict[str, Result]
    changed: dict[str, Result]
    n_traces: int


def some_value(field: Field) -> Any:
    """The default of an option, or a value that its check allows."""
    if field.default is not inspect.Parameter.empty:
        return field.default
    check = field.check
    if check.choices:
        return check.choices[0]
    if check.kind is bool:
        return False
    low = 0 if check.low is None else check.low
    middle = check.kind((low + (low + 2 if check.high is None else check.high)) / 2)
    return (middle,) if check.several else middle


def other_value(field: Field) -> Any:
    """Another value of a traced option, where one nearby is allowed."""
    value = np.asarray(some_value(field), float)
    near = (1.25 * value, 0.75 * value, value + 0.25, value - 0.25)
    allowed = (v for v in near if field.check.holds(v.tolist()) and (v != value).any())
    return next(allowed, value)


def traced_options(term: Term, choose: Callable[[Field], Any] = some_value) -> dict[str, jax.Array]:
    """Values of a term's traced options."""
    traced = {name: choose(field) for name, field in term.options.items() if field.traced}
    return {name: jnp.asarray(value, jnp.float32) for name, value in traced.items()}


def other_choices(term: Term) -> list[dict[str, Any]]:
    """Static options with a few values, each with every value but the one that is tested anyway."""
    choices = {
        name: field.check.choices or (False, True)
        for name, field in term.options.items()
        if not field.traced and (field.check.choices or field.check.kind is bool)
    }
    return [
        {name: value}
        for name, values in choices.items()
        for value in values
        if value != some_value(term.options[name])
    ]


def bind(
    term: Term, *, optional: tuple[str, ...], **changes: Any
) -> Callable[[Batch, Batch, Batch], jax.Array]:
    """``(floats, others, traced options) -> value``: a term with its static arguments filled in."""
    fixed = {name: some_value(field) for name, field in term.options.items() if not field.traced}
    fixed |= changes
    names = (*term.inputs, *optional)
    fixed |= {name: term_inputs.draw(1)[name] for name in names if name in STATIC}

    def value(floats: Batch, others: Batch, options: Batch) -> jax.Array:
        given = {name: term_inputs.as_input(name, x) for name, x in (floats | others).items()}
        return term.function(**given, **fixed, **options)

    return value


def select(term: Term, batch: Batch, *, optional: tuple[str, ...]) -> tuple[Batch, Batch]:
    """A term's float arrays, and its other arrays, out of a batch of all inputs."""
    names = term.inputs + optional
    arrays = {
        name: term_inputs.to_array(batch.get(f"{term.name}.{name}", batch[name]))
        for name in names
        if name not in STATIC
    }
    floats = {name: x for name, x in arrays.items() if x.dtype.kind == "f"}
    return floats, {name: x for name, x in arrays.items() if name not in floats}


def differentiate(value: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, Batch]]:
    """Value, and gradient of its sum with respect to the float inputs."""

    def total(floats: Batch, *rest: Batch) -> tuple[jax.Array, jax.Array]:
        found = value(floats, *rest)
        return found.sum(), found

    def both(*arguments: Batch) -> tuple[jax.Array, Batch]:
        gradient, found = jax.grad(total, has_aux=True)(*arguments)
        return found, gradient

    return both


def _all_pairs(term: Term) -> tuple[str, ...]:
    """The optional inputs but for drawn pairs: without them a term takes all pairs."""
    return tuple(name for name in term.optional if name != "pairs")


def evaluate(term: Term, **changes: Any) -> Outcome:
    """A term on all batches of :data:`N_ROWS` rows, by one program: jit of vmap of grad.

    ``changes`` are static options that are not at their defaults.
    """
    optional = _all_pairs(term)
    batches = term_inputs.degenerate(N_ROWS) | term_inputs.masked(N_ROWS)
    batches |= term_inputs.transformed(N_ROWS)
    chosen = [select(term, batch, optional=optional) for batch in batches.values()]
    floats, others = jax.tree.map(lambda *x: np.stack(x), *chosen)
    value, traces = bind(term, optional=optional, **changes), []

    def counted(*arguments: Batch) -> jax.Array:
        traces.append(1)
        return value(*arguments)

    run = jax.jit(jax.vmap(differentiate(counted), in_axes=(0, 0, None)))

    def results(options: Batch) -> dict[str, Result]:
        found = jax.device_get(run(floats, others, options))
        return {
            name: Result(*jax.tree.map(lambda x, i=i: x[i], found))
            for i, name in enumerate(batches)
        }

    first = results(traced_options(term))
    return Outcome(first, results(traced_options(term, other_value)), len(traces))


def evaluate_one_row(term: Term) -> tuple[Result, np.ndarray]:
    """A term on a single row: bare of optional inputs, and its value with all of them."""
    batch = term_inputs.draw(1)
    bare, full = bind(term, optional=()), bind(term, optional=term.optional)

    @jax.jit
    def both(few: Any, every: Any, options: Batch) -> Any:
        return differentiate(bare)(*few, options), full(*every, options)

    few, every = (select(term, batch, optional=names) for names in ((), term.optional))
    found, with_optional = jax.device_get(both(few, every, traced_options(term)))
    return Result(*found), with_optional


def program_size(term: Term, n_rows: int) -> int:
    """Number of equations of a term's program for a number of rows."""
    optional = _all_pairs(term)
    arrays = select(term, term_inputs.draw(n_rows), optional=optional)
    program = jax.make_jaxpr(bind(term, optional=optional))(*arrays, traced_options(term))
    return _n_equations(program.jaxpr)


def _n_equations(jaxpr: Any) -> int:
    """Equations of a program, those of its inner programs included."""
    parts = [
        getattr(part, "jaxpr", part)
        for equation in jaxpr.eqns
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
        if _is_program(part)
    ]
    return len(jaxpr.eqns) + sum(map(_n_equations, parts))


def _is_program(x: Any) -> bool:
    return hasattr(x, "eqns")
