"""Ship a run's parameters: ``python -m tvae ship --workdir=RUN --output=checkpoints/NAME``.

Writes what ``checkpoints/`` holds: parameters alone in Orbax format, and a model card.
"""

import pathlib
import sys

from absl import flags

from tvae import loading
from tvae.artifacts import cards
from tvae.errors import UserError
from tvae.runs import parameters
from tvae.runs.run import Run


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
    run = Run(source)
    run.require_finished()
    model = loading.load_run(run)
    parameters.save_params(target, model.params, dict(model.card), model.views.keep)
    card = cards.model_card(target.name, model.card, shipped_by="python -m tvae ship")
    (target / "README.md").write_text(card)
    sys.stdout.write(f"{source} -> {target}\n")
