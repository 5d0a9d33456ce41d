"""Writes ``.pt`` files by hand, honest and hostile ones, without PyTorch.

Independent of the reader: a small pickle assembler (protocol 2, as ``torch.save`` uses) and a zip
file with one stored entry for the pickle and one for each storage.
"""

import io
import struct
import sys
import zipfile
from typing import Any, NamedTuple

import numpy as np


class Raw(NamedTuple):
    """Opcodes as they are."""

    opcodes: bytes


class Call(NamedTuple):
    """A function by its dotted name, called with arguments."""

    function: str
    arguments: tuple


class Tensor(NamedTuple):
    """A tensor over a storage; ``claims`` is the storage's number of elements."""

    key: str
    claims: Any
    size: Any
    stride: Any
    offset: Any = 0
    storage: str = "torch.FloatStorage"


def name(dotted: str) -> bytes:
    module, _, attribute = dotted.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def assemble(value: Any) -> bytes:
    """Opcodes that push a value."""
    if isinstance(value, Raw):
        return value.opcodes
    if isinstance(value, Call):
        return name(value.function) + assemble(value.arguments) + b"R"
    if isinstance(value, Tensor):
        persistent = ("storage", Raw(name(value.storage)), value.key, "cpu", value.claims)
        hooks = Call("collections.OrderedDict", ())
        reference = Raw(assemble(persistent) + b"Q")
        arguments = (reference, value.offset, value.size, value.stride, False, hooks)
        return assemble(Call("torch._utils._rebuild_tensor_v2", arguments))
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8b" + struct.pack("<i", len(raw)) + raw
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        raw = value.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw
    items = b"".join(map(assemble, value))
    if isinstance(value, tuple):
        return b"(" + items + b"t"
    if isinstance(value, list):
        return b"](" + items + b"e"
    pairs = b"".join(assemble(key) + assemble(item) for key, item in value.items())
    return b"}(" + pairs + b"u"


def pickle(value: Any) -> bytes:
    return b"\x80\x02" + assemble(value) + b"."


def archive(
    data: bytes,
    storages: dict[str, bytes] | None = None,
    *,
    root: str = "archive/",
    byteorder: str | None = "little",
    compression: int = zipfile.ZIP_STORED,
    more: dict[str, bytes] | None = None,
) -> bytes:
    """The zip file around a pickle."""
    entries = {"data.pkl": data}
    if byteorder is not None:
        entries["byteorder"] = byteorder.encode()
    entries |= {f"data/{key}": raw for key, raw in (storages or {}).items()}
    entries["version"] = b"3\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for entry, raw in entries.items():
            file.writestr(zipfile.ZipInfo(root + entry), raw, compression)
        for entry, raw in (more or {}).items():
            file.writestr(zipfile.ZipInfo(entry), raw, compression)
    return buffer.getvalue()


OPCODES = b"NK(t)RQb.012}]us\x85\x86\x87ecqhXG\x93\x94\x8f\x90"
"""Of which mutated pickles are made."""


def opened(data: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Pickle and storages of a file of :func:`archive`."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        found = {name.removeprefix("archive/"): file.read(name) for name in file.namelist()}
    storages = {k.removeprefix("data/"): v for k, v in found.items() if k.startswith("data/")}
    return found["data.pkl"], storages


def hostile(value: Any, **options: Any) -> bytes:
    """A file whose pickle holds ``value``."""
    return archive(pickle({"model": {"weight": value}}), **options)


def save(value: Any, *, byteorder: str = "little", **options: Any) -> bytes:
    """What ``torch.save`` writes for nested containers with float32 arrays."""
    storages: dict[str, bytes] = {}

    def convert(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            key = str(len(storages))
            raw = np.array(item, order="C")
            storages[key] = (raw if byteorder == sys.byteorder else raw.byteswap()).tobytes()
            stride = tuple(step // item.itemsize for step in raw.strides)
            return Tensor(key, item.size, item.shape, stride)
        if isinstance(item, dict):
            return {key: convert(entry) for key, entry in item.items()}
        if isinstance(item, (list, tuple)):
            return type(item)(map(convert, item))
        return item

    converted = convert(value)
    return archive(pickle(converted), storages, byteorder=byteorder, **options)


def same(x: Any, y: Any) -> bool:
    """Whether two nested results are equal to the bit, types and order of keys included."""
    if type(x) is not type(y):
        return False
    if isinstance(x, dict):
        return list(x) == list(y) and all(same(x[key], y[key]) for key in x)
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(map(same, x, y))
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    return x == y or (x != x and y != y)
