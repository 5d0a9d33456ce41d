"""Hierarchies from files: one function a format, and :func:`read`, which chooses by the name."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tvae.domains.hierarchy.distances import read_distances
from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.newick import read_newick
from tvae.domains.hierarchy.ontologies import read_icd10cm, read_obo
from tvae.domains.hierarchy.stored import read_stored
from tvae.domains.hierarchy.tables import (
    NAME,
    Path,
    columns_of,
    find_column,
    make_feature,
    read_lines,
    refuse,
    repeated,
)
from tvae.domains.hierarchy.taxonomy import read_ncbi
from tvae.domains.hierarchy.wordnet import read_wordnet
from tvae.errors import UserError

_PARENT = ("parent",)
PACKAGES = ("icd10cm", "ncbi")
"""Words in place of a path: data of an installed package."""


def read(path: Path, kind: str = "auto") -> Hierarchy:
    """A hierarchy from a file or folder.

    Args:
      path: of the file; of the folder with WordNet's dictionary files.
      kind: the format; "auto" takes ``.nwk``, ``.newick`` and ``.tree`` for Newick, ``.obo`` for an
        ontology, ``.marisa`` and a folder with ``nodes.dmp`` for NCBI's taxonomy, another folder
        for WordNet, ``.npz`` for the copy that a run keeps, the words ``icd10cm`` and ``ncbi`` for
        an installed package, and all else for a list of edges.

    Raises:
      UserError: if it cannot be read, or is no hierarchy; the line is named.
    """
    file = pathlib.Path(path)
    return _READERS[_format_of(file) if kind == "auto" else kind](file)


def _format_of(file: pathlib.Path) -> str:
    """The format that a name stands for."""
    if file.is_dir():
        of_ncbi = any((file / name).exists() for name in ("nodes.dmp", "taxa.marisa"))
        return "ncbi" if of_ncbi else "wordnet"
    if str(file) in PACKAGES and not file.exists():
        return str(file)
    return _BY_SUFFIX.get(file.suffix.lower(), "edges")


def read_edges(path: Path) -> Hierarchy:
    """A list of edges: columns child and parent of a CSV, TSV or Parquet file.

    The first line may name the columns: ``child`` (or ``name``, ``item``, ``id``) and ``parent``;
    all others are features, numbers where each entry is one. Without such names the first two
    columns are child and parent. An item with several lines has several parents, the first of which
    is the primary one; one with an empty parent, or that is only a parent, is the root.

    Args:
      path: of the file; ``.parquet`` needs pyarrow, ``.tsv`` and ``.tab`` are separated by tabs.

    Raises:
      UserError: naming the line of an item without a parent beside the root, of an edge that is
        there twice, of an item below itself, or of a cycle; or if there is no edge.
    """
    file = pathlib.Path(path)
    rows = list(read_lines(file))
    header = rows[0][1] if rows else []
    child, parent = (find_column(header, known) for known in (NAME, _PARENT))
    named = min(child, parent) >= 0
    if not named:
        child, parent = 0, 1
    body = rows[1:] if named else rows
    if not body:
        raise UserError(f"{file}: expected lines of child and parent, got none")
    for line, cells in body:
        if len(cells) <= max(child, parent) or not cells[child].strip():
            raise UserError(f"{file}:{line}: expected child and parent, got {cells}")
    children = [cells[child].strip() for _, cells in body]
    parents = [cells[parent].strip() for _, cells in body]
    lines = np.asarray([line for line, _ in body])
    others = [(i, name) for i, name in enumerate(header) if named and i not in (child, parent)]
    columns = {
        name: [cells[i] if i < len(cells) else "" for _, cells in body] for i, name in others
    }
    return from_edges(children, parents, where=file, lines=lines, columns=columns)


def from_table(table: Any) -> Hierarchy:
    """A hierarchy of a table in memory, by the columns of :func:`read_edges`.

    Args:
      table: see :func:`tvae.domains.hierarchy.tables.columns_of`; its rows are named from 1.

    Raises:
      UserError: see :func:`read_edges`; or if there are no such columns.

    >>> known = from_table({"name": ["cat", "lion"], "parent": [None, "cat"], "legs": [4, 4]})
    >>> known.names.tolist(), known.features["legs"].tolist()
    (['cat', 'lion'], [4.0, 4.0])
    """
    columns = {name: [text.strip() for text in c] for name, c in columns_of(table).items()}
    header = list(columns)
    child, parent = (find_column(header, known) for known in (NAME, _PARENT))
    if min(child, parent) < 0:
        raise UserError(f"data: expected columns child and parent, got {', '.join(header) or '-'}")
    lower, upper = columns.pop(header[child]), columns.pop(header[parent])
    if not lower:
        raise UserError("data: expected rows of child and parent, got none")
    lines = np.arange(1, len(lower) + 1)
    refuse("data", lines, np.asarray([not name for name in lower]), lambda _: "expected a child")
    return from_edges(lower, upper, where="data", lines=lines, columns=columns)


def from_edges(
    children: Sequence[str],
    parents: Sequence[str],
    *,
    where: Path = "edges",
    lines: np.ndarray | None = None,
    columns: Mapping[str, list[str]] | None = None,
) -> Hierarchy:
    """A hierarchy of edges between names; see :func:`read_edges`.

    Args:
      children: name of each edge's lower item.
      parents: name of its upper item; "" for none.
      where: for messages.
      lines: line of each edge, for messages; by default from 1.
      columns: features of the lower items, one entry an edge; the first of an item counts.

    Raises:
      UserError: see :func:`read_edges`.

    >>> known = from_edges(["cat", "dog", "lion"], ["mammal", "mammal", "cat"])
    >>> known.names.tolist(), known.parent.tolist()
    (['mammal', 'cat', 'lion', 'dog'], [-1, 0, 1, 0])
    """
    lines = np.arange(1, len(children) + 1) if lines is None else lines
    number: dict[str, int] = {}
    for name in (name for pair in zip(parents, children, strict=True) for name in pair if name):
        number.setdefault(name, len(number))
    child = np.asarray([number[name] for name in children], np.int64)
    parent = np.asarray([number[name] if name else -1 for name in parents], np.int64)
    names = np.asarray(list(number), object)
    refuse(where, lines, child == parent, lambda k: f"{children[k]!r} is its own parent")
    twice = repeated(child * (len(names) + 1) + parent)
    refuse(where, lines, twice, lambda k: f"{children[k]!r} below {parents[k]!r} is there already")
    primary = ~repeated(child)
    mixed = np.isin(child, child[parent < 0]) & (parent >= 0)
    refuse(where, lines, mixed, lambda k: f"{children[k]!r} has no parent in another line")
    above = np.full(len(names), -1)
    above[child[primary]] = parent[primary]
    roots = np.flatnonzero(above < 0)
    if len(roots) > 1:
        shown = ", ".join(_root_line(names[i], i, child, parent, lines) for i in roots[:3])
        raise UserError(
            f"{where}: expected one root, an item without a parent; got {len(roots)}: {shown}"
        )
    features = {
        name: make_feature(np.asarray(column, object)[primary].tolist(), child[primary], len(names))
        for name, column in (columns or {}).items()
    }
    extra = np.stack([child, parent], 1)[~primary]

    def line_of(lower: int, upper: int) -> int:
        return int(lines[np.flatnonzero((child == lower) & (parent == upper))[0]])

    try:
        return from_parents(names, above, extra, features, line_of=line_of)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix('hierarchy: ')}") from error


def read_lineage(path: Path) -> Hierarchy:
    """Lineage columns: one column a rank from the widest, the last one names the item.

    A name that stands below two parents is two items, told apart by their whole path; empty cells
    are left out. Several names in the first column get a root ``"root"`` above them.

    Raises:
      UserError: naming the line of an item that is there twice; or if there is no line.
    """
    file = pathlib.Path(path)
    rows = list(read_lines(file))[1:]
    if not rows:
        raise UserError(f"{file}: expected a line of ranks and lines of names, got none")
    number: dict[tuple[str, ...], int] = {(): 0}
    parent = [-1]
    last: dict[tuple[str, ...], int] = {}
    for line, cells in rows:
        path_of = tuple(cell.strip() for cell in cells if cell.strip())
        if not path_of:
            raise UserError(f"{file}:{line}: expected a name in one column or more")
        if path_of in last:
            raise UserError(
                f"{file}:{line}: {path_of[-1]!r} is there already, line {last[path_of]}"
            )
        last[path_of] = line
        for depth in range(1, len(path_of) + 1):
            if path_of[:depth] not in number:
                number[path_of[:depth]] = len(parent)
                parent.append(number[path_of[: depth - 1]])
    paths = list(number)
    names = [path_of[-1] if path_of else "root" for path_of in paths]
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        seen.setdefault(name, i)
    distinct = [name if seen[name] == i else "/".join(paths[i]) for i, name in enumerate(names)]
    if parent.count(0) == 1:  # one name in the first column is the root itself
        return from_parents(distinct[1:], np.asarray(parent[1:]) - 1)
    return from_parents(distinct, parent)


_READERS: dict[str, Callable[[pathlib.Path], Hierarchy]] = {
    "edges": read_edges,
    "lineage": read_lineage,
    "newick": read_newick,
    "distances": read_distances,
    "wordnet": read_wordnet,
    "obo": read_obo,
    "icd10cm": lambda _: read_icd10cm(),
    "ncbi": read_ncbi,
    "stored": read_stored,
}
_BY_SUFFIX = {
    ".nwk": "newick",
    ".newick": "newick",
    ".tree": "newick",
    ".obo": "obo",
    ".marisa": "ncbi",
    ".npz": "stored",
}


def _root_line(name: str, item: int, child: np.ndarray, parent: np.ndarray, lines: Any) -> str:
    """A root with its line, where it has one of its own, or else with that of a child."""
    own = np.flatnonzero(child == item)
    if own.size:
        return f"{name!r} (line {lines[own[0]]})"
    below = np.flatnonzero(parent == item)[0]
    return f"{name!r} (never a child; the parent in line {lines[below]})"
