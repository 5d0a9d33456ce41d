"""A table of aligned sequences with measured labels, and what was wrong with its file."""

import csv
import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.alphabets import PROTEIN, Alphabet
from tvae.errors import UserError, needs_extra

MISSING = ("", "NA", "NaN", "nan")
"""Texts of a value that was not measured."""


class Problem(NamedTuple):
    """Something wrong in a file.

    Attributes:
      file: its name.
      line: counted from 1, the header included.
      reason: what was found, and what follows.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        """``file:line: reason``."""
        return f"{self.file}:{self.line}: {self.reason}"


class Value(NamedTuple):
    """A measured value.

    Attributes:
      value: NaN if it was not measured.
      censored: 1 if the truth is at least the value, -1 if at most, else 0.
    """

    value: float
    censored: int


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Sequences in rows, positions and labels in columns.

    Attributes:
      name: of the table, for messages.
      ids: ``n`` names of rows; rows of one name are one isolate.
      places: ``n`` texts ``file:line``.
      cells: uint32 ``(n, p)``, see :mod:`tvae.domains.sequences.alphabets`.
      reference: uint32 ``(p,)``, the cell of the reference.
      positions: ``(p,)``, numbers of the positions.
      labels: ``d`` names.
      values: float ``(n, d)``, in the unit of the file, NaN if missing.
      censored: int8 ``(n, d)``, see :class:`Value`.
      alphabet: of the cells.
      columns: further columns by name, ``n`` texts each.
      problems: rows left out and cells repaired.
      shared: number of first positions that each row covers, if tables were joined.
    """

    name: str
    ids: tuple[str, ...]
    places: tuple[str, ...]
    cells: NDArray[np.uint32]
    reference: NDArray[np.uint32]
    positions: NDArray[np.int64]
    labels: tuple[str, ...]
    values: NDArray[np.float64]
    censored: NDArray[np.int8]
    alphabet: Alphabet = PROTEIN
    columns: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    shared: int | None = None

    @property
    def header(self) -> str:
        """``file:1``, of each file, for messages about columns."""
        return ", ".join(dict.fromkeys(f"{each.rpartition(':')[0]}:1" for each in self.places))

    def take(self, rows: NDArray[np.integer]) -> "Table":
        """The table of some rows, in their order."""
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            places=tuple(self.places[row] for row in rows),
            cells=self.cells[rows],
            values=self.values[rows],
            censored=self.censored[rows],
            columns={name: tuple(each[row] for row in rows) for name, each in self.columns.items()},
        )

    def with_labels(self, names: Sequence[str]) -> "Table":
        """The table of some labels, in this order, without rows that have none of them.

        Raises:
          UserError: if a label is not in the table.
        """
        for name in names:
            if name not in self.labels:
                raise UserError(
                    f"{self.name}:1: no label {name!r}; labels: {', '.join(self.labels)}"
                )
        chosen = [self.labels.index(name) for name in names]
        values, censored = self.values[:, chosen], self.censored[:, chosen]
        some = dataclasses.replace(self, labels=tuple(names), values=values, censored=censored)
        return some.take(np.flatnonzero(~np.isnan(values).all(1)))

    def targets(self, scale: str = "log10") -> NDArray[np.float64]:
        """Values as a model sees them: ``(n, d)``, NaN if missing.

        Args:
          scale: ``"log10"`` or ``"linear"``.

        Raises:
          UserError: if a label is measured nowhere or is the same everywhere, or if a value has no
            logarithm.
        """
        if scale not in ("log10", "linear"):
            raise UserError(f"scale: expected 'log10' or 'linear', got {scale!r}")
        for label, column in zip(self.labels, self.values.T, strict=True):
            measured = column[~np.isnan(column)]
            if not len(measured):
                raise UserError(f"{self.header}: label {label} has no value in any row")
            if measured.min() == measured.max():
                raise UserError(f"{self.header}: label {label} is {measured[0]:g} in every row")
            if scale == "log10" and measured.min() <= 0:
                place = self.places[int(np.nanargmin(column))]
                raise UserError(f"{place}: {label} is {measured.min():g}; log10 needs it above 0")
        return np.log10(self.values) if scale == "log10" else self.values


def read_value(text: str, cap: float = math.inf) -> Value:
    """A measured value from its text.

    Args:
      text: a number, with ``<`` or ``>`` in front if it is a bound; see :data:`MISSING`.
      cap: upper end of the assay's range: a value from there on is a lower bound.

    Raises:
      ValueError: if the text is none of these.

    >>> read_value("<0.4"), read_value("100", cap=100.0), read_value("2.5")
    (Value(value=0.4, censored=-1), Value(value=100.0, censored=1), Value(value=2.5, censored=0))
    """
    text = text.strip()
    if text in MISSING:
        return Value(math.nan, 0)
    sign = {"<": -1, ">": 1}.get(text[0], 0)
    try:
        value = float(text[1:].lstrip("=") if sign else text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return Value(value, 1 if value >= cap else sign)


def read_lines(path: str | pathlib.Path, delimiter: str) -> tuple[list[str], list[list[str]]]:
    """Header and further lines of a delimited text file, or of a Parquet file.

    A Parquet file, by the ending ``.parquet``, counts as the text that it would be: the names of
    its columns are line 1, its first row is line 2.

    Args:
      path: the file.
      delimiter: between columns; not read for Parquet.

    Raises:
      UserError: if it cannot be read, has no row, or names a column twice.
    """
    path = pathlib.Path(path)
    lines = _parquet_lines(path) if path.suffix == ".parquet" else _text_lines(path, delimiter)
    if len(lines) < 2:
        raise UserError(f"{path}:1: expected a header and rows, got {len(lines)} lines")
    header = [name.strip() for name in lines[0]]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise UserError(f"{path}:1: the column {twice[0]!r} is named twice")
    return header, lines[1:]


def _text_lines(path: pathlib.Path, delimiter: str) -> list[list[str]]:
    """Lines of a delimited text file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.reader(file, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def _parquet_lines(path: pathlib.Path) -> list[list[str]]:
    """Names of columns and rows of a Parquet file, as text."""
    with needs_extra("export", f"{path}: a Parquet file"):
        import pyarrow
        import pyarrow.parquet
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    columns = [["" if x is None else str(x) for x in each.to_pylist()] for each in table.columns]
    return [table.column_names, *([*row] for row in zip(*columns, strict=True))]


def read_cells(
    texts: NDArray[np.str_], reference: NDArray[np.uint32], alphabet: Alphabet, same: str = ""
) -> NDArray[np.uint32]:
    """Cells of texts, each different text read once.

    Args:
      texts: ``(n, p)``.
      reference: ``(p,)``.
      alphabet: of the texts.
      same: the text that stands for the reference, if any.

    Returns:
      uint32 ``(n, p)``.

    Raises:
      ValueError: if a letter is unknown.
    """
    different, inverse = np.unique(texts, return_inverse=True)
    read = [0 if text == same else alphabet.cell(text) for text in different.tolist()]
    cells = np.asarray(read, np.uint32)[inverse.reshape(texts.shape)]
    return np.where(texts == same, reference, cells) if same else cells


def require_rows(kept: Sequence[object], problems: Sequence[Problem], path: object) -> None:
    """Require that some row of a file is good.

    Raises:
      UserError: if none is, with the first reason.
    """
    if not kept:
        raise UserError(f"{path}: no row can be used; the first: {problems[0]}")
