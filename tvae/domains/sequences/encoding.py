"""Sequences as numbers: one feature for each letter that differs from the reference somewhere."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.alphabets import SAME, Alphabet
from tvae.domains.sequences.tables import Table
from tvae.errors import UserError

MIXTURES = ("share", "presence")
"""A letter of a mixture of ``k`` counts 1/k, or 1."""


class Encoding(NamedTuple):
    """Features of a table.

    Attributes:
      names: of the features, as ``M41L``.
      columns: ``(f,)``, the column of ``cells`` of each.
      bits: uint32 ``(f,)``, its letter's bit.
      mixtures: one of :data:`MIXTURES`.
    """

    names: tuple[str, ...]
    columns: NDArray[np.int64]
    bits: NDArray[np.uint32]
    mixtures: str


def find_features(
    table: Table,
    mixtures: str = "presence",
    min_rows: int = 2,
    positions: NDArray[np.bool_] | None = None,
) -> Encoding:
    """The letters other than the reference's that occur.

    Args:
      table: its labels are not read.
      mixtures: one of :data:`MIXTURES`.
      min_rows: how many rows a letter must occur in.
      positions: ``(p,)``, positions to look at, such as the mask of a gene; all if not given.

    Raises:
      UserError: if ``mixtures`` is another word, or no letter occurs as often.
    """
    if mixtures not in MIXTURES:
        raise UserError(f"mixtures: expected one of {', '.join(MIXTURES)}, got {mixtures!r}")
    bits = np.uint32(1) << np.arange(len(table.alphabet.letters), dtype=np.uint32)
    counts = np.stack([((table.cells & bit) != 0).sum(0) for bit in bits], 1)
    counts[(table.reference[:, None] & bits) != 0] = 0
    if positions is not None:
        counts[~positions] = 0
    columns, letters = np.nonzero(counts >= min_rows)
    if not len(columns):
        raise UserError(
            f"{table.header}: no letter differs from the reference in {min_rows} rows or more"
        )
    names = tuple(
        f"{table.alphabet.text(int(table.reference[column])).replace('-', '')}"
        f"{table.positions[column]}{table.alphabet.letters[letter]}"
        for column, letter in zip(columns, letters, strict=True)
    )
    return Encoding(names, columns, bits[letters], mixtures)


def encode(cells: NDArray[np.uint32], encoding: Encoding) -> NDArray[np.float32]:
    """Features of rows; the reference, and what was not determined, is 0 everywhere.

    Args:
      cells: uint32 ``(n, p)``.
      encoding: which letters.

    Returns:
      ``(n, f)`` in [0, 1].
    """
    found = cells[:, encoding.columns]
    present = ((found & encoding.bits) != 0).astype(np.float32)
    if encoding.mixtures == "presence":
        return present
    return present / np.maximum(np.bitwise_count(found), 1).astype(np.float32)


def unseen_letters(
    cells: NDArray[np.uint32],
    seen: NDArray[np.uint32],
    positions: Sequence[int] | NDArray[np.integer],
    alphabet: Alphabet,
) -> list[tuple[str, ...]]:
    """Letters of each row that a model has not seen at their position.

    Args:
      cells: uint32 ``(n, p)``.
      seen: uint32 ``(p,)``, the letters that it has seen. Where the letter of the reference is not
        stated every letter may be the reference's, and none counts as unseen.
      positions: numbers of the positions.
      alphabet: of the cells.

    Returns:
      For each row its letters, as ``41L``.
    """
    unstated = (seen & np.uint32(SAME)) != 0
    new = np.where(unstated, np.uint32(0), cells & ~seen & ~np.uint32(SAME))
    found: list[list[str]] = [[] for _ in cells]
    for row, column in zip(*np.nonzero(new), strict=True):
        letters = alphabet.text(int(new[row, column]))
        found[row] += [f"{positions[column]}{letter}" for letter in letters]
    return [tuple(each) for each in found]
