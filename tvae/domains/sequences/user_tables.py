"""Tables of one's own: CSV or Parquet with sequences or columns of positions, or FASTA and labels.

Sequences must be aligned, all of the reference's length. A gap ``-`` is a deletion.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from tvae.domains.sequences.alphabets import PROTEIN, SAME, Alphabet
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


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a file holds what.

    Attributes:
      id: column of the rows' names.
      labels: columns of measured values.
      sequence: column of whole sequences, or empty if ``positions`` is given.
      positions: columns of single positions, in order, several letters a cell for a mixture.
      columns: further columns to keep, for groups.
      reference: aligned sequence that differences are counted from; empty for the most frequent
        letter at each position.
      alphabet: of the sequences.
      delimiter: between columns.
    """

    id: str
    labels: tuple[str, ...]
    sequence: str = ""
    positions: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    reference: str = ""
    alphabet: Alphabet = PROTEIN
    delimiter: str = ","


def read_csv(path: str | pathlib.Path, layout: Layout) -> Table:
    """Read a table with sequences and labels.

    Args:
      path: a delimited text file with a header, or a Parquet file.
      layout: its columns.

    Returns:
      The table; its ``problems`` list rows left out.

    Raises:
      UserError: if a column is missing, the layout names both or neither of a sequence and
        positions, or no row can be used.
    """
    path = pathlib.Path(path)
    header, lines = read_lines(path, layout.delimiter)
    if bool(layout.sequence) == bool(layout.positions):
        raise UserError(f"{path}: expected either a sequence column or columns of positions")
    sequences = [layout.sequence] if layout.sequence else list(layout.positions)
    wanted = [layout.id, *sequences, *layout.labels, *layout.columns]
    column = _find_columns(path, header, wanted)
    rows: list[tuple[int, list[str], dict[str, str]]] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            reason = f"has {len(line)} columns, the header {len(header)}; row left out"
            problems.append(Problem(path.name, number, reason))
            continue
        row = {name: line[column[name]].strip() for name in wanted}
        letters = list(row[layout.sequence]) if layout.sequence else [row[x] for x in sequences]
        rows.append((number, letters, row))
    return _table(path, layout, rows, problems)


def read_fasta(fasta: str | pathlib.Path, labels: str | pathlib.Path, layout: Layout) -> Table:
    """Read sequences from FASTA and their labels from a delimited table.

    Args:
      fasta: the sequences; a name is the first word of its line.
      labels: a table whose column ``layout.id`` holds these names.
      layout: columns of the table; ``sequence`` and ``positions`` are not read.

    Returns:
      The table, in the order of the labels' file; problems name its lines. A sequence without a
      row of labels is a problem too.

    Raises:
      UserError: as :func:`read_csv`.
    """
    labels, fasta = pathlib.Path(labels), pathlib.Path(fasta)
    header, lines = read_lines(labels, layout.delimiter)
    wanted = [layout.id, *layout.labels, *layout.columns]
    column = _find_columns(labels, header, wanted)
    sequences = {name: (number, text) for number, name, text in read_records(fasta)}
    rows: list[tuple[int, list[str], dict[str, str]]] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 2):
        if len(line) != len(header):
            reason = f"has {len(line)} columns, the header {len(header)}; row left out"
            problems.append(Problem(labels.name, number, reason))
            continue
        row = {name: line[column[name]].strip() for name in wanted}
        if row[layout.id] not in sequences:
            reason = f"{row[layout.id]!r} is not in {fasta.name}; row left out"
            problems.append(Problem(labels.name, number, reason))
            continue
        rows.append((number, list(sequences[row[layout.id]][1]), row))
    labelled = {row[layout.id] for _, _, row in rows}
    problems += [
        Problem(fasta.name, number, f"{name!r} has no row in {labels.name}; left out")
        for name, (number, _) in sequences.items()
        if name not in labelled
    ]
    return _table(labels, layout, rows, problems)


def read_sequences(fasta: str | pathlib.Path, layout: Layout) -> Table:
    """Read sequences from FASTA, without labels.

    Args:
      fasta: the sequences; a name is the first word of its line.
      layout: its reference and alphabet are read.

    Raises:
      UserError: as :func:`read_csv`.
    """
    fasta = pathlib.Path(fasta)
    layout = dataclasses.replace(layout, labels=(), columns=())
    rows = [(number, list(text), {layout.id: name}) for number, name, text in read_records(fasta)]
    return _table(fasta, layout, rows, [])


def read_records(path: pathlib.Path) -> Iterator[tuple[int, str, str]]:
    """Records of a FASTA file: line of the name, name, sequence.

    Raises:
      UserError: if it cannot be read, does not begin with a name, or has a name twice or none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    starts = [number for number, line in enumerate(lines) if line.startswith(">")]
    before = "".join(lines[: starts[0]] if starts else lines).strip()
    if not starts or before:
        raise UserError(f"{path}:1: expected FASTA, whose first line begins with '>'")
    names: set[str] = set()
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        name = next(iter(lines[start][1:].split()), "")
        if not name or name in names:
            what = f"the name {name!r} a second time" if name else "a record without a name"
            raise UserError(f"{path}:{start + 1}: {what}")
        names.add(name)
        yield start + 1, name, "".join(lines[start + 1 : end]).replace(" ", "")


def _find_columns(path: pathlib.Path, header: list[str], wanted: Sequence[str]) -> dict[str, int]:
    """Numbers of the wanted columns."""
    missing = [name for name in wanted if name not in header]
    if missing:
        shown = ", ".join(header[:8]) + (", ..." if len(header) > 8 else "")
        raise UserError(f"{path}:1: no column {missing[0]!r}; columns: {shown}")
    return {name: header.index(name) for name in wanted}


def _table(
    path: pathlib.Path,
    layout: Layout,
    rows: list[tuple[int, list[str], dict[str, str]]],
    problems: list[Problem],
) -> Table:
    """The table of rows that can be read."""
    length = len(layout.reference) or (len(rows[0][1]) if rows else 0)
    kept: list[tuple[int, list[str], dict[str, str], list[Value]]] = []
    for number, letters, row in rows:
        try:
            if len(letters) != length:
                raise ValueError(f"sequence of {len(letters)} positions, expected {length}")
            for position, text in enumerate(letters, 1):
                if not text:
                    raise ValueError(f"position {position} is empty")
                layout.alphabet.cell(text)
            kept.append((number, letters, row, [read_value(row[name]) for name in layout.labels]))
        except ValueError as error:
            problems.append(Problem(path.name, number, f"{error}; row left out"))
    require_rows(kept, problems, path)
    texts = np.asarray([letters for _, letters, _, _ in kept])
    cells = read_cells(texts, np.zeros(length, np.uint32), layout.alphabet)
    reference = _reference(path, layout, cells)
    shape = (len(kept), len(layout.labels))
    values = [[each.value for each in found] for *_, found in kept]
    censored = [[each.censored for each in found] for *_, found in kept]
    return Table(
        name=path.name,
        ids=tuple(row[layout.id] for _, _, row, _ in kept),
        places=tuple(f"{path.name}:{number}" for number, *_ in kept),
        cells=cells,
        reference=reference,
        positions=np.arange(1, length + 1),
        labels=layout.labels,
        values=np.asarray(values, np.float64).reshape(shape),
        censored=np.asarray(censored, np.int8).reshape(shape),
        alphabet=layout.alphabet,
        columns={name: tuple(row[name] for _, _, row, _ in kept) for name in layout.columns},
        problems=tuple(sorted(problems)),
    )


def _reference(path: pathlib.Path, layout: Layout, cells: np.ndarray) -> np.ndarray:
    """Cells of the reference: the one given, or the most frequent letters."""
    if layout.reference:
        try:
            return np.asarray([layout.alphabet.cell(x) for x in layout.reference], np.uint32)
        except ValueError as error:
            raise UserError(f"{path}: the reference: {error}") from None
    bits = np.uint32(1) << np.arange(len(layout.alphabet.letters), dtype=np.uint32)
    counts = np.stack([((cells & bit) != 0).sum(0) for bit in bits])
    return np.where(counts.max(0) > 0, bits[counts.argmax(0)], np.uint32(SAME))
