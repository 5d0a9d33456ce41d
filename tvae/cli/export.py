"""Export a model: ``python -m tvae export --checkpoint=checkpoints/v6 --output=DIR``.

Writes what other programs read without this library: tables of all items, TensorBoard
projector files, weights as safetensors, and encode, embed and decode as StableHLO.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from tvae import loading
from tvae.errors import UserError
from tvae.exports import folder

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Folder of parameters, or of a run, whose newest checkpoint is taken."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write; must not exist, or be empty.")


def main(argv: Sequence[str]) -> None:
    """Export ``--checkpoint`` to ``--output``."""
    del argv
    if not (_CHECKPOINT.value and _OUTPUT.value):
        raise UserError("--checkpoint and --output are needed")
    target = pathlib.Path(_OUTPUT.value).absolute()
    manifest = folder.export_model(loading.load(_CHECKPOINT.value), target)
    sys.stdout.write(f"{len(manifest['files']) + 1} files, programs ")
    sys.stdout.write(f"{', '.join(manifest['programs'])} -> {target}\n")
