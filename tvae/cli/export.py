"""Export a model: ``python -m tvae export --checkpoint=v6 --output=DIR``.

Writes what other programs read without this library: tables of all items, TensorBoard
projector files, weights as safetensors, and encode, embed and decode as StableHLO.
"""

import pathlib
import sys

from absl import flags

from tvae import loading
from tvae.errors import UserError
from tvae.exports import folder


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Checkpoint that ships, by name; folder of parameters; or of a run, whose newest is taken.",
        flag_values=options,
    )
    flags.DEFINE_string(
        "output", None, "Folder to write; must not exist, or be empty.", flag_values=options
    )


def main(options: flags.FlagValues) -> None:
    """Export ``--checkpoint`` to ``--output``."""
    if not (options.checkpoint and options.output):
        raise UserError("--checkpoint and --output are needed")
    target = pathlib.Path(options.output).absolute()
    manifest = folder.export_model(loading.load(options.checkpoint), target)
    sys.stdout.write(f"{len(manifest['files']) + 1} files, programs ")
    sys.stdout.write(f"{', '.join(manifest['programs'])} -> {target}\n")
