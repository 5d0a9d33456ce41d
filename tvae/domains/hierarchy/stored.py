"""``hierarchy.npz``: the copy of a hierarchy that a run or a saved model keeps beside itself.

The arrays lie in the file as they are, texts as UTF-8 with their ends; a digest covers all of them.
Reading runs no code from the file.
"""

import hashlib
import io
import json
import os
import pathlib
import weakref
import zipfile
from collections.abc import Mapping

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.errors import UserError
from tvae.runs import files

FILE = "hierarchy.npz"
_FORMAT = 1
_TEXT, _ENDS = ".text", ".ends"
_BAD = "is not the copy of a hierarchy that a run keeps"


def write_stored(known: Hierarchy, path: pathlib.Path) -> None:
    """Write a hierarchy as one file.

    Raises:
      OSError: if it cannot be written.
    """
    arrays = _to_arrays(known)
    sha256 = _digest(arrays)
    about = {"format": _FORMAT, "sha256": sha256}
    _in_use.setdefault(sha256, known)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, about=_as_bytes(json.dumps(about)), **arrays)


def digest(known: Hierarchy) -> str:
    """SHA-256 over items, parents and features."""
    return _digest(_to_arrays(known))


_in_use: "weakref.WeakValueDictionary[str, Hierarchy]" = weakref.WeakValueDictionary()
"""Hierarchies written or read by digest: one in memory, with its tree and closure, serves all."""


def read_stored(path: str | os.PathLike[str]) -> Hierarchy:
    """A hierarchy that :func:`write_stored` wrote.

    Raises:
      UserError: if the file is missing, damaged, too large or another one.
    """
    file = pathlib.Path(path)
    try:
        with files.open_regular(file, follow_links=True) as stream:
            _refuse_inflated(stream, file)
            with np.load(stream, allow_pickle=False) as loaded:
                arrays = {name: loaded[name] for name in loaded.files}
        about = json.loads(arrays.pop("about").tobytes().decode())
        if about["format"] != _FORMAT:
            raise UserError(f"{file}: {_BAD} in this version: format {about['format']}")
        if about["sha256"] != _digest(arrays):
            raise UserError(f"{file}: is damaged: its content does not match its digest")
        return _in_use.get(about["sha256"]) or _read_anew(arrays, about["sha256"])
    except UserError:
        raise
    except OSError as error:
        reason = error.strerror or _BAD
        raise UserError(f"{file}: cannot be read ({reason})") from error
    # Damage in a ZIP file, in an array's header or in texts has exceptions of many types.
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, IndexError) as error:
        raise UserError(f"{file}: {_BAD}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{file}: {_BAD}") from error


def _read_anew(arrays: Mapping[str, np.ndarray], sha256: str) -> Hierarchy:
    return _in_use.setdefault(sha256, _from_arrays(arrays))


def _refuse_inflated(stream: io.BufferedReader, file: pathlib.Path) -> None:
    """Refuse a file of compressed members, which may be a thousand times as large in memory."""
    members = zipfile.ZipFile(stream).infolist()
    size = sum(member.file_size for member in members)
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or size > files.MAX_FILE_BYTES:
        raise UserError(f"{file}: {_BAD}")
    stream.seek(0)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.data)
    return sha.hexdigest()


def _to_arrays(known: Hierarchy) -> dict[str, np.ndarray]:
    headings = np.asarray(list(known.features), object)
    arrays = {"parent": known.parent, "extra": known.extra}
    arrays |= _pack("names", known.names) | _pack("features", headings)
    for i, column in enumerate(known.features.values()):
        numeric = np.issubdtype(column.dtype, np.number)
        arrays |= {f"feature_{i}": column} if numeric else _pack(f"feature_{i}", column)
    return arrays


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> Hierarchy:
    names, parent = _unpack(arrays, "names"), arrays["parent"]
    headings = _unpack(arrays, "features").tolist()
    keys = {name: f"feature_{i}" for i, name in enumerate(headings)}
    features = {
        name: arrays[key] if key in arrays else _unpack(arrays, key) for name, key in keys.items()
    }
    columns = [names, *features.values()]
    if (
        len(keys) < len(headings)
        or parent.ndim != 1
        or any(column.shape != parent.shape for column in columns)
    ):
        raise ValueError("columns of different lengths")
    edges = np.concatenate([parent[1:], arrays["extra"].ravel()]).astype(np.int64)
    if edges.size and not (edges.min() >= 0 and edges.max() < len(parent)):
        raise ValueError("parents that are no items")
    return from_parents(names, parent, arrays["extra"].reshape(-1, 2), features)


def _pack(name: str, texts: np.ndarray) -> dict[str, np.ndarray]:
    encoded = [str(text).encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return {name + _TEXT: _as_bytes(b"".join(encoded)), name + _ENDS: ends}


def _unpack(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    content, ends = arrays[name + _TEXT].tobytes(), arrays[name + _ENDS].tolist()
    texts = np.empty(len(ends), object)
    texts[:] = [content[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]
    return texts


def _as_bytes(content: str | bytes) -> np.ndarray:
    return np.frombuffer(content if isinstance(content, bytes) else content.encode(), np.uint8)
