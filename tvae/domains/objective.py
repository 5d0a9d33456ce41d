"""The objective of a run: ``config.objective`` names terms, their weights and their options.

A row such as ``{"term": "rank", "on": "b", "weight": 0.5, "temperature": 0.1}`` puts the
registered term ``rank`` of the domain's side "b" into the loss. Weights, and options that are
numbers, are traced: changing them, or moving a weight by a schedule, compiles nothing anew; a
weight of 0 switches a term off. Which rows there are, and their static options, is the structure of
the program.
"""

import dataclasses
import difflib
import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from tvae.domains import weights
from tvae.engine.task import Hparams, Metrics
from tvae.errors import UserError
from tvae.fields import Check, Field, at_least, traced_values
from tvae.losses import registry
from tvae.losses.pairs import Pairs, sample_pairs
from tvae.losses.registry import Term

Sources = Mapping[str, Any]
"""Name of an input -> what the domain offers for it."""
Inputs = Mapping[str, Sequence[str]]
"""Side of a domain -> names of the inputs that it offers; "" is the domain as a whole, whose
inputs every side has too."""
Rows = Mapping[str, Mapping[str, Any]]
"""``config.objective``: name of a row -> its entries."""

TABLE = Check(kind=dict, words="a term, weight and options by name of the row")
N_PAIRS = Field(0, at_least(0), "pairs of rows drawn for the term from each batch; 0 = all")
_RESERVED = ("term", "on", "weight", "inputs", "pairs")


def complete(rows: Rows) -> dict[str, dict[str, Any]]:
    """Rows with the defaults of what they leave out, so that the command line can change it.

    >>> complete({"rank": {"term": "rank", "weight": 0.5}})["rank"]["temperature"]
    0.1

    Raises:
      UserError: if a row names no term that exists.
    """
    return {name: _complete_row(name, row) for name, row in rows.items()}


def _complete_row(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    term = _term(name, row)
    shared = {"term": term.name, "weight": 1.0}
    pairs = {"pairs": N_PAIRS.default} if "pairs" in term.optional else {}
    return shared | pairs | {k: f.default for k, f in term.options.items()} | dict(row)


def check_rows(rows: Any) -> None:
    """Refuse a table that is not made of rows that name a term; the terms may be unknown.

    Raises:
      UserError: naming the row, with what was expected.
    """
    for name, row in rows.items():
        if not isinstance(row, Mapping) or not isinstance(row.get("term"), str):
            raise UserError(
                f"config.objective.{name}: expected a row with 'term', 'weight' and options, got "
                f"{' '.join(repr(row).split()):.60}"
            )


def _term(name: str, row: Mapping[str, Any]) -> Term:
    check_rows({name: row})
    return registry.get(row["term"], where=f"config.objective.{name}.term")


def fields(rows: Rows) -> dict[str, Field]:
    """Fields of the weights and options of a table's rows, by dotted path.

    Those of a row's own entries only: what it leaves out has the term's default.
    """
    found: dict[str, Field] = {}
    for name, row in rows.items():
        term, path = _term(name, row), f"objective.{name}"
        known = dict(term.options)
        if "pairs" in term.optional:
            known["pairs"] = N_PAIRS
        found |= {f"{path}.{option}": known[option] for option in row if option in known}
        if "weight" in row:
            found |= weights.fields(f"{path}.weight", row["weight"], unit=term.unit)
    return found


def validate(rows: Rows, inputs: Inputs, *, domain: str) -> None:
    """Check a table against the registered terms and what a domain offers them.

    Raises:
      UserError: naming the first row that asks for what does not exist, with what does.
    """
    for name, row in sorted(rows.items()):
        term, path = _term(name, row), f"config.objective.{name}"
        sides = [side for side in inputs if side]
        side = row.get("on", "")
        if side not in inputs and side != "":
            listed = ", ".join(map(repr, sides)) or "no sides"
            raise UserError(f"{path}.on: domain {domain!r} has {listed}, got {side!r}")
        _check_options(path, term, row)
        for option, field in fields({name: row}).items():
            value = functools.reduce(lambda node, key: node[key], option.split(".")[2:], row)
            if not field.check.holds(value):
                raise UserError(
                    f"config.{option}: expected {field.check.expectation}, got {value!r}"
                )
        _check_inputs(path, term, row, inputs, domain)


def _check_options(path: str, term: Term, row: Mapping[str, Any]) -> None:
    """Refuse entries of a row that are neither shared ones nor options of its term."""
    allowed = {*term.options, *_RESERVED} - (set() if "pairs" in term.optional else {"pairs"})
    for option in row:
        if option not in allowed:
            near = difflib.get_close_matches(option, allowed, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            has = ", ".join(sorted(term.options)) or "no options"
            raise UserError(f"{path}.{option}: {hint}term {term.name!r} has {has}")
    renamed = row.get("inputs", {})
    wrong = sorted(set(renamed) - {*term.inputs, *term.optional})
    if wrong:
        has = ", ".join((*term.inputs, *term.optional))
        raise UserError(f"{path}.inputs.{wrong[0]}: term {term.name!r} has the inputs {has}")


def _check_inputs(
    path: str, term: Term, row: Mapping[str, Any], inputs: Inputs, domain: str
) -> None:
    """Refuse a row whose term needs what the domain does not offer."""
    for name in term.inputs:
        side, source = _source(row, name)
        offered = {*inputs.get("", ()), *inputs.get(side, ())}
        if source not in offered:
            where = f" on {side!r}" if side else ""
            sides = [s for s in inputs if s and source in inputs[s]]
            hint = f"; expected 'on' {' or '.join(map(repr, sides))}" if sides else ""
            raise UserError(
                f"{path}: term {term.name!r} needs {source!r}, which domain {domain!r} does not "
                f"offer{where}{hint}; it offers {', '.join(sorted(offered))}"
            )


def _source(row: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Side and name of what a row hands to an input: ``inputs`` may say "source" or "b.source"."""
    given = str(row.get("inputs", {}).get(name, name))
    side, dot, source = given.rpartition(".")
    return (side, source) if dot else (row.get("on", ""), given)


def hparams(rows: Rows) -> dict[str, jax.Array]:
    """Traced weights and options of a validated table, as compiled programs take them."""
    full = ConfigDict({"objective": complete(rows)})
    return traced_values(full, fields(full.objective.to_dict()))


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row as compiled programs see it: static, hashable.

    Attributes:
      name: of the row.
      term: that it names.
      side: of the domain; "" for the domain as a whole.
      n_pairs: pairs drawn for it; 0 for all.
      sources: input -> side and name of what is handed over.
      static: static options and their values.
      weight: of the row.
    """

    name: str
    term: Term
    side: str
    n_pairs: int
    sources: tuple[tuple[str, tuple[str, str]], ...]
    static: tuple[tuple[str, Any], ...]
    weight: weights.Weight

    def arguments(self, sources: Callable[[str], Sources], hparams: Hparams) -> dict[str, Any]:
        """Inputs and options of the term."""
        values = dict(self.static)
        for option, field in self.term.options.items():
            if field.traced:
                values[option] = hparams[f"objective.{self.name}.{option}"]
        for name, (side, source) in self.sources:
            found = sources(side).get(source)
            if name == "key" and found is not None:
                found = jax.random.fold_in(found, zlib.crc32(self.name.encode()))
            values[name] = found
        return values


@dataclasses.dataclass(frozen=True)
class Objective:
    """The rows of a table, which a domain's task evaluates and weighs."""

    entries: tuple[Entry, ...]

    def asks_for(self, source: str) -> bool:
        """Whether a row is handed an input of this name."""
        return any(found == source for e in self.entries for _, (_, found) in e.sources)

    def draw_pairs(self, key: jax.Array, *, batch_size: int) -> dict[str, Pairs | None]:
        """Random pairs of rows of a batch for every row that takes some; None for all pairs."""
        taking = [entry for entry in self.entries if "pairs" in entry.term.optional]
        counts = [entry.n_pairs for entry in taking]
        # One draw for all: each costs the CPU a loop of small kernels, and time to compile it.
        drawn = sample_pairs(key, batch_size=batch_size, n_pairs=sum(counts))
        ends = np.cumsum(counts)
        return {
            entry.name: Pairs(*(x[end - n : end] for x in drawn)) if n else None
            for entry, n, end in zip(taking, counts, ends, strict=True)
        }

    def terms(
        self,
        sources: Callable[[str], Sources],
        hparams: Hparams,
        *,
        reduce: Callable[[jax.Array], jax.Array],
        pairs: Mapping[str, Pairs | None] | None = None,
    ) -> Metrics:
        """Unweighted terms by name of the row.

        Args:
          sources: side -> inputs by name, those of the whole domain among them.
          hparams: of the run.
          reduce: values of the batch's items ``(batch,)`` -> their weighted mean.
          pairs: of :meth:`draw_pairs`.
        """
        by_side = functools.cache(sources)
        found = {}
        for entry in self.entries:
            arguments = entry.arguments(by_side, hparams)
            if "pairs" in arguments:
                arguments["pairs"] = (pairs or {}).get(entry.name)
            value = entry.term.function(**arguments)
            found[entry.name] = reduce(value) if entry.term.per == "item" else value
        return found

    def scaled(self, values: Metrics, factors: Metrics) -> Metrics:
        """Values of rows, those of some terms times a factor: name of the term -> factor."""
        by_row = {e.name: factors[e.term.name] for e in self.entries if e.term.name in factors}
        return {k: by_row[k] * value if k in by_row else value for k, value in values.items()}

    def weights(self, epoch: jax.Array, hparams: Hparams) -> Metrics:
        """Weight of each row in an epoch, which may be fractional."""
        return {e.name: e.weight(epoch, hparams) for e in self.entries}


def make_objective(rows: Rows) -> Objective:
    """The objective of a validated table; equal structure gives equal objectives."""
    return Objective(tuple(_make_entry(name, row) for name, row in sorted(rows.items())))


def _make_entry(name: str, row: Mapping[str, Any]) -> Entry:
    full = _complete_row(name, row)
    term = _term(name, row)
    static = {k: full[k] for k, field in term.options.items() if not field.traced}
    return Entry(
        name=name,
        term=term,
        side=full.get("on", ""),
        n_pairs=full.get("pairs", 0),
        sources=tuple((k, _source(full, k)) for k in (*term.inputs, *term.optional)),
        static=tuple(sorted(static.items())),
        weight=weights.make_weight(f"objective.{name}.weight", full["weight"]),
    )
