"""Registry of domains: those of the library, registered ones, and those of other packages."""

import functools
import importlib
import pathlib
import sys
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from tvae.domains.domain import Domain
from tvae.engine.task import Task
from tvae.errors import UserError

if TYPE_CHECKING:
    from tvae.engine.step import Engine

ENTRY_POINTS = "tvae.domains"
"""Entry point group in which another package names its :class:`Domain` values."""

_BUILT_IN = (
    "dual_vae",
    "hierarchy",
    "hierarchy_vae",
    "hyperbolic_vae",
    "projected_vae",
    "sequences",
)
_registered: dict[str, Domain] = {}


def register(domain: Domain) -> Domain:
    """Add a domain, for training, loading and every command of this process.

    Args:
      domain: with a name of its own.

    Returns:
      The domain.

    Raises:
      UserError: if another domain has this name.
    """
    point = _entry_points().get(domain.name)
    # The module that an entry point names may register its domain while it is imported.
    other = point is not None and point.module not in sys.modules
    known = _registered.get(domain.name, domain)
    if domain.name in _BUILT_IN or known is not domain or other:
        raise UserError(f"domain {domain.name!r} exists already; expected another name")
    _registered[domain.name] = domain
    return domain


def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINTS)}


def names() -> list[str]:
    """Names of all domains, sorted."""
    return sorted({*_BUILT_IN, *_registered, *_entry_points()})


def get(name: object) -> Domain:
    """The domain of a name.

    Raises:
      UserError: if there is none, listing those that exist.
    """
    if isinstance(name, str):
        if name in _registered:
            return _registered[name]
        if name in _BUILT_IN:
            return importlib.import_module(f"tvae.domains.{name}.domain").DOMAIN
        if name in (points := _entry_points()):
            return _registered.setdefault(name, points[name].load())
    known = ", ".join(map(repr, names()))
    raise UserError(f"config.task: expected one of {known}, got {name!r}")


def make_task(config: ConfigDict) -> Task:
    """The task that a validated configuration names."""
    return get(config.task).make_task(config)


def make_engine(config: ConfigDict) -> "Engine":
    """The compiled functions of a validated configuration."""
    # optax takes half a second, which those who only read a configuration need not wait.
    from tvae.engine import loop, step

    return step.make_engine(make_task(config), loop.optimizer_settings(config))


def data_writers(config: ConfigDict) -> dict[str, Callable[[pathlib.Path], None]]:
    """Name -> writer of each copy of the user's data that a run of a configuration keeps."""
    data = get(config.task).data
    return {} if data is None else {data.file: functools.partial(data.write, config)}


def locate_data(config: ConfigDict, folder: pathlib.Path) -> ConfigDict:
    """A configuration whose data are the copy in a model's folder; itself where there is none."""
    data = get(config.task).data
    if data is None or not (folder / data.file).exists():
        return config
    return data.locate(config, folder / data.file)
