"""Ship a run's parameters: ``python -m tvae ship --workdir=RUN --output=checkpoints/NAME``.

Writes what ``checkpoints/`` holds: parameters alone in Orbax format, and a model card.
"""

import pathlib
import sys

from absl import flags

from tvae import loading
from tvae.artifacts import cards
from tvae.errors import UserError
from tvae.runs import files, parameters


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string("workdir", None, "Folder of a finished run.", flag_values=options)
    flags.DEFINE_string("output", None, "Folder to write; must not exist.", flag_values=options)


def main(options: flags.FlagValues) -> None:
    """Write parameters and card of the newest checkpoint of ``--workdir``."""
    if not (options.workdir and options.output):
        raise UserError("--workdir and --output are needed")
    source = pathlib.Path(options.workdir).absolute()
    target = pathlib.Path(options.output).absolute()
    final = source / files.FINAL_FILE
    if not final.exists():
        raise UserError(f"workdir {source}: {final.name} is missing; the run has not finished")
    model = loading.load(source)
    metadata = dict(model.card)
    parameters.save_params(target, model.params, metadata)
    card = cards.model_card(target.name, metadata, shipped_by="python -m tvae ship")
    (target / "README.md").write_text(card)
    sys.stdout.write(f"{source} -> {target}\n")
