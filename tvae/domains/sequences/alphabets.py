"""Alphabets: letters of aligned sequences, and what the ambiguous ones stand for.

One position of one sequence is a *cell*, a set of letters in the bits of a ``uint32``: one bit
where the residue is certain, several for a mixture, none where it was not determined.
"""

import dataclasses
from collections.abc import Mapping

UNDETERMINED = 0
"""The cell of a position that was not sequenced or not determined."""

SAME = 1 << 31
"""The bit of "as in the reference" where the letter of the reference is not given."""


@dataclasses.dataclass(frozen=True)
class Alphabet:
    """Letters and their meaning.

    Attributes:
      name: for messages.
      letters: one bit each, in this order.
      sets: further letters, each standing for several of ``letters``.
      unknown: letters of a position that was not determined.
    """

    name: str
    letters: str
    sets: Mapping[str, str]
    unknown: str

    def cell(self, text: str) -> int:
        """The cell of one or several letters; upper and lower case are the same.

        >>> PROTEIN.cell("K") == PROTEIN.cell("k") == 1 << 8
        True
        >>> PROTEIN.cell("KX") == PROTEIN.cell("K"), PROTEIN.cell("X")
        (True, 0)
        >>> NUCLEOTIDE.cell("R") == NUCLEOTIDE.cell("AG")
        True

        Raises:
          ValueError: if a letter is in none of the three groups.
        """
        bits = 0
        for letter in text.upper():
            members = self.sets.get(letter, letter)
            if letter in self.unknown:
                continue
            if any(member not in self.letters for member in members):
                raise ValueError(f"letter {letter!r} is not one of {self.name}")
            bits |= sum(1 << self.letters.index(member) for member in members)
        return bits

    def text(self, cell: int) -> str:
        """The letters of a cell, ``X`` for an undetermined one.

        >>> PROTEIN.text(PROTEIN.cell("RK")), PROTEIN.text(UNDETERMINED)
        ('KR', 'X')
        """
        found = [letter for bit, letter in enumerate(self.letters) if cell >> bit & 1]
        return "".join(found) or ("-" if cell & SAME else "X")


PROTEIN = Alphabet(
    "the protein alphabet",
    "ACDEFGHIKLMNPQRSTVWY*#~",  # stop, insertion and deletion as HIVDB writes them
    {"B": "DN", "Z": "EQ", "J": "IL", "-": "~"},
    "X.?",
)
NUCLEOTIDE = Alphabet(
    "the nucleotide alphabet",
    "ACGT~",
    {
        **{"U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
        **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "-": "~"},  # IUPAC
    },
    "N.?",
)
