"""The hierarchy that a configuration names."""

import functools
import pathlib

from ml_collections import ConfigDict

from tvae.domains.hierarchy import readers
from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.errors import UserError


def load(data: ConfigDict) -> Hierarchy:
    """Read ``config.data``; the same value as long as the file does not change.

    Raises:
      UserError: if the file cannot be read, or is no hierarchy.
    """
    if not data.edges:
        return _whole(made_tree(), data.root)
    path = pathlib.Path(data.edges).expanduser().absolute()
    if not path.exists():
        raise UserError(f"config.data.edges: {path} does not exist")
    stamp = path.stat()
    return _read(str(path), data.format, data.root, stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=8)
def _read(path: str, kind: str, root: str, mtime: int, size: int) -> Hierarchy:
    del mtime, size  # part of the key: a changed file is read again
    return _whole(readers.read(path, kind), root)


def _whole(known: Hierarchy, root: str) -> Hierarchy:
    return known.below(root) if root else known


@functools.cache
def made_tree(depth: int = 3, children: int = 3) -> Hierarchy:
    """A complete tree for a first look: 40 items, named by their number."""
    count = (children ** (depth + 1) - 1) // (children - 1)
    names = [f"item {i}" for i in range(count)]
    return from_parents(names, [-1, *((i - 1) // children for i in range(1, count))])
