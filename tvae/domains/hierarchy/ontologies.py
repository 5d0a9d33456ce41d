"""Ontologies: OBO files, and ICD-10-CM of its Python package."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.tables import refuse, repeated
from tvae.errors import UserError

_ROOT = "root"


def read_obo(path: str | os.PathLike[str]) -> Hierarchy:
    """The terms of an OBO file by ``is_a``, obsolete ones left out.

    Names are identifiers such as ``GO:0008150``; the feature ``name`` holds their text. Several
    terms without a parent get a root ``"root"`` above them.

    Raises:
      UserError: naming the line of a parent that is no term, of an id that is there twice or of a
        cycle; or if there is no term.
    """
    file = pathlib.Path(path)
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from error
    terms = list(_terms(lines))
    if not terms:
        raise UserError(f"{file}: expected [Term] stanzas with an id, got none")
    own = np.asarray([term.line for term in terms])
    again = repeated(np.asarray([term.name for term in terms]))
    refuse(file, own, again, lambda k: f"id {terms[k].name!r} is there already")
    number = {term.name: i for i, term in enumerate(terms)}
    edges = [(line, term.name, name) for term in terms for line, name in term.above]
    lost = np.asarray([name not in number for _, _, name in edges], bool)
    at = np.asarray([line for line, _, _ in edges], int)
    refuse(file, at, lost, lambda k: f"parent {edges[k][2]!r} is no term of the file")
    above = [[number[name] for _, name in term.above] for term in terms]
    first = [parents[0] if parents else -1 for parents in above]
    extra = [(i, parent) for i, parents in enumerate(above) for parent in parents[1:]]
    names, texts = [term.name for term in terms], [term.text for term in terms]
    if first.count(-1) > 1:
        first = [len(names) if k < 0 else k for k in first] + [-1]
        names, texts = [*names, _ROOT], [*texts, _ROOT]
    line_of = {(number[lower], number[upper]): line for line, lower, upper in edges}
    try:
        return from_parents(
            names,
            first,
            np.asarray(extra, np.int64).reshape(-1, 2),
            {"name": np.asarray(texts, object)},
            line_of=lambda lower, upper: line_of[lower, upper],
        )
    except UserError as error:
        raise UserError(f"{file}: {str(error).removeprefix('hierarchy: ')}") from error


@dataclasses.dataclass
class _Term:
    """A term: identifier with its line, text, and lines and identifiers of its parents."""

    name: str = ""
    line: int = 0
    text: str = ""
    above: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    obsolete: bool = False

    def take(self, number: int, line: str) -> None:
        """Take a line of the term's stanza."""
        key, _, value = line.partition(": ")
        value = value.split(" ! ")[0].split(" {")[0].strip()
        if key == "id":
            self.name, self.line = value, number
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

    The feature ``description`` holds their text. A section of one category, which has the same
    code, is named as a range: ``B10-B10``. Needs the package ``simple-icd-10-cm``.

    Raises:
      UserError: if the package is not installed.
    """
    try:
        import simple_icd_10_cm as icd
    except ModuleNotFoundError as error:
        raise UserError("ICD-10-CM: expected its package; pip install simple-icd-10-cm") from error
    codes = list(icd.get_all_codes(with_dots=True))
    # The package lists such a code twice, the section first.
    again = repeated(np.asarray(codes))
    doubled = {code for code, twice in zip(codes, again, strict=True) if twice}
    section = [code in doubled and not twice for code, twice in zip(codes, again, strict=True)]
    names, parents, texts = ["ICD-10-CM"], [""], ["ICD-10-CM"]
    for code, as_section in zip(codes, section, strict=True):
        above = icd.get_parent(code, prioritize_blocks=as_section)
        names.append(f"{code}-{code}" if as_section else code)
        parents.append(f"{above}-{above}" if above == code else above or names[0])
        texts.append(icd.get_description(code, prioritize_blocks=as_section))
    number = {name: i for i, name in enumerate(names)}
    parent = [-1, *(number[above] for above in parents[1:])]
    return from_parents(names, parent, features={"description": np.asarray(texts, object)})
