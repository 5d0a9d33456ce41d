"""Folds without leaks: rows that belong together are never on both sides.

Groups are made once from sequences and names alone, for all labels together, so that a row that
tests one label has no label of any kind in training.
"""

import hashlib
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.tables import Table
from tvae.errors import UserError


class Folds(NamedTuple):
    """Folds of a table's rows.

    Attributes:
      kind: how groups were made.
      groups: ``(n,)``, the group of each row.
      fold: ``(n,)``, the fold of each row, from 0.
      seed: of the assignment.
      forward: whether folds follow each other in time, so that a model learns from earlier folds
        alone and the first is never predicted.
    """

    kind: str
    groups: NDArray[np.int64]
    fold: NDArray[np.int64]
    seed: int
    forward: bool = False

    @property
    def tested(self) -> range:
        """The folds that are predicted."""
        return range(int(self.forward), int(self.fold.max()) + 1)

    def training(self, fold: int) -> NDArray[np.bool_]:
        """Rows that a model may learn from to predict a fold: ``(n,)``."""
        return self.fold < fold if self.forward else self.fold != fold

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name this assignment of rows to folds."""
        return hashlib.sha256(self.fold.astype(np.int64).tobytes()).hexdigest()[:16]


def connected_groups(*keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """Groups of rows that share a value of any key, directly or through other rows.

    Args:
      *keys: ``(n,)`` each.

    Returns:
      ``(n,)``, groups numbered from 0 in the order of their first rows.

    >>> connected_groups(np.asarray([1, 1, 2, 3]), np.asarray(["a", "b", "b", "c"])).tolist()
    [0, 0, 0, 1]
    """
    codes = [np.unique(key, return_inverse=True)[1] for key in keys]
    label = np.arange(len(codes[0]))
    while True:
        before = label
        for code in codes:
            least = np.full(code.max() + 1, len(code))
            np.minimum.at(least, code, label)
            label = least[code]
        if (label == before).all():
            return np.unique(label, return_inverse=True)[1].astype(np.int64)


def _genotypes(table: Table) -> NDArray[np.int64]:
    """A number for each different sequence at the positions that all rows cover."""
    cells = np.ascontiguousarray(table.cells[:, : table.shared])
    rows = cells.view([("", cells.dtype)] * cells.shape[1]).ravel()
    return np.unique(rows, return_inverse=True)[1]


def genotype_groups(table: Table) -> NDArray[np.int64]:
    """Groups of identical sequences, at the positions that all rows cover, or of equal names."""
    return connected_groups(_genotypes(table), np.asarray(table.ids))


@jax.jit
def disjoint_positions(cells: jax.Array) -> jax.Array:
    """Number of positions at which two rows have no letter in common.

    What was not determined agrees with everything, and a mixture with each of its letters: so the
    number is the least that the data allow.

    Args:
      cells: uint32 ``(n, p)``.

    Returns:
      int32 ``(n, n)``.
    """
    known = jnp.where(cells == 0, jnp.uint32(0xFFFFFFFF), cells)
    columns = known.T
    return jax.lax.map(lambda row: ((columns & row[:, None]) == 0).sum(0, dtype=jnp.int32), known)


def near_rows(table: Table, distance: int) -> NDArray[np.bool_]:
    """Which rows are at most ``distance`` disjoint positions apart: ``(n, n)``.

    Raises:
      UserError: if the distance is negative.
    """
    if distance < 0:
        raise UserError(f"distance: expected 0 or more positions, got {distance}")
    return np.asarray(disjoint_positions(jnp.asarray(table.cells)) <= distance)


@jax.jit
def _components(near: jax.Array) -> jax.Array:
    n = near.shape[0]

    def spread(labels: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        _, label = labels
        least = jnp.min(jnp.where(near, label[None, :], n), axis=1).astype(jnp.int32)
        return label, least[least]

    start = jnp.arange(n, dtype=jnp.int32)
    return jax.lax.while_loop(lambda both: (both[0] != both[1]).any(), spread, (start - 1, start))[
        1
    ]


def cluster_groups(table: Table, near: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Groups by single linkage: rows that are near, of one genotype, or of equal names.

    Args:
      table: the sequences.
      near: of :func:`near_rows`.
    """
    return connected_groups(np.asarray(_components(jnp.asarray(near))), genotype_groups(table))


def column_groups(table: Table, column: str) -> NDArray[np.int64]:
    """Groups by the values of a column, joined where rows have equal names.

    Raises:
      UserError: if there is no such column.
    """
    if column not in table.columns:
        known = ", ".join(table.columns) or "none"
        raise UserError(f"{table.header}: no column {column!r} for groups; columns: {known}")
    return connected_groups(np.asarray(table.columns[column]), np.asarray(table.ids))


def read_dates(table: Table, column: str) -> NDArray[np.datetime64]:
    """Days of a column of ISO dates, the first of the year or month where no more is given.

    Raises:
      UserError: if there is no such column, or a value is no date.
    """
    if column not in table.columns:
        known = ", ".join(table.columns) or "none"
        raise UserError(f"{table.header}: no column {column!r} of dates; columns: {known}")
    days = []
    for text, place in zip(table.columns[column], table.places, strict=True):
        try:
            if not re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", text):
                raise ValueError
            days.append(np.datetime64(text, "D"))
        except ValueError:
            raise UserError(
                f"{place}: {column} is {text!r}, expected a date: year, year-month or "
                "year-month-day"
            ) from None
    return np.asarray(days)


def time_folds(
    table: Table, column: str, groups: NDArray[np.int64], n_folds: int, kind: str = "time"
) -> Folds:
    """Folds that follow each other in time: what is predicted is later than what is learnt from.

    A group is as late as its last row, so that no row of a test isolate, and nothing later than
    the first test isolate's group, is learnt from.

    Args:
      table: the sequences, with a column of dates.
      column: its name.
      groups: ``(n,)``, rows that are not divided.
      n_folds: folds that are predicted, 1 or more; one more, the earliest, only trains. Fewer where
        many rows are of one day.
      kind: for the report.

    Raises:
      UserError: if there is no such column, a value is no date, or all groups end on one day.
    """
    day = read_dates(table, column)
    last = np.full(groups.max() + 1, day.min())
    np.maximum.at(last, groups, day)
    _, number, counts = np.unique(last[groups], return_inverse=True, return_counts=True)
    before = np.cumsum(counts) - counts
    part = before * (n_folds + 1) // len(groups)
    fold = np.unique(part, return_inverse=True)[1][number]
    if n_folds < 1 or fold.max() < 1:
        raise UserError(
            f"{table.header}: {kind} folds by {column!r}: expected 1 or more folds and groups of "
            f"different days, got {n_folds} folds and {len(counts)} days"
        )
    return Folds(kind, groups, fold, 0, forward=True)


def make_folds(
    groups: NDArray[np.int64], n_folds: int, seed: int, kind: str, header: str = ""
) -> Folds:
    """Whole groups to folds of nearly equal size.

    Groups in random order, the larger ones first, each to the fold that has the fewest rows.

    Args:
      groups: ``(n,)``.
      n_folds: 2 or more.
      seed: of the order.
      kind: for the report.
      header: :attr:`Table.header <tvae.domains.sequences.tables.Table.header>`, for messages.

    Raises:
      UserError: if there are fewer groups than folds.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if n_folds < 2 or len(names) < n_folds:
        raise UserError(
            f"{header and f'{header}: '}{kind} folds: expected 2 or more folds and as many groups, "
            f"got {n_folds} folds and {len(names)} groups"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of_group, rows = np.zeros(len(names), np.int64), np.zeros(n_folds, np.int64)
    for group in order:
        fold_of_group[group] = rows.argmin()
        rows[rows.argmin()] += sizes[group]
    return Folds(kind, groups, fold_of_group[np.searchsorted(names, groups)], seed)


class LeakCheck(NamedTuple):
    """Rows that have something near in another fold.

    Attributes:
      rows: number of rows.
      same_name: rows with a row of the same name in another fold.
      same_genotype: rows with an identical sequence, at the shared positions, in another fold.
      near: rows with a near row in another fold.
      largest_group: rows of the largest group.
    """

    rows: int
    same_name: int
    same_genotype: int
    near: int
    largest_group: int

    def __str__(self) -> str:
        """One line for a log."""
        return (
            f"{self.rows} rows; with a relative in another fold: same name {self.same_name}, "
            f"same genotype {self.same_genotype}, near {self.near} ({self.near / self.rows:.0%}); "
            f"largest group {self.largest_group}"
        )


def check_leaks(table: Table, folds: Folds, near: NDArray[np.bool_]) -> LeakCheck:
    """Count rows whose name, genotype or near row stands in another fold.

    Args:
      table: the sequences.
      folds: of its rows.
      near: of :func:`near_rows`.
    """
    other = folds.fold[:, None] != folds.fold
    names, genotypes = np.asarray(table.ids), _genotypes(table)

    def crossing(pairs: NDArray[np.bool_]) -> int:
        return int((pairs & other).any(1).sum())

    return LeakCheck(
        rows=len(other),
        same_name=crossing(names[:, None] == names),
        same_genotype=crossing(genotypes[:, None] == genotypes),
        near=crossing(near),
        largest_group=int(np.bincount(folds.groups).max()),
    )
