"""The configuration of a run: defaults, checks and hyperparameters, assembled from the fields.

Fields that all domains share are in :mod:`tvae.engine.config`, those of a domain in its ``config``
module.
"""

import dataclasses
import difflib
import os
import runpy
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from tvae import shipped
from tvae.domains import objective, registry
from tvae.domains.domain import Domain
from tvae.engine import config as engine
from tvae.errors import UserError
from tvae.fields import Field, make_config, one_of, traced_values


def fields(task: str, rows: objective.Rows | None = None) -> dict[str, Field]:
    """All fields of a domain by dotted path, the shared ones with its own defaults.

    Args:
      task: name of the domain.
      rows: its ``config.objective``, whose weights and options are fields too; None for the
        default one.

    Raises:
      UserError: if there is no such domain.
    """
    domain = registry.get(task)
    table = objective.complete(domain.objective) if rows is None else rows
    return _fixed_fields(domain) | objective.fields(table)


def _fixed_fields(domain: Domain) -> dict[str, Field]:
    """The fields that every configuration of a domain has."""
    name = {
        "task": Field(domain.name, one_of(*registry.names()), "name of the domain that is trained")
    }
    known = engine.FIELDS | name | dict(domain.fields)
    if domain.objective:
        meaning = "terms of the loss by name; see docs/fields.md"
        known["objective"] = Field(objective.complete(domain.objective), objective.TABLE, meaning)
    changed = {
        path: dataclasses.replace(known[path], default=default)
        for path, default in domain.defaults.items()
    }
    return known | changed


def default(task: str = "dual_vae") -> ConfigDict:
    """All fields of a domain with their defaults: a configuration that :func:`validate` accepts.

    Raises:
      UserError: if there is no such domain.
    """
    return make_config(_fixed_fields(registry.get(task)))


def read_file(path: str | os.PathLike[str]) -> ConfigDict:
    """The configuration of a file that defines ``get_config()``, which is executed.

    Args:
      path: of the file, or the name of a recipe that ships, such as ``v6``.

    Raises:
      UserError: if there is neither, or the file raises an error, which is named with its line.
    """
    file = os.fspath(shipped.find_config(path))
    config = call_in_file(file, "get_config", subject="config")
    if not isinstance(config, ConfigDict):
        got = "no such function" if config is None else type(config).__name__
        raise UserError(
            f"config {file}: expected get_config() that returns a ConfigDict, got {got}"
        )
    return config


def call_in_file(file: str, function: str, *, subject: str) -> Any:
    """What a function without arguments of a Python file returns; None where there is none.

    Raises:
      UserError: if the file raises an error, which is named with its line after ``subject``.
    """
    try:
        found = runpy.run_path(file).get(function)
        return found() if callable(found) else None
    # The file is the user's program: whatever it raises is a mistake in it.
    except Exception as error:
        own = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        line = error.lineno if isinstance(error, SyntaxError) else (own or [None])[-1]
        reason = (error.msg if isinstance(error, SyntaxError) else str(error)).split("\n")[0]
        where = f"{file}:{line}" if line else file
        raise UserError(f"{subject} {where}: {type(error).__name__}: {reason}") from error


def require_path(config: ConfigDict, path: str) -> None:
    """Refuse a dotted path that is neither a field of a configuration nor a section of it.

    Raises:
      UserError: with the nearest field.

    >>> require_path(default(), "epocs")
    Traceback (most recent call last):
        ...
    tvae.errors.UserError: config.epocs: unknown field; did you mean config.epochs?
    """
    node: Any = config
    for name in path.split("."):
        if not isinstance(node, ConfigDict) or name not in node:
            near = difflib.get_close_matches(path, [known for known, _ in leaves(config)], n=1)
            hint = f"; did you mean config.{near[0]}?" if near else ""
            raise UserError(f"config.{path}: unknown field{hint}")
        node = node[name]


def validate(config: ConfigDict) -> None:
    """Check every field and row of the objective, then what involves several.

    Raises:
      UserError: naming the first field that is missing, unknown or out of range, with its value
        and what was expected.
    """
    domain = registry.get(config.get("task"))
    _check_fields(config, domain)
    if domain.objective:
        objective.validate(_rows(config), domain.inputs(config), domain=domain.name)
    engine.validate(config)
    domain.validate(config)


def _rows(config: ConfigDict) -> dict[str, Any]:
    """The table of the objective; the terms that it names may be unknown."""
    table = config.get("objective")
    if not isinstance(table, ConfigDict) or not table:
        got = "nothing" if table is None else "no row" if not table else repr(table)
        raise UserError(f"config.objective: expected {objective.TABLE.expectation}, got {got:.60}")
    objective.check_rows(table.to_dict())
    return table.to_dict()


def _check_fields(config: ConfigDict, domain: Domain) -> None:
    """Check every field but the rows of the objective."""
    known, given = _fixed_fields(domain), dict(leaves(config))
    # The entries of a section whose keys are free, such as metric names, are not fields.
    free = tuple(f"{path}." for path, field in known.items() if field.check.kind is dict)
    expected = {path: field for path, field in known.items() if field.check.kind is not dict}
    for path in sorted(given.keys() ^ expected.keys()):
        if not path.startswith(free):
            raise UserError(f"config.{path}: {'unknown' if path in given else 'missing'} field")
    for path, field in expected.items():
        if not field.check.holds(given[path]):
            raise UserError(
                f"config.{path}: expected {field.check.expectation}, got {given[path]!r}"
            )


def complete(stored: Mapping[str, Any]) -> ConfigDict:
    """A stored configuration, checked, with the defaults of fields that came after it.

    Its terms need not be registered in this process: a trained model does without them.

    Raises:
      UserError: if the domain or a field is unknown, or a value is out of range.
    """
    task = str(stored.get("task"))
    domain = registry.get(task)
    try:
        stored = domain.migrate(stored)
    # A section of an earlier version that holds no section, or no numbers.
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"config of task {task!r}: not a configuration ({error})") from error
    config = ConfigDict(_merged(default(task).to_dict(), stored) | _free_sections(task, stored))
    _check_fields(config, domain)
    if domain.objective:
        _rows(config)
    engine.validate(config)
    domain.validate(config)
    return config


def _free_sections(task: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored sections whose keys are free: they replace the defaults instead of adding to them."""
    rows = stored.get("objective")
    known = _fixed_fields(registry.get(task))
    if "objective" not in known or rows is None:
        return {}
    return {"objective": _merged({}, rows) if isinstance(rows, Mapping) else rows}


def _merged(defaults: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values, stored ones before defaults; empty sections stay, lists become tuples."""
    merged = dict(defaults) | dict(stored)
    for name, value in merged.items():
        if isinstance(value, Mapping):
            default = defaults.get(name)
            merged[name] = _merged(default if isinstance(default, Mapping) else {}, value)
        elif isinstance(value, list):
            merged[name] = tuple(value)
    return merged


def hparams(config: ConfigDict) -> dict[str, jax.Array]:
    """The traced fields of a validated configuration, as compiled programs take them.

    Runs that differ in nothing else share one program, and a population stacks them. Path ->
    float32 scalar, or vector for a tuple of numbers.
    """
    values = traced_values(config, _fixed_fields(registry.get(config.task)))
    return values | objective.hparams(config.get("objective", ConfigDict()).to_dict())


def leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of every field, as ``("data.batch_size", 64)``."""
    for path, value in flatten_dict(config.to_dict(), sep=".").items():
        yield prefix + path, value
