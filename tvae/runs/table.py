"""The record of runs as a table: DuckDB in memory over the rows that were just read.

DuckDB takes columns as they come (hundreds, most of them missing in most runs), and sorts and
filters them in SQL, without a server or a schema to migrate.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tvae.errors import UserError, needs_extra
from tvae.runs import text
from tvae.runs.find import Row

FORMATS = ("table", "json", "csv")
_FIRST = ("stage", "name", "task", "seed", "state", "epochs")


def _column(rows: Sequence[Row], key: str) -> np.ndarray:
    """A column: float64 with NaN for what is missing, or text with None."""
    values = [row.get(key) for row in rows]
    if all(value is None or isinstance(value, float) for value in values):
        return np.array([math.nan if value is None else value for value in values], np.float64)
    return np.array([None if value is None else str(value) for value in values], object)


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _without_nan(key: str, column: np.ndarray) -> str:
    """A column of the table: DuckDB would sort NaN above all numbers, NULL is simply missing."""
    name = _quoted(key)
    return f"nullif({name}, 'nan'::DOUBLE) AS {name}" if column.dtype == np.float64 else name


def _duckdb() -> Any:
    with needs_extra("artifacts", "list"):
        import duckdb
    return duckdb


def _database(duckdb: Any, rows: Sequence[Row]) -> Any:
    """A connection whose table ``runs`` holds the rows; it can reach no file and no network."""
    keys = sorted({key for row in rows for key in row} | set(_FIRST))
    connection = duckdb.connect(":memory:")
    columns = {key: _column(rows, key) for key in keys}
    connection.register("columns", columns)
    chosen = ", ".join(_without_nan(key, column) for key, column in columns.items())
    connection.execute(f"CREATE TABLE runs AS SELECT {chosen} FROM columns")  # noqa: S608 - quoted
    connection.unregister("columns")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return connection


def _default_columns(
    rows: Sequence[Row], headline: Mapping[str, Sequence[str]], by: str
) -> list[str]:
    """Names and progress, the headline metrics of the tasks at hand, and the column sorted by."""
    tasks = {row.get("task") for row in rows}
    shown = [key for task, keys in headline.items() if task in tasks for key in keys]
    known = {key for row in rows for key in row}
    return [key for key in dict.fromkeys([*_FIRST, *shown, by]) if key in known]


def _check_columns(flag: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Refuse a column that no row has."""
    known = {key for row in rows for key in row}
    for column in columns:
        if column not in known:
            near = sorted(key for key in known if column.split("/")[-1] in key)[:5]
            hint = f"; there are {', '.join(near)}" if near else ""
            raise UserError(f"--{flag}: no column {column!r}{hint}")


def select(
    rows: Sequence[Row],
    *,
    columns: Sequence[str] = (),
    headline: Mapping[str, Sequence[str]] = MappingProxyType({}),
    where: str = "",
    sort: str = "",
    limit: int | None = None,
) -> list[Row]:
    """Choose, sort and cut rows; None for what is missing.

    Args:
      rows: of :mod:`tvae.runs.find`.
      columns: to keep; empty for name, stage and progress, the headline and that of ``sort``.
      headline: task -> metrics that are shown by default.
      where: an SQL condition over the columns, those with other signs than letters in double
        quotes: ``task = 'dual_vae' AND "eval/kl_a" < 5``. "" for all rows.
      sort: a column, ascending; with a leading ``-`` descending. "" for the order given.
      limit: rows at most; None for all.

    Raises:
      UserError: for a column that no row has, or a condition that is not SQL.
    """
    if not rows:
        return []
    by = sort.removeprefix("-")
    _check_columns("columns", columns, rows)
    _check_columns("sort", [by] if by else [], rows)
    columns = list(columns) or _default_columns(rows, headline, by)
    query = f"SELECT {', '.join(map(_quoted, columns))} FROM runs"  # noqa: S608 - quoted
    if where:
        query += f" WHERE ({where})"
    if by:
        query += f" ORDER BY {_quoted(by)} {'DESC' if by != sort else 'ASC'} NULLS LAST, path"
    if limit is not None:
        query += f" LIMIT {limit:d}"
    duckdb = _duckdb()
    connection = _database(duckdb, rows)
    try:
        if len(duckdb.extract_statements(query)) != 1:
            raise UserError("--where: expected a condition, got several statements")
        found = connection.execute(query).fetchall()
    except duckdb.Error as error:
        raise UserError(f"--where: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()
    return [dict(zip(columns, row, strict=True)) for row in found]


def render(rows: Sequence[Row], style: str) -> str:
    """Rows of :func:`select` as text in one of ``FORMATS``, with a line break at its end.

    >>> print(render([{"name": "b", "eval/hierarchy": -0.8}], "table"), end="")
    name  eval/hierarchy
    b     -0.8
    """
    if style == "json":
        return json.dumps(rows, indent=2) + "\n"
    if not rows:
        return ""
    header = list(rows[0])
    if style == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()
    cells = (
        [text.printable(v) if isinstance(v, str) else text.number(v) for v in row.values()]
        for row in rows
    )
    return text.table(cells, header) + "\n"
