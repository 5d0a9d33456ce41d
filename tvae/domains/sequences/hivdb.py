"""Tables of the Stanford HIV Drug Resistance Database: fold changes of isolates.

The filtered genotype-phenotype data sets (``PI``, ``NRTI``, ``NNRTI``, ``INI``) are tab-separated:
``SeqID``, one column of fold changes for each drug, ``P1`` to ``Pn``, and ``CompMutList``. A cell
is ``-`` for the reference, ``.`` not sequenced, ``X`` unknown, or letters: one for a substitution,
several for a mixture, ``*`` a stop, ``#`` an insertion, ``~`` a deletion.

Source: Rhee et al. 2003, *Human immunodeficiency virus reverse transcriptase and protease sequence
database*, Nucleic Acids Research 31; https://hivdb.stanford.edu/pages/genopheno.dataset.html.
"""

import dataclasses
import functools
import pathlib
import re

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.alphabets import PROTEIN, SAME
from tvae.domains.sequences.tables import (
    Problem,
    Table,
    Value,
    read_cells,
    read_lines,
    read_value,
    require_rows,
)
from tvae.errors import UserError

ASSAY_CAP = 100.0
"""Fold change from which PhenoSense reports no more: a value there is a lower bound."""

_MUTATION = re.compile(r"([A-Z])(\d+)\s*(\S+)")


def read(path: str | pathlib.Path, cap: float = ASSAY_CAP) -> Table:
    """Read one table.

    Letters of the reference come from ``CompMutList`` (``D30N``); where a position has no mutation
    in any row its letter is not known, and not needed.

    Args:
      path: the file.
      cap: fold change from which a value is a lower bound.

    Returns:
      The table; its ``problems`` list rows left out and cells repaired.

    Raises:
      UserError: if this is no such table, or no row can be used.
    """
    path = pathlib.Path(path)
    header, lines = read_lines(path, "\t")
    first, end = _position_columns(path, header)
    problems: list[Problem] = []
    kept: list[tuple[int, list[str], list[Value]]] = []
    for number, line in enumerate(lines, 2):
        try:
            row = _checked_row(line, header, first, end)
            values = [read_value(text, cap) for text in row[1:first]]
        except ValueError as error:
            problems.append(Problem(path.name, number, f"{error}; row left out"))
            continue
        kept.append((number, row, values))
        for name, was, now in zip(header, line, row, strict=True):
            if was != now and name in header[first:end]:
                problems.append(Problem(path.name, number, f"{name} is {was!r}; read as {now!r}"))
    require_rows(kept, problems, path)
    rows = [row for _, row, _ in kept]
    reference = _reference([row[end:] for row in rows], end - first)
    texts = np.asarray([row[first:end] for row in rows])
    measured = [values for _, _, values in kept]
    shape = (len(kept), first - 1)
    return Table(
        name=path.name,
        ids=tuple(row[0] for row in rows),
        places=tuple(f"{path.name}:{number}" for number, _, _ in kept),
        cells=read_cells(texts, reference, PROTEIN, same="-"),
        reference=reference,
        positions=np.arange(1, end - first + 1),
        labels=tuple(header[1:first]),
        values=np.asarray([[each.value for each in row] for row in measured]).reshape(shape),
        censored=np.asarray([[each.censored for each in row] for row in measured], np.int8),
        problems=tuple(problems),
    )


def _position_columns(path: pathlib.Path, header: list[str]) -> tuple[int, int]:
    """First and last + 1 of the columns ``P1`` to ``Pn``."""
    first = header.index("P1") if "P1" in header else 0
    end = first + sum(re.fullmatch(r"P\d+", name) is not None for name in header)
    expected = [f"P{number}" for number in range(1, end - first + 1)]
    if header[0] != "SeqID" or first < 2 or header[first:end] != expected:
        shown = ", ".join(header[:4])
        raise UserError(
            f"{path}:1: expected a table of HIVDB with tab-separated columns SeqID, drugs, "
            f"P1 to Pn; got {len(header)} columns that begin with {shown}"
        )
    return first, end


def _checked_row(line: list[str], header: list[str], first: int, end: int) -> list[str]:
    """The row with its cells stripped, and without dots beside letters.

    Raises:
      ValueError: if a cell cannot be read.
    """
    if len(line) != len(header):
        raise ValueError(f"has {len(line)} columns, the header {len(header)}")
    row = [text.strip() for text in line]
    for column in range(first, end):
        text = row[column]
        if len(text) != 1:
            row[column] = text = text.replace(".", "")
        if text != "-" and (reason := _fault(text)):
            raise ValueError(f"{header[column]} is {text!r}: {reason}")
    return row


@functools.cache
def _fault(text: str) -> str:
    """Why a cell cannot be read; empty if it can."""
    try:
        PROTEIN.cell(text)
    except ValueError as error:
        return str(error)
    return "" if text else "an empty cell"


def _reference(lists: list[list[str]], length: int) -> NDArray[np.uint32]:
    """Cells of the reference from the lists of mutations."""
    reference = np.full(length, SAME, np.uint32)
    for letter, position, _ in {
        found for texts in lists for text in texts for found in _MUTATION.findall(text)
    }:
        if 1 <= int(position) <= length:
            reference[int(position) - 1] = PROTEIN.cell(letter)
    return reference


def _stated(table: Table, reference: NDArray[np.uint32]) -> Table:
    """The table with letters of the reference from elsewhere."""
    reference = reference[: len(table.reference)]
    same = (table.cells & np.uint32(SAME)) != 0
    return dataclasses.replace(
        table, cells=np.where(same, reference, table.cells), reference=reference
    )


def join(one: Table, other: Table, name: str) -> Table:
    """One table of two regions of the same gene, by the names of rows.

    A row of ``other`` joins the first row of ``one`` that has its name; other rows stay alone.
    Labels stand side by side; positions are those of the longer table, not sequenced where a row
    comes from the shorter one.

    Args:
      one: first table.
      other: second table, with labels of other names.
      name: of the result.

    Returns:
      The joined table, whose ``shared`` is the length of the shorter one. A row whose sequence
      differs between both is listed as a problem and stays apart.

    Raises:
      UserError: if a label is in both.
    """
    if both := sorted(set(one.labels) & set(other.labels)):
        raise UserError(f"{one.name} and {other.name}: the label {both[0]} is in both")
    longer = max((one, other), key=lambda table: len(table.positions))
    shared = min(len(one.positions), len(other.positions))
    reference = longer.reference.copy()
    for table in (one, other):
        stated = table.reference[:shared] != SAME
        reference[:shared][stated] = table.reference[:shared][stated]
    one, other = (_stated(table, reference) for table in (one, other))
    first = {key: row for row, key in reversed(list(enumerate(one.ids)))}
    target = np.asarray([first.get(key, -1) for key in other.ids])
    same = (one.cells[target, :shared] == other.cells[:, :shared]).all(1)
    different = (target >= 0) & ~same
    problems = tuple(
        Problem(file, int(line), f"{other.ids[row]} has another sequence there; not joined")
        for row in np.flatnonzero(different)
        for file, _, line in [other.places[row].rpartition(":")]
    )
    joined, alone = np.flatnonzero((target >= 0) & same), np.flatnonzero((target < 0) | different)
    n = len(one.ids)
    rows = np.full(len(other.ids), -1)
    rows[joined], rows[alone] = target[joined], n + np.arange(len(alone))
    total, longest = n + len(alone), max(one.cells.shape[1], other.cells.shape[1])
    cells = np.zeros((total, longest), np.uint32)
    cells[:n, : one.cells.shape[1]] = one.cells
    cells[rows, : other.cells.shape[1]] |= other.cells
    split = len(one.labels)
    values = np.full((total, split + len(other.labels)), np.nan)
    censored = np.zeros(values.shape, np.int8)
    values[:n, :split], values[rows, split:] = one.values, other.values
    censored[:n, :split], censored[rows, split:] = one.censored, other.censored
    return Table(
        name=name,
        ids=one.ids + tuple(other.ids[row] for row in alone),
        places=one.places + tuple(other.places[row] for row in alone),
        cells=cells,
        reference=reference,
        positions=longer.positions,
        labels=one.labels + other.labels,
        values=values,
        censored=censored,
        problems=one.problems + other.problems + problems,
        shared=shared,
    )
