"""The registry of loss terms: a pure function with ``@term`` can be named in ``config.objective``.

A term's parameters are of two kinds. Those in ``options`` are set in the configuration: numbers
with a float default reach the program as traced scalars, all others are static. The rest are
inputs, which the domain offers under the names of :data:`INPUTS` or names of its own; an input
whose default is None is handed over where the domain has it.
"""

import dataclasses
import difflib
import functools
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tvae.errors import UserError
from tvae.fields import Check, Field

INPUTS: dict[str, str] = {
    "logits": "float (batch, positions, classes), unnormalised log-probabilities of a decoder",
    "target": "int (batch, positions), the class at each position",
    "mu": "float (batch, dim), mean of a diagonal Gaussian posterior",
    "logvar": "float (batch, dim), log-variance of it",
    "z": "float (batch, dim), a sample of the latent",
    "point": "float (batch, dim), points of the Poincaré ball of curvature -c",
    "decoded_point": "float (batch, dim), points of the ball that a decoder returned",
    "parent_point": "float (batch, dim), the point of an ancestor of each row's item",
    "related": "bool (batch, batch), row i's item is below row j's ancestor; None = i is j",
    "radius": "float (batch,), hyperbolic distances from the origin",
    "c": "float scalar, magnitude of the curvature",
    "index": "int (batch,), items of the domain",
    "level": "int (batch,), levels of the items in their tree, 0 outermost",
    "tree": "the Tree of the items, static",
    "inner": "float scalar, target radius of the deepest level",
    "outer": "float scalar, target radius of level 0",
    "reference_radius": "float (batch,), radii of the same rows whose spread is to be kept",
    "positive_distance": "float (batch, positives), of each row to what is to be near",
    "other_distance": "float (batch, others), of each row to what is to be further away",
    "log_weight": "float (batch, others), logarithm of how much each of them counts",
    "other_path": "int (batch, others), edges of the tree between each row's item and the other's",
    "other_common": "int (batch, others), depth of their deepest common ancestor",
    "is_positive": "bool (batch, positives), which of them there are",
    "temperature": "float scalar, unit of the distances",
    "label": "int (batch,), classes of the items",
    "prediction": "float (batch,) or (batch, tasks)",
    "measured": "float, shaped like the prediction",
    "x": "float (batch, dim), features of one view or modality",
    "y": "float (batch, dim), features of the other, row i of which belongs to row i of x",
    "prior_mu": "float (batch, dim), mean of a row's own diagonal Gaussian prior",
    "prior_logvar": "float (batch, dim), log-variance of it",
    "class_weight": "float (classes,), weights of the classes",
    "class_logits": "float (batch, classes), unnormalised log-probabilities of a row's class",
    "outcome": "float or bool, shaped like the prediction, 1 where an event happened",
    "observed": "bool, shaped like the prediction, what was measured; None = all",
    "censored": "float, shaped like the prediction: 1 the truth is at least what was measured, -1 "
    "at most, 0 exact",
    "task_weight": "float (tasks,) or shaped like the prediction, what tasks count; None = alike",
    "predicted_logvar": "float, shaped like the prediction, log-variance of the measurement",
    "evidence": "float, shaped like the prediction and (3,), unconstrained evidence for it",
    "member": "bool (batch, elements), the elements of the set that a row is",
    "boundary": "bool (batch,), rows whose class the evidence leaves open",
    "task_logits": "float (batch, tasks), logits of one binary outcome a task",
    "task_correlation": "float (tasks, tasks), correlation of the outcomes",
    "match_id": "int (batch,), rows of one id belong together; None = row i of x and y only",
    "reference": "float (batch, dim), the features x of an earlier, frozen model",
    "queue": "Queue of keys of earlier batches (tvae.losses.memory)",
    "neutral": "bool (batch,), the row of the operation without effect",
    "forecast_accuracy": "float scalar in [0, 1], a network's forecast",
    "codon_logits": "float (batch, positions, 64), unnormalised log-probabilities of codons",
    "residue_logits": "float (batch, positions, 20 or more), the same of amino acids by letter",
    "position_where": "bool (batch, positions), positions that count; None = all",
    "open_site": "bool (batch, positions), sites that glycans should leave open; None = none",
    "cd4_cd8": "float (batch,), ratio of CD4 to CD8 cells; None = no matter",
    "additive": "float, shaped like the prediction, sum of the single effects",
    "drug_class": "int (tasks,), class of the drug that a task predicts",
    "partner": "float (batch, dim), points of the ball that the rows are compared with",
    "together": "float (batch,), 1 for rows that belong to their partner, 0 for others",
    "profile": "float (dim,), a wanted direction of the latent",
    "epitope": "float (epitopes, dim), directions of the latent",
    "pairs": "Pairs of rows drawn from the batch; None = all",
    "where": "bool (batch,), rows that count; None = all",
    "key": "a random key of the step",
}
"""Common inputs of terms, and their shapes."""

STATUSES = ("same", "corrected", "subsumed", "toy")
"""What a term is beside a class of the reference system: the same value; corrected where the class
was wrong; a case of something more general; a toy there and here."""


@dataclasses.dataclass(frozen=True, eq=False)
class Term:
    """A registered loss term.

    Attributes:
      name: as in ``config.objective``.
      function: pure; takes inputs and options by keyword, returns what ``per`` says.
      inputs: names of arrays that it needs.
      optional: names of arrays that it takes where there are any.
      options: what the configuration may set, by name.
      unit: of the value.
      per: "item": one value a row of the batch, ``(batch,)``; "batch": a scalar.
      bounds: least and largest value.
      invariances: names of transformations of the inputs that leave the value as it is:
        "permutation" (of rows), "rotation", "translation", "scale" (of points or features),
        "isometry" (of the ball).
      source: paper and equation, or the reference system.
      was: classes of the reference system, name -> one of :data:`STATUSES`.
    """

    name: str
    function: Callable[..., Any] = dataclasses.field(repr=False)
    inputs: tuple[str, ...]
    optional: tuple[str, ...]
    options: Mapping[str, Field]
    unit: str
    per: str
    bounds: tuple[float, float]
    invariances: tuple[str, ...]
    source: str
    was: Mapping[str, str]


_TERMS: dict[str, Term] = {}

Function = TypeVar("Function", bound=Callable[..., Any])
"""A loss term."""


def term(
    name: str,
    *,
    unit: str,
    source: str,
    per: str = "batch",
    options: Mapping[str, tuple[Check, str]] | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    invariances: tuple[str, ...] = (),
    was: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Register a loss term; the function itself stays as it is.

    Args:
      name: as in ``config.objective``.
      unit: of the value, such as "nats".
      source: paper and equation, or the reference system.
      per: see :class:`Term`.
      options: check and meaning of each parameter that the configuration sets; the defaults are
        those of the function.
      bounds: see :class:`Term`.
      invariances: see :class:`Term`.
      was: see :class:`Term`.

    Raises:
      ValueError: if the name is taken by another function, or a parameter with a default is not
        among the options.
    """

    def register(function: Function) -> Function:
        made = _make_term(function, name, dict(options or {}), unit, per, source)
        made = dataclasses.replace(
            made, bounds=bounds, invariances=invariances, was=dict(was or {})
        )
        known = _TERMS.get(name)
        where = f"{function.__module__}.{function.__qualname__}"
        if known and where != f"{known.function.__module__}.{known.function.__qualname__}":
            raise ValueError(f"term {name!r}: registered already, as {known.function.__module__}")
        _TERMS[name] = made
        return function

    return register


def _make_term(
    function: Callable[..., Any],
    name: str,
    options: dict[str, tuple[Check, str]],
    unit: str,
    per: str,
    source: str,
) -> Term:
    """A term whose inputs and options are read from the function's signature."""
    if per not in ("item", "batch"):
        raise ValueError(f"term {name!r}: expected per 'item' or 'batch', got {per!r}")
    parameters = inspect.signature(function).parameters
    missing = sorted(options.keys() - parameters.keys())
    if missing:
        raise ValueError(f"term {name!r}: the function has no parameter {missing[0]!r}")
    fields, inputs, optional = {}, [], []
    for parameter in parameters.values():
        default = parameter.default
        if parameter.name in options:
            check, meaning = options[parameter.name]
            fields[parameter.name] = Field(default, check, meaning, traced=check.kind is float)
        elif default is inspect.Parameter.empty:
            inputs.append(parameter.name)
        elif default is None:
            optional.append(parameter.name)
        else:
            raise ValueError(
                f"term {name!r}: parameter {parameter.name!r} has a default; expected its check "
                "and meaning in options"
            )
    return Term(
        name=name,
        function=function,
        inputs=tuple(inputs),
        optional=tuple(optional),
        options=fields,
        unit=unit,
        per=per,
        bounds=(-math.inf, math.inf),
        invariances=(),
        source=source,
        was={},
    )


def all_terms() -> dict[str, Term]:
    """All registered terms by name, those of the library first."""
    _import_library()
    return dict(_TERMS)


@functools.cache
def _import_library() -> None:
    """Import every module of the package, once: each registers its terms."""
    package = importlib.import_module("tvae.losses")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"tvae.losses.{module.name}")


def get(name: str, *, where: str = "term") -> Term:
    """A term by name; ``where`` names what asks for it in the message.

    Raises:
      UserError: if there is none, with those that exist.
    """
    known = all_terms()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"{where}: no term {name!r}; {hint}known are {', '.join(sorted(known))}")
