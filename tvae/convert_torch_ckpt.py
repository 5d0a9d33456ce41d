"""Convert checkpoints of the reference system, PyTorch to Orbax and back.

python -m tvae.convert_torch_ckpt --input=best.pt --output=checkpoints/best --verify
python -m tvae.convert_torch_ckpt --input=checkpoints/best --output=best.pt --to_torch
"""

import pathlib
import sys

import jax
from absl import flags

from tvae.cli import command
from tvae.convert import folders, verification
from tvae.convert.importer import import_checkpoint
from tvae.convert.torch_file import read_torch_file
from tvae.errors import UserError
from tvae.runs import files


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""

    def text(name: str, default: str | None, meaning: str) -> None:
        flags.DEFINE_string(name, default, meaning, flag_values=options)

    def switch(name: str, meaning: str) -> None:
        flags.DEFINE_bool(name, False, meaning, flag_values=options)

    text("input", None, "PyTorch file (with --to_torch: converted folder).")
    text("output", None, "Folder to write (with --to_torch: .pt file).")
    text("kind", "auto", "auto, v5_5, v5_11 or v5_12.")
    switch("include_optimizer", "Also convert Adam's moments.")
    switch("verify", "Recompute the metrics; print them beside the recorded ones.")
    switch("to_torch", "Write a .pt file with the names of the reference system.")


def _convert(source: pathlib.Path, target: pathlib.Path, options: flags.FlagValues) -> str:
    """Convert to Orbax; the text to print."""
    files.check_absent(target)
    payload = read_torch_file(source)
    try:
        found = import_checkpoint(
            payload, kind=options.kind, include_optimizer=options.include_optimizer
        )
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from None
    origin = {"file": source.name, "sha256": files.file_digest(source, follow_links=True)}
    found.metadata["source"] |= origin
    table = ""
    if options.verify:
        measured = verification.measure(found)
        table = verification.comparison_table(measured, verification.recorded(found.metadata))
        table += "\n"
    folders.write_folder(target, found)
    tensors = jax.tree.leaves(found.params)
    numbers = sum(tensor.size for tensor in tensors)
    kind = found.metadata["kind"]
    return f"{table}{kind}: {len(tensors)} tensors, {numbers:,} numbers -> {target}\n"


def main(options: flags.FlagValues) -> None:
    """Convert ``--input`` to ``--output``."""
    if not (options.input and options.output):
        raise UserError("--input and --output are needed")
    source, target = pathlib.Path(options.input), pathlib.Path(options.output)
    if not options.to_torch:
        sys.stdout.write(_convert(source, target, options))
        return
    if options.verify or options.include_optimizer:
        raise UserError("--to_torch writes what the folder holds; leave out the other flags")
    folders.folder_to_torch(source, target)
    sys.stdout.write(f"{source} -> {target}\n")


if __name__ == "__main__":
    command.run("tvae.convert_torch_ckpt")
