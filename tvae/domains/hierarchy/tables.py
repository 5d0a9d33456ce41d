"""Tables of text: lines of CSV, TSV and Parquet files, data frames, and features by item."""

import csv
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tvae.errors import UserError, needs_extra

Path = str | os.PathLike[str]
Numbered = Iterator[tuple[int, list[str]]]
"""Line of the file, and its cells."""

NAME = ("child", "name", "item", "id")
"""Headings of the column of items, in any case; the first that is there counts."""
_MISSING = ("", "none", "nan", "<na>", "nat")
"""Texts of values that are missing, in small letters."""


def read_lines(path: Path) -> Numbered:
    """Lines of a CSV, TSV or Parquet file with their numbers; empty ones are left out.

    Raises:
      UserError: if the file cannot be read.
    """
    file = pathlib.Path(path)
    if file.suffix.lower() == ".parquet":
        yield from _lines_of(_read_parquet(file))
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


def _read_parquet(file: pathlib.Path) -> dict[str, list[str]]:
    with needs_extra("export", "a Parquet file"):
        import pyarrow
        import pyarrow.parquet as parquet
    try:
        return columns_of(parquet.read_table(file))
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: cannot be read ({reason})") from error


def _lines_of(columns: Mapping[str, list[str]]) -> Numbered:
    """Columns as the lines of a file whose first line holds their names."""
    yield 1, list(columns)
    yield from ((i, list(row)) for i, row in enumerate(zip(*columns.values(), strict=True), 2))


def columns_of(table: Any) -> dict[str, list[str]]:
    """The columns of a table in memory as texts, "" for what is missing.

    Whole numbers of a column of floats, as pandas keeps numbers beside a gap, lose their ".0".

    Args:
      table: a dict of columns; a data frame of pandas or polars; a table of pyarrow.

    Raises:
      UserError: if it is none of these, or its columns differ in length.

    >>> columns_of({"child": ["a", "b"], "parent": [None, 1.0]})
    {'child': ['a', 'b'], 'parent': ['', '1']}
    """
    if isinstance(table, Mapping):
        columns = {str(name): list(column) for name, column in table.items()}
    elif hasattr(table, "to_pydict"):  # pyarrow
        columns = {str(name): column for name, column in table.to_pydict().items()}
    elif hasattr(table, "columns") and hasattr(table, "__getitem__"):  # pandas, polars
        columns = {str(name): list(table[name]) for name in table.columns}
    else:
        got = type(table).__name__
        raise UserError(f"data: expected a data frame or a dict of columns, got {got}")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"data: expected columns of one length, got {lengths}")
    return {name: [_as_text(value) for value in column] for name, column in columns.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return "" if text.lower() in _MISSING else text


def find_column(header: Sequence[str], known: Sequence[str]) -> int:
    """Place of the first of some names in a header; -1 for none."""
    lowered = [name.strip().lower() for name in header]
    return next((lowered.index(name) for name in known if name in lowered), -1)


def refuse(where: Path, lines: np.ndarray, bad: np.ndarray, words: Callable[[int], str]) -> None:
    """Name the first line with a fault, and how many there are.

    Args:
      where: the file.
      lines: line of each row, ``(n,)``.
      bad: whether each row has the fault, bool ``(n,)``.
      words: row -> what is wrong with it.

    Raises:
      UserError: if a row has it.
    """
    if bad.any():
        first = int(bad.argmax())
        more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
        raise UserError(f"{where}:{lines[first]}: {words(first)}{more}")


def repeated(keys: np.ndarray) -> np.ndarray:
    """Whether each entry is there before, bool ``(n,)``.

    >>> repeated(np.asarray([3, 1, 3])).tolist()
    [False, False, True]
    """
    again = np.ones(len(keys), bool)
    again[np.unique(keys, return_index=True)[1]] = False
    return again


def make_feature(column: Sequence[str], item: np.ndarray, n: int) -> np.ndarray:
    """A feature by item: float64 with NaN for none where all entries are numbers, else text.

    Args:
      column: texts, ``(m,)``.
      item: to which each belongs, all different, ``(m,)``.
      n: number of items.
    """
    texts = np.full(n, "", object)
    texts[item] = np.asarray(column, object)
    try:
        return np.asarray([float(text) if text else np.nan for text in texts])
    except ValueError:
        return texts


def read_features(path: Path, names: np.ndarray) -> dict[str, np.ndarray]:
    """Features of items from a CSV, TSV or Parquet file with a line an item.

    The column ``child``, ``name``, ``item`` or ``id``, or else the first, holds the item's name;
    all others are features. Items without a line have NaN or "".

    Args:
      path: of the file.
      names: of all items, ``(n,)``.

    Returns:
      Name of the column -> feature of all items, ``(n,)``.

    Raises:
      UserError: naming the line of a name that no item has, or that is there twice, or of a line
        with more or fewer cells than the header; or if there is no line or no feature.
    """
    rows = list(read_lines(path))
    if len(rows) < 2 or len(rows[0][1]) < 2:
        raise UserError(f"{path}: expected a header of names and features, and lines of them")
    header, body = [cell.strip() for cell in rows[0][1]], rows[1:]
    own = max(find_column(header, NAME), 0)
    lines = np.asarray([line for line, _ in body])
    wrong = np.asarray([len(cells) != len(header) for _, cells in body])
    refuse(path, lines, wrong, lambda k: f"expected {len(header)} cells, got {len(body[k][1])}")
    given = [cells[own].strip() for _, cells in body]
    number = {name: i for i, name in enumerate(names)}
    item = np.asarray([number.get(name, -1) for name in given])
    refuse(path, lines, item < 0, lambda k: f"{given[k]!r} is no item of the hierarchy")
    refuse(path, lines, repeated(item), lambda k: f"{given[k]!r} is there already")
    return {
        name: make_feature([cells[i].strip() for _, cells in body], item, len(names))
        for i, name in enumerate(header)
        if i != own
    }
