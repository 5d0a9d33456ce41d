"""The hierarchy that a configuration names, and the copy of it that stays with a model."""

import dataclasses
import functools
import pathlib
from typing import Any

from ml_collections import ConfigDict

from tvae.domains.domain import KeptData
from tvae.domains.hierarchy import readers, stored
from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.links import Links, read_links
from tvae.domains.hierarchy.tables import read_features
from tvae.errors import UserError


def load(data: ConfigDict) -> Hierarchy:
    """Read ``config.data``; the same value as long as the files do not change.

    Raises:
      UserError: if a file cannot be read, is no hierarchy, or has no features of its items.
    """
    if data.format == "table":
        raise UserError(
            "config.data.format: a table in memory has no file; give it to tvae.train, or continue "
            "its run"
        )
    if not data.edges:
        if data.features:
            raise UserError("config.data.features: need config.data.edges, of which they are")
        return _whole(made_tree(), data.root)
    installed = data.edges in readers.PACKAGES and not pathlib.Path(data.edges).exists()
    edges = (data.edges, 0, 0) if installed else _stamp("data.edges", data.edges)
    features = _stamp("data.features", data.features) if data.features else ("", 0, 0)
    return _read(edges, data.format, data.root, features)


def labelled_pairs(file: str, known: Hierarchy) -> Links:
    """The pairs of ``config.evaluation.pairs``; the same value as long as the file does not change.

    Raises:
      UserError: if the file cannot be read, or names an item that there is not.
    """
    return _labelled_pairs(_stamp("evaluation.pairs", file), known)


@functools.lru_cache(maxsize=8)
def _labelled_pairs(file: tuple[str, int, int], known: Hierarchy) -> Links:
    return read_links(file[0], known, labelled=True)


def _stamp(field: str, name: str) -> tuple[str, int, int]:
    """Absolute path of a file or folder, and what changes with its content."""
    path = pathlib.Path(name).expanduser().absolute()
    if not path.exists():
        raise UserError(f"config.{field}: {path} does not exist")
    about = path.stat()
    return str(path), about.st_mtime_ns, about.st_size


@functools.lru_cache(maxsize=8)
def _read(
    edges: tuple[str, int, int], kind: str, root: str, features: tuple[str, int, int]
) -> Hierarchy:
    known = readers.read(edges[0], kind)
    if features[0]:
        columns = read_features(features[0], known.names)
        if both := sorted(columns.keys() & known.features.keys()):
            raise UserError(f"{features[0]}: feature {both[0]!r} is in {edges[0]} already")
        known = dataclasses.replace(known, features={**known.features, **columns})
    return _whole(known, root)


def write_copy(config: ConfigDict, path: pathlib.Path) -> None:
    """Write the hierarchy that ``config.data`` names."""
    stored.write_stored(load(config.data), path)


def locate(config: ConfigDict, path: pathlib.Path) -> ConfigDict:
    """The configuration with a copy in place of the files, of which it is the wanted part."""
    found = config.copy_and_resolve_references()
    with found.unlocked():
        found.data.update(edges=str(path), format="stored", root="", features="")
    return found


def differ(one: ConfigDict, other: ConfigDict) -> bool:
    """Whether two configurations name different hierarchies; none that cannot be read does."""
    try:
        return stored.digest(load(one.data)) != stored.digest(load(other.data))
    except UserError:
        return False


def take(table: Any, config: ConfigDict, path: pathlib.Path) -> ConfigDict:
    """Write the hierarchy of a table in memory; the configuration of it.

    Raises:
      UserError: if the configuration names a file as well, or the table is no hierarchy.
    """
    data = config.data
    if data.edges or data.features or data.format not in ("auto", "table"):
        raise UserError(
            "data: expected no config.data.edges and config.data.features beside a table in memory,"
            f" and config.data.format auto, got {data.edges!r}, {data.features!r}, {data.format!r}"
        )
    stored.write_stored(_whole(readers.from_table(table), data.root), path)
    found = config.copy_and_resolve_references()
    with found.unlocked():
        found.data.format = "table"
    return found


KEPT = KeptData(stored.FILE, write_copy, locate, differ, take)
"""Of the domains whose data are a hierarchy."""


def _whole(known: Hierarchy, root: str) -> Hierarchy:
    return known.below(root) if root else known


@functools.cache
def made_tree(depth: int = 3, children: int = 3) -> Hierarchy:
    """A complete tree for a first look: 40 items, named by their number."""
    count = (children ** (depth + 1) - 1) // (children - 1)
    names = [f"item {i}" for i in range(count)]
    return from_parents(names, [-1, *((i - 1) // children for i in range(1, count))])
