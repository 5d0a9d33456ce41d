"""Facts of genes, one small file each: length, key positions of drug classes, drugs and cut-offs.

A gene of one's own is a file of the same form:

.. code-block:: toml

    name = "PR"
    length = 99
    reference = "consensus B"
    source = "where the positions come from"
    cutoffs_source = "where the cut-offs come from"

    [positions]
    PI = [30, 32]

    [drugs]
    ATV = {class = "PI", cutoffs = [5.2]}
"""

import dataclasses
import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.tables import Table
from tvae.errors import UserError

_FOLDER = pathlib.Path(__file__).with_name("facts")

CLASS_NAMES = {
    1: ("susceptible", "resistant"),
    2: ("susceptible", "partly resistant", "resistant"),
}
"""Classes of values, by the number of cut-offs."""


@dataclasses.dataclass(frozen=True)
class Drug:
    """A drug.

    Attributes:
      drug_class: whose positions it has.
      cutoffs: fold changes that divide the classes of :data:`CLASS_NAMES`, ascending; none or one
        or two.
    """

    drug_class: str
    cutoffs: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Gene:
    """What is known of a gene.

    Attributes:
      name: of the gene.
      length: number of residues.
      reference: what positions are counted on.
      source: of the positions.
      cutoffs_source: of the cut-offs.
      positions: key positions, counted from 1, of each class of drugs.
      drugs: by name.
    """

    name: str
    length: int
    reference: str
    source: str
    cutoffs_source: str
    positions: Mapping[str, tuple[int, ...]]
    drugs: Mapping[str, Drug]

    def key_positions(self, drug: str) -> tuple[int, ...]:
        """Key positions of a drug's class, none for a drug that the file does not list.

        >>> read("IN").key_positions("DTG")[:3]
        (66, 92, 118)
        """
        return self.positions[self.drugs[drug].drug_class] if drug in self.drugs else ()

    def mask(self, table: Table) -> NDArray[np.bool_]:
        """Which positions of a table are key positions of a class of its labels: ``(p,)``.

        Raises:
          UserError: if no label is a drug of this gene, or the table is longer than the gene.
        """
        if len(table.positions) > self.length:
            raise UserError(
                f"{table.header}: {len(table.positions)} positions, but {self.name} has "
                f"{self.length}"
            )
        found = sorted({each for drug in table.labels for each in self.key_positions(drug)})
        if not found:
            raise UserError(
                f"{table.header}: no label is a drug of {self.name}; labels: "
                f"{', '.join(table.labels)}; drugs: {', '.join(self.drugs)}"
            )
        return np.isin(table.positions, found)

    def classify(self, drug: str, fold_changes: NDArray[np.floating]) -> list[str]:
        """Class of each fold change by the drug's cut-offs, empty where it has none.

        >>> read("IN").classify("DTG", np.asarray([1.0, 4.0, 20.0]))
        ['susceptible', 'partly resistant', 'resistant']
        >>> read("IN").classify("BIC", np.asarray([1.0]))
        ['']
        """
        cutoffs = self.drugs[drug].cutoffs if drug in self.drugs else ()
        if not cutoffs:
            return [""] * len(fold_changes)
        names = CLASS_NAMES[len(cutoffs)]
        places = np.searchsorted(np.asarray(cutoffs), fold_changes, side="right")
        return ["" if np.isnan(x) else names[i] for x, i in zip(fold_changes, places, strict=True)]


def names() -> tuple[str, ...]:
    """The genes that ship.

    >>> names()
    ('IN', 'PR', 'RT')
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def read(name: str | pathlib.Path) -> Gene:
    """Facts of a gene.

    Args:
      name: one of :func:`names`, or a file of the same form.

    Raises:
      UserError: if there is none, or it has another form.

    >>> read("PR").length, read("RT").drugs["TDF"].cutoffs
    (99, (1.4, 4.0))
    """
    path = _FOLDER / f"{name}.toml" if str(name) in names() else pathlib.Path(name)
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(names())
        raise UserError(
            f"gene {str(name)!r}: expected a file, or one of {known}: {error}"
        ) from None
    except ValueError as error:  # of TOML, or of the encoding
        raise UserError(f"{path}: cannot be read: {error}") from None
    try:
        return _gene(facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not the facts of a gene: {error}") from None


def _gene(facts: dict[str, Any]) -> Gene:
    """A gene from its file's contents."""
    length = int(facts["length"])
    positions = {key: tuple(int(x) for x in some) for key, some in facts["positions"].items()}
    for drug_class, some in positions.items():
        if beyond := [x for x in some if not 1 <= x <= length]:
            raise ValueError(f"position {beyond[0]} of {drug_class} is not in 1 to {length}")
    drugs = {}
    for name, drug in facts["drugs"].items():
        cutoffs = tuple(float(x) for x in drug.get("cutoffs", ()))
        if drug["class"] not in positions:
            raise ValueError(f"{name} is of class {drug['class']!r}, which has no positions")
        if len(cutoffs) > max(CLASS_NAMES) or list(cutoffs) != sorted(cutoffs):
            raise ValueError(
                f"{name} has cut-offs {list(cutoffs)}, expected at most two, ascending"
            )
        drugs[name] = Drug(drug["class"], cutoffs)
    texts = {key: str(facts[key]) for key in ("name", "reference", "source", "cutoffs_source")}
    return Gene(length=length, positions=positions, drugs=drugs, **texts)
