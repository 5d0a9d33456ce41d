"""Writes what ``torch.save`` writes, without PyTorch: a zip file with one pickle and raw arrays.

Enough for a checkpoint of nested dictionaries, lists, numbers, strings and float32 arrays, which is
what notebook 04 converts. The pickle is assembled opcode by opcode (protocol 2, as PyTorch's).
"""

import pathlib
import struct
import zipfile
from typing import Any

import numpy as np


def _name(module: str, attribute: str) -> bytes:
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def _string(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(module: str, function: str, *arguments: bytes) -> bytes:
    """Opcodes that call a function by its name: what makes a pickle a program."""
    return _name(module, function) + _tuple(*arguments) + b"R"


class Assembler:
    """Turns values into opcodes, and puts their arrays aside.

    Attributes:
      storages: key -> bytes of each array.
    """

    def __init__(self) -> None:
        self.storages: dict[str, bytes] = {}

    def opcodes(self, value: Any) -> bytes:
        """Opcodes that push a value; bytes are taken for opcodes already."""
        if isinstance(value, bytes):
            return value
        if isinstance(value, np.ndarray):
            return self._tensor(np.ascontiguousarray(value, np.float32).reshape(value.shape))
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, str):
            return _string(value)
        if isinstance(value, (list, tuple)):
            return b"](" + b"".join(map(self.opcodes, value)) + b"e"
        items = b"".join(self.opcodes(k) + self.opcodes(v) for k, v in value.items())
        return b"}(" + items + b"u"

    def _tensor(self, array: np.ndarray) -> bytes:
        key = str(len(self.storages))
        self.storages[key] = array.astype("<f4").tobytes()
        kind = _name("torch", "FloatStorage")
        reference = _tuple(
            _string("storage"), kind, _string(key), _string("cpu"), self.opcodes(array.size)
        )
        strides = [step // array.itemsize for step in array.strides]
        return call(
            "torch._utils",
            "_rebuild_tensor_v2",
            reference + b"Q",
            self.opcodes(0),
            _tuple(*map(self.opcodes, array.shape)),
            _tuple(*map(self.opcodes, strides)),
            self.opcodes(False),
            call("collections", "OrderedDict"),
        )


def save(value: Any, path: pathlib.Path) -> None:
    """Write a value as a ``.pt`` file.

    Args:
      value: nested dictionaries, lists, numbers, strings and float32 arrays; opcodes as bytes.
      path: the file.
    """
    assembler = Assembler()
    pickle = b"\x80\x02" + assembler.opcodes(value) + b"."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/byteorder", "little")
        for key, raw in assembler.storages.items():
            archive.writestr(f"archive/data/{key}", raw)
        archive.writestr("archive/version", "3\n")
