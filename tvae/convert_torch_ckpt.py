"""Convert checkpoints of the original, PyTorch to Orbax and back.

python -m tvae.convert_torch_ckpt --input=best.pt --output=checkpoints/best --verify
python -m tvae.convert_torch_ckpt --input=checkpoints/best --output=best.pt --to_torch
"""

import pathlib
import sys
from collections.abc import Sequence

import jax
from absl import flags

from tvae.cli import command as door
from tvae.convert import folders, verification
from tvae.convert.importer import import_checkpoint
from tvae.convert.torch_file import read_torch_file
from tvae.errors import UserError
from tvae.runs import files

_INPUT = flags.DEFINE_string("input", None, "PyTorch file (with --to_torch: converted folder).")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write (with --to_torch: .pt file).")
_KIND = flags.DEFINE_string("kind", "auto", "auto, v5_5, v5_11 or v5_12.")
_INCLUDE_OPTIMIZER = flags.DEFINE_bool("include_optimizer", False, "Also convert Adam's moments.")
_VERIFY = flags.DEFINE_bool("verify", False, "Recompute the metrics; print them and the recorded.")
_TO_TORCH = flags.DEFINE_bool("to_torch", False, "Write a .pt file with the original's names.")


def _convert(source: pathlib.Path, target: pathlib.Path) -> str:
    """Convert, and say what was found."""
    files.check_absent(target)
    payload = read_torch_file(source)
    try:
        found = import_checkpoint(
            payload, kind=_KIND.value, include_optimizer=_INCLUDE_OPTIMIZER.value
        )
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from None
    origin = {"file": source.name, "sha256": files.file_digest(source, follow_links=True)}
    found.metadata["source"] |= origin
    table = ""
    if _VERIFY.value:
        measured = verification.measure(found)
        table = verification.comparison_table(measured, verification.recorded(found.metadata))
        table += "\n"
    folders.write_folder(target, found)
    tensors = jax.tree.leaves(found.params)
    numbers = sum(tensor.size for tensor in tensors)
    kind = found.metadata["kind"]
    return f"{table}{kind}: {len(tensors)} tensors, {numbers:,} numbers -> {target}\n"


def main(argv: Sequence[str]) -> None:
    """Convert ``--input`` to ``--output``."""
    del argv
    if not (_INPUT.value and _OUTPUT.value):
        raise UserError("--input and --output are needed")
    source, target = pathlib.Path(_INPUT.value), pathlib.Path(_OUTPUT.value)
    if not _TO_TORCH.value:
        sys.stdout.write(_convert(source, target))
        return
    if _VERIFY.value or _INCLUDE_OPTIMIZER.value:
        raise UserError("--to_torch writes what the folder holds; leave out the other flags")
    folders.folder_to_torch(source, target)
    sys.stdout.write(f"{source} -> {target}\n")


if __name__ == "__main__":
    door.run(main)
