"""Measure a checkpoint: ``python -m tvae evaluate --checkpoint=v6``.

Every metric of the task's final evaluation with its definition, its ceiling and the published value
beside it; with ``--input=FILE`` scores of the predictions of a file's rows in place of it.
``--format=json`` prints exactly one flat JSON object on standard output.

``--pairs=FILE`` asks instead whether the parent of each row is above the child: rows without labels
are printed with their scores as CSV, of labelled ones F1, precision and recall as JSON;
``--scores=FILE`` writes the scores of either.
"""

import csv
import io
import json
import pathlib
import sys
from typing import Any

from absl import flags

from tvae import loading
from tvae.domains import registry
from tvae.domains.views import ScoredPairs
from tvae.errors import UserError
from tvae.model import Model
from tvae.reporting import listing
from tvae.runs import files


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Checkpoint that ships, by name; folder of parameters; or of a run, whose newest is taken.",
        flag_values=options,
    )
    flags.DEFINE_string(
        "input",
        None,
        "File with rows and their labels, of models that predict labels.",
        flag_values=options,
    )
    flags.DEFINE_enum(
        "format", "table", list(listing.FORMATS), "Format of the output.", flag_values=options
    )
    flags.DEFINE_string(
        "pairs",
        None,
        "CSV, TSV or Parquet of child, parent and label: is the second above the first?",
        flag_values=options,
    )
    flags.DEFINE_string("scores", None, "CSV file for the scores of --pairs.", flag_values=options)


def main(options: flags.FlagValues) -> None:
    """Print the metrics of ``--checkpoint``, or what it makes of ``--pairs``."""
    if not options.checkpoint:
        raise UserError("--checkpoint: expected a folder, or one that ships, such as v6")
    model = loading.load(options.checkpoint)
    if options.pairs:
        _show_pairs(model.score_pairs(options.pairs), options.scores)
        return
    if options.scores:
        raise UserError("--scores: expected --pairs, whose scores are written")
    show = listing.FORMATS[options.format]
    define = registry.get(model.task).define
    metrics = _measure_file(model, options.input) if options.input else model.metrics()
    sys.stdout.write(show(metrics, lambda key: define(key, model.config)))


def _measure_file(model: Model, path: str) -> dict[str, Any]:
    """Scores of the predictions of a file's rows."""
    views = model.views
    if views.read_rows is None or views.measure_rows is None:
        raise UserError(f"--input: a model of task {model.task} predicts no labels")
    rows = views.read_rows(pathlib.Path(path))
    for problem in rows.problems:
        sys.stderr.write(f"{problem}\n")
    return files.to_plain(views.measure_rows(model.params, rows))


def _show_pairs(found: ScoredPairs, scores: str | None) -> None:
    """Print F1 of labelled pairs, or the scores of others; write the scores where asked."""
    labelled = "f1" in found.metrics
    table = "" if labelled and scores is None else _as_csv(found)
    if scores is not None:
        try:
            files.write_text(pathlib.Path(scores), table)
        except OSError as error:
            raise UserError(f"--scores: {scores} cannot be written ({error.strerror})") from error
    if labelled:
        sys.stdout.write(json.dumps(found.metrics) + "\n")
    elif scores is None:
        sys.stdout.write(table)


def _as_csv(found: ScoredPairs) -> str:
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("child", "parent", "score", "is_a"))
    score = (f"{value:.6g}" for value in found.score)
    rows.writerows(
        zip(found.item, found.ancestor, score, found.true.astype(int).tolist(), strict=True)
    )
    return out.getvalue()
