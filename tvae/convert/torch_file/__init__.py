"""Read PyTorch checkpoint files that may come from strangers, without PyTorch.

The author of a file controls every byte of it. Reading it must not run code, open other files, use
memory or time out of proportion to it, or return numbers not its own (docs/threat_model.md).
Four checks in a row: ``zip_archive`` (names, sizes, checksums), ``pickle_machine`` (plain opcodes,
literal table of names), ``values`` (its constructors, exact bounds), ``reader`` (depth, number).
"""

from tvae.convert.torch_file.reader import read_torch_file

__all__ = ["read_torch_file"]
