"""Ontologies: OBO files, and ICD-10-CM of its Python package."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.errors import UserError

_ROOT = "root"


def read_obo(path: str | os.PathLike[str]) -> Hierarchy:
    """The terms of an OBO file by ``is_a``, obsolete ones left out.

    Names are identifiers such as ``GO:0008150``; the feature ``name`` holds their text. Several
    terms without a parent get a root ``"root"`` above them.

    Raises:
      UserError: naming the line of a parent that is no term; or if there is no term.
    """
    file = pathlib.Path(path)
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from error
    terms = list(_terms(lines))
    if not terms:
        raise UserError(f"{file}: expected [Term] stanzas with an id, got none")
    number = {term.name: i for i, term in enumerate(terms)}
    if len(number) < len(terms):
        again = len(terms) - len(number)
        raise UserError(f"{file}: {again} terms have an id that is there already")
    lost = [edge for term in terms for edge in term.above if edge[1] not in number]
    if lost:
        raise UserError(f"{file}:{lost[0][0]}: parent {lost[0][1]!r} is no term of the file")
    above = [[number[name] for _, name in term.above] for term in terms]
    first = [parents[0] if parents else -1 for parents in above]
    extra = [(i, parent) for i, parents in enumerate(above) for parent in parents[1:]]
    names, texts = [term.name for term in terms], [term.text for term in terms]
    if first.count(-1) > 1:
        first = [len(names) if k < 0 else k for k in first] + [-1]
        names, texts = [*names, _ROOT], [*texts, _ROOT]
    edges = np.asarray(extra, np.int64).reshape(-1, 2)
    return from_parents(names, first, edges, {"name": np.asarray(texts, object)})


@dataclasses.dataclass
class _Term:
    """A term: identifier, text, and lines and identifiers of its parents."""

    name: str = ""
    text: str = ""
    above: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    obsolete: bool = False

    def take(self, number: int, line: str) -> None:
        """Take a line of the term's stanza."""
        key, _, value = line.partition(": ")
        value = value.split(" ! ")[0].split(" {")[0].strip()
        if key == "id":
            self.name = value
        elif key == "name":
            self.text = value
        elif key == "is_a":
            self.above.append((number, value))
        elif key == "is_obsolete":
            self.obsolete = value == "true"


def _terms(lines: list[str]) -> Iterator[_Term]:
    """The terms that are not obsolete."""
    term: _Term | None = None
    for number, line in enumerate([*lines, "[End]"], 1):
        if line.startswith("["):
            if term is not None and term.name and not term.obsolete:
                yield term
            term = _Term() if line.startswith("[Term]") else None
        elif term is not None:
            term.take(number, line)


def read_icd10cm() -> Hierarchy:
    """All chapters, sections and codes of ICD-10-CM, below a root ``"ICD-10-CM"``.

    The feature ``description`` holds their text. Needs the package ``simple-icd-10-cm``.

    Raises:
      UserError: if the package is not installed.
    """
    try:
        import simple_icd_10_cm as icd
    except ModuleNotFoundError as error:
        raise UserError("ICD-10-CM: expected its package; pip install simple-icd-10-cm") from error
    names = ["ICD-10-CM", *icd.get_all_codes(with_dots=True)]
    number = {name: i for i, name in enumerate(names)}
    parents = [icd.get_parent(name) for name in names[1:]]
    parent = [-1, *(number[above] if above else 0 for above in parents)]
    texts = [names[0], *(icd.get_description(name) for name in names[1:])]
    return from_parents(names, parent, features={"description": np.asarray(texts, object)})
