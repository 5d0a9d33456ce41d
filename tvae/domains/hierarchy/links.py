"""Pairs of item and ancestor: those that are learnt, and labelled ones of a file."""

import dataclasses
import functools
import pathlib

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.domains.hierarchy.tables import NAME, Path, find_column, read_lines, refuse
from tvae.errors import UserError

_ANCESTOR = ("parent", "ancestor", "upper")
_LABEL = ("label", "is_a", "truth")
_TRUE, _FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")


@dataclasses.dataclass(frozen=True, eq=False)
class Links:
    """Pairs of a file.

    Attributes:
      item: int32 ``(n,)``.
      ancestor: the item that may be above it, int32 ``(n,)``.
      label: whether it is, bool ``(n,)``; None where the file has no such column.
    """

    item: np.ndarray
    ancestor: np.ndarray
    label: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Positives:
    """The ancestors of each item that a training draws near; a file is read when they are needed.

    Attributes:
      known: the hierarchy.
      complete: whether these are all ancestors, else the edges and further pairs.
      file: of the further pairs; "" for none.
      strict: whether each pair that is not learnt is a negative one, whether the hierarchy has it
        or not; else ancestors by any path are none.
    """

    known: Hierarchy
    complete: bool = True
    file: str = ""
    strict: bool = False

    @functools.cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Ancestors of the items, compressed like :attr:`Hierarchy.closure`.

        Raises:
          UserError: if the file cannot be read, or names an item that there is not.
        """
        if self.complete:
            return self.known.closure
        further = read_links(self.file, self.known, labelled=False) if self.file else None
        return some_ancestors(self.known, further)


def some_ancestors(known: Hierarchy, further: Links | None) -> tuple[np.ndarray, np.ndarray]:
    """The edges of a hierarchy and further pairs, compressed like :attr:`Hierarchy.closure`.

    >>> from tvae.domains.hierarchy.hierarchy import from_parents
    >>> chain = from_parents(["a", "b", "c"], [-1, 0, 1])
    >>> some_ancestors(chain, None)[1].tolist()
    [0, 1]
    >>> some_ancestors(chain, Links(np.asarray([2]), np.asarray([0]), None))[1].tolist()
    [0, 0, 1]
    """
    n = len(known)
    item = [np.arange(1, n), known.extra[:, 0]]
    ancestor = [known.parent[1:], known.extra[:, 1]]
    if further is not None:
        item.append(further.item)
        ancestor.append(further.ancestor)
    pair = np.unique(np.concatenate(item).astype(np.int64) * n + np.concatenate(ancestor))
    offset = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(pair // n, minlength=n), out=offset[1:])
    return offset, (pair % n).astype(np.int32)


def read_links(path: Path, known: Hierarchy, *, labelled: bool | None) -> Links:
    """Pairs of a CSV, TSV or Parquet file with the columns child, parent and label.

    The first line names the columns: ``child`` (or ``name``, ``item``, ``id``), ``parent`` (or
    ``ancestor``, ``upper``) and ``label`` (or ``is_a``, ``truth``): 1 where the second is above the
    first, else 0.

    Args:
      path: of the file.
      known: the hierarchy whose items the names are.
      labelled: whether there has to be a label; None takes it where it is.

    Raises:
      UserError: if a column is missing, or naming the line of an unknown item or label.
    """
    file = pathlib.Path(path)
    rows = list(read_lines(file))
    header = rows[0][1] if rows else []
    lower, upper, label = (find_column(header, names) for names in (NAME, _ANCESTOR, _LABEL))
    if min(lower, upper) < 0 or (labelled and label < 0):
        wanted = "child, parent and label" if labelled else "child and parent"
        raise UserError(f"{file}: expected columns {wanted}, got {', '.join(header) or 'nothing'}")
    body = rows[1:]
    if not body:
        raise UserError(f"{file}: expected lines of pairs, got none")
    lines = np.asarray([line for line, _ in body])
    width = max(lower, upper, label if labelled is not False else -1) + 1
    refuse(
        file,
        lines,
        np.asarray([len(cells) < width for _, cells in body]),
        lambda k: f"expected {width} cells, got {body[k][1]}",
    )
    ends = [
        _items([cells[column].strip() for _, cells in body], known, file, lines)
        for column in (lower, upper)
    ]
    if label < 0 or labelled is False:
        return Links(ends[0], ends[1], None)
    words = [cells[label].strip().lower() for _, cells in body]
    true = np.isin(words, _TRUE)
    wrong = ~true & ~np.isin(words, _FALSE)
    refuse(file, lines, wrong, lambda k: f"expected 1 or 0 as label, got {words[k]!r}")
    return Links(ends[0], ends[1], true)


def _items(names: list[str], known: Hierarchy, file: pathlib.Path, lines: np.ndarray) -> np.ndarray:
    """Numbers of the items with these names, int32."""
    number = {str(name): i for i, name in enumerate(known.names)}
    index = np.asarray([number.get(name, -1) for name in names], np.int32)
    refuse(file, lines, index < 0, lambda k: f"no item is named {names[k]!r}")
    return index
