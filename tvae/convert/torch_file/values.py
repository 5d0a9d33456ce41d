"""Replacements of PyTorch's and NumPy's names in a checkpoint's pickle: arrays and plain values."""

import collections
import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from tvae.convert.torch_file.budget import Budget
from tvae.convert.torch_file.pickle_machine import Buildable, Global
from tvae.convert.torch_file.zip_archive import printable
from tvae.errors import UserError

_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(getattr(ml_dtypes, name, name))  # NumPy's where ml_dtypes has none
    for name in (
        *("float64", "float32", "float16", "complex128", "complex64", "bool"),
        *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
        *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    )
}
_STORAGES: dict[str, str | None] = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.ComplexFloatStorage": "complex64",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.UntypedStorage": None,
    "torch.storage.UntypedStorage": None,
}
_SCALAR_CODES = frozenset(
    {"f2", "f4", "f8", "c8", "c16", "b1"} | {f"{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)}
)

# numpy refuses more dimensions than this; PyTorch has the same limit.
_MAX_DIMENSIONS = 64
# What copying one element of a container counts for: generous, to bound the time as well.
_BYTES_PER_ELEMENT = 1000
_MAX_DEVICE_LETTERS = 32


# Not a tuple, which a pickle could unpack or return.
@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Raw numbers in the file's byte order, their entry's name and type (None: untyped)."""

    key: str
    raw: bytes
    dtype: np.dtype[Any] | None


class OrderedDictionary(collections.OrderedDict[Any, Any], Buildable):
    """``collections.OrderedDict``; the attributes that PyTorch hangs on it are dropped."""

    def build(self, state: Any) -> None:
        """Ignore ``_metadata``: version numbers of PyTorch's modules."""
        if not isinstance(state, dict):
            raise ValueError("attributes must be a dictionary")


class ScalarType(Buildable):
    """``numpy.dtype`` of a scalar: its code now, its byte order by ``BUILD``."""

    def __init__(self, code: str, *_: Any) -> None:
        # First its type: the hash of a deeply nested tuple overflows the C stack.
        if type(code) is not str or code not in _SCALAR_CODES:
            raise ValueError("not the type of a number")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        """Take the byte order from ``(version, order, ...)``."""
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError("unknown byte order")
        self.dtype = self.dtype.newbyteorder(state[1])


def _native(raw: bytes, dtype: np.dtype[Any], byteorder: str) -> bytes:
    """Bytes of a storage in this machine's order."""
    if dtype.kind == "b" and raw.translate(None, b"\0\1"):
        raise UserError("a boolean storage holds other bytes than 0 and 1")
    if byteorder == sys.byteorder or dtype.itemsize == 1:
        return raw
    # As integers, because ml_dtypes' types know no byte order; the halves of a complex one by one.
    word = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    return np.frombuffer(raw, f"u{word}").byteswap().tobytes()


def _check_geometry(offset: Any, size: Any, stride: Any, n_elements: int) -> None:
    """Refuse a view that leaves its storage, in exact integers."""
    if not (isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)):
        raise UserError("a tensor's size and stride must be tuples of one length")
    if len(size) > _MAX_DIMENSIONS:
        raise UserError(f"a tensor has {len(size)} dimensions, at most {_MAX_DIMENSIONS} are known")
    for number in (offset, *size, *stride):
        if type(number) is not int or not 0 <= number < 2**63:
            raise UserError("a tensor's size, stride and offset must be integers from 0 to 2^63-1")
    if 0 not in size:
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= n_elements:
            raise UserError(f"storage of {n_elements} elements is shorter than its tensor claims")


class Constructors:
    """The admitted globals for one file: ``table``, dotted name to constructor or plain value."""

    def __init__(self, storages: Mapping[str, bytes], byteorder: str, budget: Budget) -> None:
        self._storages = storages
        self._byteorder = byteorder
        self._budget = budget
        self._native: dict[tuple[str, np.dtype[Any]], bytes] = {}
        rebuild = "torch._utils._rebuild_"
        multiarray = ("numpy.core.multiarray", "numpy._core.multiarray")
        builtins = ("builtins", "__builtin__")
        self.table: dict[str, Any] = {
            "collections.OrderedDict": self._ordered_dict,
            rebuild + "tensor": self._tensor,
            rebuild + "tensor_v2": self._tensor,
            rebuild + "tensor_v3": self._tensor_v3,
            rebuild + "parameter": _first,
            rebuild + "parameter_with_state": _first,
            "torch.Size": self._size,
            "torch.device": _device,
            "numpy.dtype": ScalarType,
            "_codecs.encode": self._encode,
            **{f"{module}.scalar": _scalar for module in multiarray},
            **{f"{module}.set": self._set for module in builtins},
            **{f"{module}.frozenset": self._frozenset for module in builtins},
            # Names that are never called stand for themselves.
            **{name: name for name in _STORAGES},
            **{f"torch.{name}": f"torch.{name}" for name in _DTYPES},
        }

    def load_storage(self, reference: Any) -> Storage:
        """Find ``('storage', type, key, device, n_elements)``; the device does not matter."""
        tag, kind, key, _, n_elements = reference
        if tag != "storage" or not isinstance(kind, Global) or kind.name not in _STORAGES:
            raise UserError("a persistent reference is no storage")
        if type(key) is not str or key not in self._storages:
            raise UserError("a tensor's storage is missing")
        if type(n_elements) is not int:
            raise UserError(f"the size of storage {printable(key)} is no integer")
        name = _STORAGES[kind.name]
        dtype = _DTYPES[name] if name else None
        raw = self._storages[key]
        claimed = n_elements * (dtype.itemsize if dtype else 1)
        if len(raw) != claimed:
            raise UserError(f"storage {printable(key)} holds {len(raw)} bytes instead of {claimed}")
        return Storage(key, raw, dtype)

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
        """Copy a strided view of a storage; gradients and hooks are dropped."""
        if not isinstance(storage, Storage) or storage.dtype is None:
            raise UserError("a tensor without typed storage")
        return self._view(storage, storage.dtype, offset, size, stride)

    def _tensor_v3(self, storage: Any, *view: Any) -> np.ndarray:
        """The same over an untyped storage; the type comes after gradient flag and hooks."""
        offset, size, stride, _, _, dtype, *_ = view
        if not (isinstance(storage, Storage) and isinstance(dtype, Global)):
            raise UserError("a tensor without storage or type")
        known = _DTYPES.get(dtype.name.removeprefix("torch."))
        if known is None:
            raise UserError(f"{dtype.name} is not the type of a tensor")
        if len(storage.raw) % known.itemsize:
            raise UserError(f"a storage of {len(storage.raw)} bytes does not divide into {known}")
        return self._view(storage, known, offset, size, stride)

    def _view(
        self, storage: Storage, dtype: np.dtype[Any], offset: Any, size: Any, stride: Any
    ) -> np.ndarray:
        _check_geometry(offset, size, stride, len(storage.raw) // dtype.itemsize)
        self._budget.charge(math.prod(size) * dtype.itemsize + _BYTES_PER_ELEMENT)
        if 0 in size:
            return np.empty(size, dtype)
        # A step along an axis of length 1 is never taken, and may be too large for NumPy.
        steps = [step if n > 1 else 0 for n, step in zip(size, stride, strict=True)]
        bytes_apart = [step * dtype.itemsize for step in steps]
        native = self._in_native_order(storage, dtype)
        return np.ndarray(size, dtype, native, offset * dtype.itemsize, bytes_apart).copy()

    def _in_native_order(self, storage: Storage, dtype: np.dtype[Any]) -> bytes:
        """A storage's bytes in this machine's order, checked and turned round once a type."""
        key = (storage.key, dtype)
        if key not in self._native:
            self._budget.charge(len(storage.raw))
            self._native[key] = _native(storage.raw, dtype, self._byteorder)
        return self._native[key]

    def _items(self, items: Any) -> Any:
        """A list or tuple of arguments, counted against the limit."""
        if not isinstance(items, (list, tuple)):
            raise ValueError("expected a list or tuple")
        self._budget.charge(_BYTES_PER_ELEMENT * len(items))
        return items

    def _ordered_dict(self, pairs: Any = ()) -> OrderedDictionary:
        return OrderedDictionary(
            (self._budget.check_key(key), value) for key, value in self._items(pairs)
        )

    def _size(self, numbers: Any = ()) -> tuple[Any, ...]:
        return tuple(self._items(numbers))

    def _set(self, items: Any = ()) -> set[Any]:
        return set(map(self._budget.check_key, self._items(items)))

    def _frozenset(self, items: Any = ()) -> frozenset[Any]:
        return frozenset(self._set(items))

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """How protocol 2 writes bytes."""
        if type(text) is not str or encoding != "latin1":
            raise ValueError("expected text in latin1")
        self._budget.charge(_BYTES_PER_ELEMENT + len(text))
        return text.encode("latin1")


def _first(tensor: Any, *_: Any) -> np.ndarray:
    """A parameter is its tensor."""
    if not isinstance(tensor, np.ndarray):
        raise UserError("a parameter without tensor")
    return tensor


def _device(kind: Any, index: Any = 0) -> str:
    # Called a thousand times with one long text, it would fill the memory.
    if type(kind) is not str or type(index) is not int or len(kind) > _MAX_DEVICE_LETTERS:
        raise ValueError("expected the device's kind and number")
    return f"{kind}:{index}"


def _scalar(kind: Any, raw: Any) -> Any:
    """A numpy scalar from its type and bytes."""
    if not isinstance(kind, ScalarType) or type(raw) is not bytes:
        raise ValueError("expected a type and bytes")
    if len(raw) != kind.dtype.itemsize:
        raise ValueError("the bytes do not fit the type")
    return np.frombuffer(raw, kind.dtype).astype(kind.dtype.newbyteorder("="))[0]
