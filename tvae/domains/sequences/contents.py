"""What training found in a table: all that a trained model needs of it besides its parameters.

Kept as ``config.data.found``, so that the table itself may be gone when a model is loaded.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.alphabets import NUCLEOTIDE, PROTEIN, SAME, Alphabet
from tvae.domains.sequences.encoding import Encoding, encode
from tvae.domains.sequences.tables import Table, read_cells
from tvae.errors import UserError

ALPHABETS = {"protein": PROTEIN, "nucleotide": NUCLEOTIDE}
"""Name in ``config.data.alphabet`` -> alphabet."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """Contents of a table; hashable.

    Attributes:
      rows: number of rows.
      labels: their names.
      positions: numbers of the positions.
      reference: letters of the reference at each position, "-" where HIVDB does not state them.
      features: names, as ``M41L``.
      columns: index of the position of each feature.
      letters: the letter of each feature.
      seen: letters that occur at each position, those of the reference included.
      mixtures: how a mixture counts, see :data:`tvae.domains.sequences.encoding.MIXTURES`.
      alphabet: name of the alphabet.
      shared: number of first positions that each row covers; fewer than ``positions`` where two
        tables of a gene were joined.
      folds: digest of the assignment of rows to folds.
      leaks: numbers of rows with a relative in another fold, by the kind of relative.
      problems: rows left out and cells repaired, with file, line and reason.
    """

    rows: int
    labels: tuple[str, ...]
    positions: tuple[int, ...]
    reference: tuple[str, ...]
    features: tuple[str, ...]
    columns: tuple[int, ...]
    letters: str
    seen: tuple[str, ...]
    mixtures: str
    alphabet: str
    shared: int
    folds: str
    leaks: tuple[tuple[str, int], ...]
    problems: tuple[str, ...]

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "Contents":
        """The contents that :meth:`to_stored` described.

        Raises:
          UserError: if the entries are others.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if sorted(stored) != sorted(names):
            listed = ", ".join(sorted(map(str, stored)))
            raise UserError(f"config.data.found: expected what training wrote, got {listed}")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list | tuple) else v for k, v in stored.items()
        }
        values["leaks"] = tuple(sorted(dict(stored["leaks"]).items()))
        return cls(**values)

    def to_stored(self) -> dict[str, Any]:
        """Entries of ``config.data.found``."""
        return dataclasses.asdict(self) | {"leaks": dict(self.leaks)}

    @property
    def letters_of(self) -> Alphabet:
        """The alphabet."""
        return ALPHABETS[self.alphabet]

    @functools.cached_property
    def encoding(self) -> Encoding:
        """The features."""
        bits = [1 << self.letters_of.letters.index(letter) for letter in self.letters]
        return Encoding(
            self.features,
            np.asarray(self.columns, np.int64),
            np.asarray(bits, np.uint32),
            self.mixtures,
        )

    @functools.cached_property
    def reference_cells(self) -> NDArray[np.uint32]:
        """Cells of the reference ``(p,)``."""
        found = [SAME if text == "-" else self.letters_of.cell(text) for text in self.reference]
        return np.asarray(found, np.uint32)

    @functools.cached_property
    def seen_cells(self) -> NDArray[np.uint32]:
        """Cells of the letters that occur at each position ``(p,)``."""
        pairs = zip(self.seen, self.reference, strict=True)
        found = [
            (0 if text == "-" else self.letters_of.cell(text)) | (SAME if own == "-" else 0)
            for text, own in pairs
        ]
        return np.asarray(found, np.uint32)

    def read(self, texts: Sequence[Sequence[str]]) -> NDArray[np.uint32]:
        """Cells ``(n, p)`` of sequences: strings, or lists of one text a position.

        A gap is a deletion, except where the reference is not stated: there "-" is the reference.

        Raises:
          UserError: naming the first sequence of another length, or with another letter.
        """
        length = len(self.positions)
        for number, row in enumerate(texts):
            if len(row) != length:
                raise UserError(
                    f"sequence {number}: expected {length} positions as in the table that the "
                    f"model was trained on, got {len(row)}"
                )
        same = "-" if "-" in self.reference else ""
        cells = np.asarray([list(row) for row in texts]).reshape(len(texts), length)
        try:
            return read_cells(cells, self.reference_cells, self.letters_of, same)
        except ValueError as error:
            raise UserError(f"sequences: {error}") from None

    def encode(self, cells: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Features ``(n, f)`` of cells."""
        return encode(cells, self.encoding)


def describe(
    table: Table, encoding: Encoding, folds: str, leaks: Mapping[str, int], alphabet: str
) -> Contents:
    """The contents of a table.

    Args:
      table: read from its file.
      encoding: its features.
      folds: digest of its folds.
      leaks: of :class:`tvae.domains.sequences.splits.LeakCheck`.
      alphabet: name of its alphabet.
    """
    text = table.alphabet.text
    seen = np.bitwise_or.reduce(table.cells, axis=0) | table.reference
    place = {int(bit): i for i, bit in enumerate(1 << np.arange(len(table.alphabet.letters)))}
    return Contents(
        rows=len(table.ids),
        labels=tuple(table.labels),
        positions=tuple(int(number) for number in table.positions),
        reference=tuple(text(int(cell)) for cell in table.reference),
        features=encoding.names,
        columns=tuple(int(column) for column in encoding.columns),
        letters="".join(table.alphabet.letters[place[int(bit)]] for bit in encoding.bits),
        seen=tuple(text(int(cell)) for cell in seen),
        mixtures=encoding.mixtures,
        alphabet=alphabet,
        shared=len(table.positions) if table.shared is None else table.shared,
        folds=folds,
        leaks=tuple(sorted((k, int(v)) for k, v in leaks.items())),
        problems=tuple(str(problem) for problem in table.problems),
    )
