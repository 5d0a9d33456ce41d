"""Ship a run's parameters: ``python -m tvae ship --workdir=RUN --output=checkpoints/NAME``.

Writes what ``checkpoints/`` holds: parameters alone in Orbax format, and a model card.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from tvae import loading
from tvae.artifacts import cards
from tvae.errors import UserError
from tvae.runs import files, parameters

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a finished run.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write; must not exist.")


def main(argv: Sequence[str]) -> None:
    """Write parameters and card of the newest checkpoint of ``--workdir``."""
    del argv
    if not (_WORKDIR.value and _OUTPUT.value):
        raise UserError("--workdir and --output are needed")
    source = pathlib.Path(_WORKDIR.value).absolute()
    target = pathlib.Path(_OUTPUT.value).absolute()
    final = source / files.FINAL_FILE
    if not final.exists():
        raise UserError(f"workdir {source}: {final.name} is missing; the run has not finished")
    model = loading.load(source)
    metadata = dict(model.card)
    parameters.save_params(target, model.params, metadata)
    card = cards.model_card(target.name, metadata, shipped_by="python -m tvae ship")
    (target / "README.md").write_text(card)
    sys.stdout.write(f"{source} -> {target}\n")
