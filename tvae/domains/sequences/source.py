"""The table, its features and its folds, as a configuration names them."""

import functools
import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from tvae.domains.sequences import genes, hivdb, splits, user_tables
from tvae.domains.sequences.contents import ALPHABETS, Contents, describe
from tvae.domains.sequences.encoding import find_features
from tvae.domains.sequences.genes import Gene
from tvae.domains.sequences.samples import Samples, make_samples
from tvae.domains.sequences.splits import Folds, LeakCheck
from tvae.domains.sequences.tables import Table, read_lines
from tvae.domains.sequences.user_tables import Layout
from tvae.errors import UserError


class Source(NamedTuple):
    """A table that is ready to be learnt from.

    Attributes:
      table: sequences and labels.
      samples: features and targets of its rows, with the groups that folds do not divide.
      folds: of its rows.
      leaks: the check of the folds.
      contents: what a trained model keeps of it.
    """

    table: Table
    samples: Samples
    folds: Folds
    leaks: LeakCheck
    contents: Contents


def load(data: ConfigDict) -> Source:
    """Read ``config.data``; the same value as long as no file changes.

    Raises:
      UserError: if a file cannot be read or its rows cannot be used, naming file and line.
    """
    chosen = {k: v for k, v in data.to_dict().items() if k not in ("found", "batch_size")}
    stamps = []
    for name in ("table", "joined", "fasta"):
        if data[name]:
            path = pathlib.Path(data[name]).expanduser().absolute()
            if not path.is_file():
                raise UserError(f"config.data.{name}: {path} does not exist")
            chosen[name] = str(path)
            stamps.append((path.stat().st_mtime_ns, path.stat().st_size))
    return _load(json.dumps(chosen), tuple(stamps))


@functools.lru_cache(maxsize=8)
def _load(chosen: str, stamps: tuple[tuple[int, int], ...]) -> Source:
    del stamps  # part of the key: a changed file is read again
    data = ConfigDict(json.loads(chosen))
    table = _read(data)
    near = splits.near_rows(table, data.distance)
    if data.groups == "cluster":
        groups = splits.cluster_groups(table, near)
    elif data.groups == "column":
        groups = splits.column_groups(table, data.group)
    else:
        groups = splits.genotype_groups(table)
    folds = splits.make_folds(groups, data.folds, data.fold_seed, data.groups, table.header)
    leaks = splits.check_leaks(table, folds, near)
    gene = find_gene(data.gene, table.labels)
    if data.key_positions and gene is None:
        raise UserError(
            f"config.data.key_positions: {table.header}: no gene is known for the labels "
            f"{', '.join(table.labels)}; name one by config.data.gene"
        )
    mask = gene.mask(table) if data.key_positions and gene else None
    encoding = find_features(table, data.mixtures, data.min_rows, mask)
    samples = make_samples(table, encoding, groups, data.scale)
    contents = describe(table, encoding, folds.digest, leaks._asdict(), data.alphabet)
    return Source(table, samples, folds, leaks, contents)


def contents(data: ConfigDict) -> Contents:
    """What training found in the table, as the configuration keeps it; else from the table."""
    return Contents.from_stored(data.found.to_dict()) if data.found else load(data).contents


def find_gene(name: str, labels: Sequence[str]) -> Gene | None:
    """The gene of ``config.data.gene``; "auto" is the one that ships whose drugs are the labels.

    Raises:
      UserError: if there is none of this name.
    """
    if name != "auto":
        return genes.read(name) if name else None
    known = map(genes.read, genes.names())
    return next((gene for gene in known if set(labels) <= gene.drugs.keys()), None)


def make_layout(
    data: ConfigDict, path: str | pathlib.Path, labels: tuple[str, ...], columns: tuple[str, ...]
) -> Layout:
    """Where a file holds what, by the names in ``config.data``.

    Args:
      data: ``config.data``.
      path: of the file, for its columns of positions.
      labels: columns of measured values.
      columns: further columns to keep.

    Raises:
      UserError: if the file has no columns of positions, though they are named.
    """
    return Layout(
        data.id,
        labels,
        sequence="" if data.positions or data.fasta else data.sequence,
        positions=_positions(data, path) if data.positions else (),
        columns=columns,
        reference=data.reference,
        alphabet=ALPHABETS[data.alphabet],
        delimiter=data.delimiter,
    )


def _read(data: ConfigDict) -> Table:
    """The table of a configuration."""
    if not data.table:
        return made_table()
    if data.format == "hivdb" or (data.format == "auto" and is_hivdb(data.table)):
        return _read_hivdb(data)
    if data.joined:
        raise UserError(f"config.data.joined: {data.table} is no table of HIVDB, which could join")
    labels = tuple(name.strip() for name in data.labels.split(",") if name.strip())
    if not labels:
        raise UserError("config.data.labels: expected columns of measured values, got none")
    layout = make_layout(data, data.table, labels, (data.group,) if data.group else ())
    if data.fasta:
        return user_tables.read_fasta(data.fasta, data.table, layout)
    return user_tables.read_csv(data.table, layout)


def is_hivdb(path: str | pathlib.Path) -> bool:
    """Whether a table has the header of HIVDB.

    Raises:
      UserError: if it cannot be read.
    """
    header, _ = read_lines(path, "\t")
    return header[0] == "SeqID" and "P1" in header


def _read_hivdb(data: ConfigDict) -> Table:
    """A table of HIVDB, or two of one gene, with the labels that are wanted."""
    cap = data.cap or hivdb.ASSAY_CAP
    table = hivdb.read(data.table, cap)
    if data.joined:
        other = hivdb.read(data.joined, cap)
        table = hivdb.join(table, other, f"{table.name} and {other.name}")
    wanted = [name.strip() for name in data.labels.split(",") if name.strip()]
    return table.with_labels(wanted) if wanted else table


def _positions(data: ConfigDict, path: str | pathlib.Path) -> tuple[str, ...]:
    """Columns named by the prefix and a number, in the order of the numbers."""
    header, _ = read_lines(path, data.delimiter)
    prefix = data.positions
    found = [x for x in header if x.startswith(prefix) and x[len(prefix) :].isdecimal()]
    if not found:
        raise UserError(f"{path}:1: no column is {prefix!r} followed by a number")
    return tuple(sorted(found, key=lambda name: int(name[len(prefix) :])))


@functools.cache
def made_table(rows: int = 160, length: int = 12, seed: int = 0) -> Table:
    """Sequences with two labels for a first look, which saturate and of which one is often missing.

    Values from 30 on are lower bounds.
    """
    generator = np.random.default_rng(seed)
    letters = np.asarray(list("MKVAPLLTREGS"))[:length]
    mutated = generator.random((rows, length)) < 0.25
    changed = np.asarray(list("LRIGSVMAKDAT"))[:length]
    alphabet = ALPHABETS["protein"]
    read = np.vectorize(alphabet.cell, otypes=[np.uint32])
    cells, reference = read(np.where(mutated, changed, letters)), read(letters)
    signal = 1.5 * np.tanh(mutated @ generator.normal(size=length))
    noise = 0.1 * generator.normal(size=(rows, 2))
    values = 10 ** (np.stack([signal, 0.7 * signal], 1) + noise)
    values[generator.random(rows) < 0.4, 1] = np.nan
    cap = 30.0
    return Table(
        name="made table",
        ids=tuple(f"row {i}" for i in range(rows)),
        places=tuple(f"made table:{i + 1}" for i in range(rows)),
        cells=cells,
        reference=reference,
        positions=np.arange(1, length + 1),
        labels=("first", "second"),
        values=np.minimum(values, cap),
        censored=(values >= cap).astype(np.int8),
    )
