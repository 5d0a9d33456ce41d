"""Measure a checkpoint: ``python -m tvae evaluate --checkpoint=checkpoints/v6``.

Every metric of the task's final evaluation with its definition, its ceiling and the published value
beside it. ``--format=json`` prints exactly one flat JSON object on standard output.
"""

import sys
from collections.abc import Sequence

from absl import flags

from tvae import loading
from tvae.domains import registry
from tvae.errors import UserError
from tvae.reporting import listing

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of parameters, or of a run, whose newest checkpoint is taken."
)
_FORMAT = flags.DEFINE_enum("format", "table", list(listing.FORMATS), "What is printed.")


def main(argv: Sequence[str]) -> None:
    """Print the metrics of ``--checkpoint``."""
    del argv
    if not _CHECKPOINT.value:
        raise UserError("--checkpoint: expected a folder such as checkpoints/v6")
    model = loading.load(_CHECKPOINT.value)
    show = listing.FORMATS[_FORMAT.value]
    define = registry.get(model.task).define
    sys.stdout.write(show(model.metrics(), lambda key: define(key, model.config)))
