"""Rows that training did not see: read from a file, and measured where they have values."""

import functools
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from tvae.domains.sequences import hivdb, intervals, source, user_tables
from tvae.domains.sequences.contents import Contents
from tvae.domains.sequences.crossvalidation import coverage, score
from tvae.domains.sequences.encoding import unseen_letters
from tvae.domains.sequences.tables import Table, read_lines
from tvae.domains.views import Predictions, Rows
from tvae.engine.task import Metrics
from tvae.errors import UserError
from tvae.metrics.definitions import Definition, Entry, define

FASTA = (".fasta", ".fa", ".faa", ".fna")
"""Endings of FASTA files."""


def read_rows(path: pathlib.Path, data: ConfigDict, contents: Contents) -> Rows:
    """Rows of a file: a table of HIVDB, FASTA, or a table with the columns of ``config.data``.

    Args:
      path: the file; its columns of labels may be missing.
      data: ``config.data`` of the model.
      contents: of the table that it was trained on.

    Raises:
      UserError: with file and line, if nothing in it can be used.
    """
    table = _read_table(path, data, contents)
    cells = _at_positions(table, contents)
    new = unseen_letters(cells, contents.seen_cells, contents.positions, contents.letters_of)
    shape = (len(table.ids), len(contents.labels))
    measured, censored = np.full(shape, np.nan), np.zeros(shape, np.int8)
    for column, label in enumerate(contents.labels):
        if label in table.labels:
            own = table.labels.index(label)
            measured[:, column] = table.values[:, own]
            censored[:, column] = table.censored[:, own]
    return Rows(
        names=table.ids,
        x=jnp.asarray(contents.encode(cells)),
        measured=measured,
        censored=censored,
        warnings=tuple(f"unseen in training: {' '.join(each)}" if each else "" for each in new),
        problems=tuple(map(str, table.problems)),
    )


def _read_table(path: pathlib.Path, data: ConfigDict, contents: Contents) -> Table:
    """The file as a table, with the labels of the model that it has."""
    if path.suffix.lower() in FASTA:
        layout = source.make_layout(ConfigDict(data.to_dict() | {"positions": ""}), path, (), ())
        return user_tables.read_sequences(path, layout)
    if path.suffix != ".parquet" and source.is_hivdb(path):
        return hivdb.read(path, data.cap or hivdb.ASSAY_CAP)
    own = ConfigDict(data.to_dict() | {"fasta": ""})
    header, _ = read_lines(path, data.delimiter)
    labels = tuple(label for label in contents.labels if label in header)
    return user_tables.read_csv(path, source.make_layout(own, path, labels, ()))


def _at_positions(table: Table, contents: Contents) -> NDArray[np.uint32]:
    """Cells at the model's positions; undetermined behind the region of a joined table.

    Raises:
      UserError: if the sequences have another length.
    """
    known, given = len(contents.positions), len(table.positions)
    if given not in (known, contents.shared):
        raise UserError(
            f"{table.places[0]}: sequence of {given} positions, expected {known} as in the table "
            "that the model was trained on"
        )
    cells = np.zeros((len(table.ids), known), np.uint32)
    cells[:, :given] = table.cells
    return cells


def measure(
    rows: Rows, predicted: Predictions, features: NDArray[np.floating], config: ConfigDict
) -> Metrics:
    """Scores of predictions of rows with measured values.

    Args:
      rows: of a file.
      predicted: for these rows.
      features: of the rows that the model was trained on, ``(m, f)``.
      config: of the model.

    Raises:
      UserError: if no label has two different measured values.
    """
    labels = source.contents(config.data).labels
    if config.data.scale == "log10" and (rows.measured <= 0).any():
        row, column = np.argwhere(rows.measured <= 0)[0]
        raise UserError(
            f"{rows.names[row]}: {labels[column]} is {rows.measured[row, column]:g}; log10 needs "
            "it above 0"
        )
    as_learnt = np.log10 if config.data.scale == "log10" else np.asarray
    with np.errstate(divide="ignore"):  # the lower end of an interval without a bound is 0
        truth, value, high = (
            as_learnt(np.asarray(x, np.float64))
            for x in (rows.measured, predicted.value, predicted.high)
        )
    metrics: dict[str, Any] = {"table/rows": len(rows.names)}
    known = set(map(bytes, np.ascontiguousarray(features, np.float32)))
    twins = [bytes(each) in known for each in np.ascontiguousarray(rows.x, np.float32)]
    metrics["table/rows_in_training"] = sum(twins)
    scored = {}
    for column, label in enumerate(labels):
        found = score(truth[:, column], value[:, column])
        if not np.isnan(found.pearson):
            scored[label] = found
            metrics[f"table/values/{label}"] = found.rows
            metrics[f"table/pearson/{label}"] = found.pearson
            metrics[f"table/spearman/{label}"] = found.spearman
    if not scored:
        raise UserError(
            f"no label has two different measured values; columns that count: {', '.join(labels)}"
        )
    for name in ("pearson", "spearman", "mae"):
        metrics[f"table/{name}"] = np.mean([getattr(each, name) for each in scored.values()])
    columns = [labels.index(label) for label in scored]
    for level, ends in zip(intervals.LEVELS, high, strict=True):
        width = np.where(np.isinf(ends), np.nan, ends - value)
        each = [
            coverage(truth[:, i], value[:, i], rows.censored[:, i], width[:, i]) for i in columns
        ]
        if some := [one for one in each if not np.isnan(one.covered)]:
            metrics[f"table/coverage_{100 * level:.0f}"] = np.mean([one.covered for one in some])
            metrics[f"table/width_{100 * level:.0f}"] = np.mean([one.width for one in some])
    return {key: jnp.asarray(value, jnp.float32) for key, value in metrics.items()}


_TABLE = "rows of the file, by the model of all training rows; mean over labels"
DEFINITIONS = {
    "table/rows": Entry("rows of the file", "the file", better="neither"),
    "table/rows_in_training": Entry(
        "rows with the features of a training row",
        "the file",
        0.0,
        better="lower",
        note="the other figures flatter the model by these rows.",
    ),
    "table/pearson": Entry("Pearson correlation of predicted and measured values", _TABLE, 1.0),
    "table/spearman": Entry("Spearman correlation of predicted and measured values", _TABLE, 1.0),
    "table/mae": Entry("mean absolute error, unit of the scale", _TABLE, 0.0, better="lower"),
    **{
        f"table/coverage_{100 * level:.0f}": Entry(
            f"share of values in intervals made to cover {level:.0%}", _TABLE, better="neither"
        )
        for level in intervals.LEVELS
    },
    **{
        f"table/width_{100 * level:.0f}": Entry(
            f"mean width of intervals made to cover {level:.0%}, unit of the scale",
            _TABLE,
            better="lower",
        )
        for level in intervals.LEVELS
    },
}
"""Metric key -> entry; those of single labels come from :func:`define_metric`."""


@functools.cache
def define_metric(key: str) -> Definition | None:
    """The definition of a metric key of a file, of single labels too."""
    stem, _, label = key.removeprefix("table/").partition("/")
    if label and key.startswith("table/"):
        one = _TABLE.partition(";")[0]
        if stem == "values":
            return Definition(f"measured values of {label}", "the file", "neither")
        if whole := define(f"table/{stem}", DEFINITIONS):
            return whole._replace(text=f"{whole.text} of {label}", measured_on=one)
    return define(key, DEFINITIONS)
