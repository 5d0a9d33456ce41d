"""Measure a checkpoint: ``python -m tvae evaluate --checkpoint=v6``.

Every metric of the task's final evaluation with its definition, its ceiling and the published value
beside it. ``--format=json`` prints exactly one flat JSON object on standard output.
"""

import sys

from absl import flags

from tvae import loading
from tvae.domains import registry
from tvae.errors import UserError
from tvae.reporting import listing


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Checkpoint that ships, by name; folder of parameters; or of a run, whose newest is taken.",
        flag_values=options,
    )
    flags.DEFINE_enum(
        "format", "table", list(listing.FORMATS), "Format of the output.", flag_values=options
    )


def main(options: flags.FlagValues) -> None:
    """Print the metrics of ``--checkpoint``."""
    if not options.checkpoint:
        raise UserError("--checkpoint: expected a folder, or one that ships, such as v6")
    model = loading.load(options.checkpoint)
    show = listing.FORMATS[options.format]
    define = registry.get(model.task).define
    sys.stdout.write(show(model.metrics(), lambda key: define(key, model.config)))
