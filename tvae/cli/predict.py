"""Predict the rows of a file: ``python -m tvae predict --checkpoint=RUN --input=IN --output=OUT``.

The input has the columns that the model was trained on, labels not needed, or is FASTA. The output
is a CSV file with one line for each row and label: value, ends of the intervals, class by known
limits, the features that drive the prediction with what they add to it (on the scale on which the
label was learnt), and warnings. Rows that cannot be read are listed on standard error.
"""

import csv
import io
import pathlib
import sys

import numpy as np
from absl import flags

from tvae import loading
from tvae.domains.views import Attribution, Predictions, Rows, Views
from tvae.errors import UserError
from tvae.runs import files

_CHUNK = 1024  # rows whose parts are in memory at a time


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Checkpoint that ships, by name; folder of parameters; or of a run, whose newest is taken.",
        flag_values=options,
    )
    flags.DEFINE_string("input", None, "File with the rows to predict.", flag_values=options)
    flags.DEFINE_string("output", None, "CSV file to write.", flag_values=options)
    flags.DEFINE_integer(
        "drivers",
        3,
        "How many driving features to list for each prediction; 0 for none, which is faster.",
        lower_bound=0,
        flag_values=options,
    )


def main(options: flags.FlagValues) -> None:
    """Predict ``--input`` and write ``--output``."""
    if not (options.checkpoint and options.input and options.output):
        raise UserError("--checkpoint, --input and --output are needed")
    target = pathlib.Path(options.output).absolute()
    model = loading.load(options.checkpoint)
    views = model.views
    if views.read_rows is None:
        raise UserError(f"predict: a model of task {model.task} predicts no labels")
    rows = views.read_rows(pathlib.Path(options.input))
    for problem in rows.problems:
        sys.stderr.write(f"{problem}\n")
    predicted = model.predict(rows.x)
    drivers = [[""] * len(rows.names) for _ in views.labels]
    if options.drivers:
        for start in range(0, len(rows.names), _CHUNK):
            some = slice(start, start + _CHUNK)
            listed = _list_drivers(model.explain(rows.x[some]), views.features, options.drivers)
            for column, texts in zip(drivers, listed, strict=True):
                column[some] = texts
    with files.writing_to(f"--output {target}"):
        files.write_text(target, _as_csv(views, rows, predicted, drivers))
    sys.stdout.write(f"{len(rows.names)} rows, {len(views.labels)} labels -> {target}\n")


def _list_drivers(found: Attribution, features: tuple[str, ...], count: int) -> list[list[str]]:
    """For each label and row the features of the largest parts, with these parts."""
    parts = np.asarray(found.parts)
    order = np.argsort(-np.abs(parts), axis=-1, kind="stable")[..., :count]
    sizes = np.take_along_axis(parts, order, -1)
    return [
        [
            " ".join(
                f"{features[i]}{size:+.2f}"
                for i, size in zip(which, values, strict=True)
                if abs(size) >= 0.005  # it would read +0.00
            )
            for which, values in zip(*label, strict=True)
        ]
        for label in zip(order, sizes, strict=True)
    ]


def _as_csv(views: Views, rows: Rows, predicted: Predictions, drivers: list[list[str]]) -> str:
    """The predictions as text."""
    levels = [f"{100 * level:.0f}" for level in views.levels]
    ends = [f"{end}_{level}" for level in levels for end in ("low", "high")]
    value, low, high = (np.asarray(x) for x in (predicted.value, predicted.low, predicted.high))
    numbers = np.concatenate([value[None], np.stack([low, high], 1).reshape(-1, *value.shape)])
    classes = [views.classify(label, value[:, column]) for column, label in enumerate(views.labels)]
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["name", "label", "value", *ends, "class", "drivers", "warnings"])
    for row, name in enumerate(rows.names):
        for column, label in enumerate(views.labels):
            cells = [f"{x:.5g}" for x in numbers[:, row, column]]
            texts = [classes[column][row], drivers[column][row], rows.warnings[row]]
            writer.writerow([name, label, *cells, *texts])
    return output.getvalue()
