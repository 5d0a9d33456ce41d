"""Read PyTorch checkpoint files that may come from strangers, without PyTorch.

Threat model: the author of a file controls every byte of it. Reading it must not run code, write or
open other files, use memory or time out of proportion to the file, or return numbers that are not
its own. Hence four checks in a row:

* :mod:`~tvae.convert.torch_file.zip_archive`: names stay inside the archive, sizes are bounded
  before anything is unpacked, every checksum is tested;
* :mod:`~tvae.convert.torch_file.pickle_machine`: an interpreter of the opcodes for plain values,
  with a literal table of names; it never imports, sets attributes or calls what the file brings;
* :mod:`~tvae.convert.torch_file.values`: the constructors in that table; a tensor's view is checked
  against its storage in exact integers before an array is made;
* :mod:`~tvae.convert.torch_file.reader`: the result is copied into plain containers, with limits on
  depth and number of values.

Anything else is refused with a one-line :class:`~tvae.errors.UserError`. Not covered: weights that
are well formed but wrong.
"""

from tvae.convert.torch_file.reader import read_torch_file

__all__ = ["read_torch_file"]
