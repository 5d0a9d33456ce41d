"""Trees of distance matrices, by average linkage."""

import pathlib

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.tables import Path, read_lines, refuse, repeated
from tvae.errors import UserError


def read_distances(path: Path) -> Hierarchy:
    """A square matrix of distances with names in its first line and column, or first line alone.

    The hierarchy is average linkage (UPGMA): items are leaves, and inner nodes are named by their
    number, ``node n`` to ``node 2n - 2``.

    Raises:
      UserError: naming the line of a cell that is no distance, of a line too long or too short, of
        a name that is there twice or differs from its column's, or of distances that are not
        symmetric with 0 on the diagonal; or if there are less than two names.
    """
    from scipy.cluster import hierarchy as linkage
    from scipy.spatial.distance import squareform

    file = pathlib.Path(path)
    rows = list(read_lines(file))
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    body, lines = rows[1:], np.asarray([line for line, _ in rows[1:]])
    named = bool(body) and len(body[0][1]) == len(header) and header[0] == ""
    names = header[1:] if header[:1] == [""] else header
    n = len(names)
    if n < 2:
        raise UserError(f"{file}: expected a square matrix of two names or more, got {n}")
    if len(body) != n:
        raise UserError(
            f"{file}: expected a square matrix, {n} lines of {n} names; got {len(body)}"
        )
    twice = repeated(np.asarray(names))
    if twice.any():
        raise UserError(f"{file}:{rows[0][0]}: name {names[int(twice.argmax())]!r} is there twice")
    wrong = np.asarray([len(cells) != n + named for _, cells in body])
    refuse(file, lines, wrong, lambda k: f"expected {n + named} cells, got {len(body[k][1])}")
    if named:
        own = [cells[0].strip() for _, cells in body]
        other = np.asarray(own, object) != np.asarray(names, object)
        refuse(
            file, lines, other, lambda k: f"expected {names[k]!r} as in the header, not {own[k]!r}"
        )
    matrix = np.asarray([[_number(cell) for cell in cells[-n:]] for _, cells in body])
    bad = ~np.isfinite(matrix) | (matrix < 0)
    at = bad.argmax(1)
    refuse(file, lines, bad.any(1), lambda k: f"expected a distance, got {body[k][1][at[k] - n]!r}")
    uneven = (~np.isclose(matrix, matrix.T)).any(1) | (matrix.diagonal() != 0)
    refuse(file, lines, uneven, lambda _: "expected symmetric distances, 0 on the diagonal")
    merged = linkage.linkage(squareform(matrix, checks=False), "average").astype(int)
    parent = np.full(2 * n - 1, -1)
    parent[merged[:, 0]] = parent[merged[:, 1]] = np.arange(n, 2 * n - 1)
    inner = [f"node {k}" for k in range(n, 2 * n - 1)]
    if taken := set(inner) & set(names):
        raise UserError(f"{file}: name {min(taken)!r} is that of an inner node")
    return from_parents([*names, *inner], parent)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
