"""Hierarchies from files: one function a format, and :func:`read`, which chooses by the name."""

import csv
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.newick import read_newick
from tvae.domains.hierarchy.ontologies import read_icd10cm, read_obo
from tvae.domains.hierarchy.wordnet import read_wordnet
from tvae.errors import UserError, needs_extra

Path = str | os.PathLike[str]
Numbered = Iterator[tuple[int, list[str]]]
"""Line of the file, and its cells."""

_CHILD, _PARENT = ("child", "name", "item", "id"), ("parent",)


def read(path: Path, kind: str = "auto") -> Hierarchy:
    """A hierarchy from a file or folder.

    Args:
      path: of the file; of the folder with WordNet's dictionary files.
      kind: the format; "auto" takes ``.nwk``, ``.newick`` and ``.tree`` for Newick, ``.obo`` for an
        ontology, a folder for WordNet, the word ``icd10cm`` for the installed package, and all else
        for a list of edges.

    Raises:
      UserError: if it cannot be read, or is no hierarchy; the line is named.
    """
    file = pathlib.Path(path)
    if kind == "auto":
        by_suffix = {".nwk": "newick", ".newick": "newick", ".tree": "newick", ".obo": "obo"}
        kind = "wordnet" if file.is_dir() else by_suffix.get(file.suffix.lower(), "edges")
    return _READERS[kind](file)


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
    rows = list(_table(file))
    header = rows[0][1] if rows else []
    child, parent = (_column(header, known) for known in (_CHILD, _PARENT))
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


def from_edges(
    children: Sequence[str],
    parents: Sequence[str],
    *,
    where: Path = "edges",
    lines: np.ndarray | None = None,
    columns: dict[str, list[str]] | None = None,
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
    _refuse(where, lines, child == parent, lambda k: f"{children[k]!r} is its own parent")
    pair = child * (len(names) + 1) + parent
    _, first = np.unique(pair, return_index=True)
    twice = np.ones(len(pair), bool)
    twice[first] = False
    _refuse(where, lines, twice, lambda k: f"{children[k]!r} below {parents[k]!r} is there already")
    _, first = np.unique(child, return_index=True)
    primary = np.zeros(len(child), bool)
    primary[first] = True
    mixed = np.isin(child, child[parent < 0]) & (parent >= 0)
    _refuse(where, lines, mixed, lambda k: f"{children[k]!r} has no parent in another line")
    above = np.full(len(names), -1)
    above[child[primary]] = parent[primary]
    roots = np.flatnonzero(above < 0)
    if len(roots) > 1:
        shown = ", ".join(_root_line(names[i], i, child, lines) for i in roots[:3])
        raise UserError(
            f"{where}: expected one root, an item without a parent; got {len(roots)}: {shown}"
        )
    features = {
        name: _typed(column, child[primary], np.flatnonzero(primary), len(names))
        for name, column in (columns or {}).items()
    }
    extra = np.stack([child, parent], 1)[~primary]
    try:
        return from_parents(names, above, extra, features)
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
    rows = list(_table(file))[1:]
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


def read_distances(path: Path) -> Hierarchy:
    """A square matrix of distances with names in its first line and column, or first line alone.

    The hierarchy is average linkage (UPGMA): items are leaves, and inner nodes are named by their
    number.

    Raises:
      UserError: if it is not square, symmetric, finite and 0 on its diagonal.
    """
    from scipy.cluster import hierarchy as linkage
    from scipy.spatial.distance import squareform

    file = pathlib.Path(path)
    rows = list(_table(file))
    names = [cell.strip() for cell in rows[0][1]] if rows else []
    wide = bool(rows) and len(rows) > 1 and len(rows[1][1]) == len(rows[0][1]) and names[0] == ""
    names = names[1:] if wide or (names and names[0] == "") else names
    try:
        matrix = np.asarray([cells[-len(names) :] for _, cells in rows[1:]], float)
    except ValueError as error:
        raise UserError(f"{file}: expected numbers below the names; {error}") from error
    if matrix.shape != (len(names), len(names)) or len(names) < 2:
        raise UserError(
            f"{file}: expected a square matrix of {len(names)} names, got {matrix.shape}"
        )
    if (
        not np.isfinite(matrix).all()
        or not np.allclose(matrix, matrix.T)
        or matrix.diagonal().any()
    ):
        raise UserError(f"{file}: expected finite symmetric distances, 0 on the diagonal")
    merged = linkage.linkage(squareform(matrix, checks=False), "average").astype(int)
    n = len(names)
    parent = np.full(2 * n - 1, -1)
    parent[merged[:, 0]] = parent[merged[:, 1]] = np.arange(n, 2 * n - 1)
    return from_parents([*names, *(f"node {k}" for k in range(n, 2 * n - 1))], parent)


_READERS: dict[str, Callable[[pathlib.Path], Hierarchy]] = {
    "edges": read_edges,
    "lineage": read_lineage,
    "newick": read_newick,
    "distances": read_distances,
    "wordnet": read_wordnet,
    "obo": read_obo,
    "icd10cm": lambda _: read_icd10cm(),
}


def _table(file: pathlib.Path) -> Numbered:
    """Lines of a CSV, TSV or Parquet file with their numbers; empty ones are left out."""
    if file.suffix.lower() == ".parquet":
        with needs_extra("export", "a Parquet file"):
            import pyarrow.parquet as parquet
        table = parquet.read_table(file)
        yield 1, list(table.column_names)
        columns = [["" if x is None else str(x) for x in c.to_pylist()] for c in table.columns]
        yield from ((i, list(row)) for i, row in enumerate(zip(*columns, strict=True), 2))
        return
    delimiter = "\t" if file.suffix.lower() in (".tsv", ".tab") else ","
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            lines = csv.reader(stream, delimiter=delimiter)
            for cells in lines:
                if any(cells):
                    yield lines.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{file}: cannot be read ({reason})") from error


def _column(header: list[str], known: Sequence[str]) -> int:
    """Place of the first of some names in the header; -1 for none."""
    lowered = [name.strip().lower() for name in header]
    return next((lowered.index(name) for name in known if name in lowered), -1)


def _refuse(where: Path, lines: np.ndarray, bad: np.ndarray, words: Callable[[int], str]) -> None:
    """Name the first line with a fault, and how many there are."""
    if bad.any():
        first = int(bad.argmax())
        more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
        raise UserError(f"{where}:{lines[first]}: {words(first)}{more}")


def _root_line(name: str, item: int, child: np.ndarray, lines: np.ndarray) -> str:
    """A root with its line, where it has one of its own."""
    own = np.flatnonzero(child == item)
    if own.size:
        return f"{name!r} (line {lines[own[0]]})"
    return f"{name!r} (never a child)"


def _typed(column: list[str], item: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """A feature by item: float64 with NaN for none where all entries are numbers, else text."""
    texts = np.full(n, "", object)
    texts[item] = np.asarray(column, object)[row]
    try:
        return np.asarray([float(text) if text else np.nan for text in texts])
    except ValueError:
        return texts
