"""Files: written in one instant, read with limits, digested and locked.

Folders of them are in :mod:`tvae.runs.directories`.
"""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import filelock
import numpy as np

from tvae.errors import UserError

MAX_FILE_BYTES = 4 * 2**30
MAX_JSON_BYTES = 32 * 2**20
"""Of one JSON document."""
_MAX_DEPTH = 64
"""Levels of a JSON document: those who walk through it recur."""
TEMPORARY = ".tmp"
"""Ending of a file that is being written."""

CONFIG_FILE, PROVENANCE_FILE = "config.json", "run.json"
METRICS_FILE, FINAL_FILE = "metrics.jsonl", "metrics.json"
CHECKPOINTS = "checkpoints"
REPORT_FILE, COMPARISON_FILE, FIGURES = "report.html", "comparison.html", "figures"
LOCK_FILE = "lock"
"""Files and folders of a working directory."""
PARAMS_FOLDER, METADATA_FILE = "params", "metadata.json"
"""Of parameters that ship."""

# Windows lacks most of them; O_NONBLOCK: opening a pipe must not wait for its writer.
_READ = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary sibling of a file, which takes the file's place when the block ends.

    A reader sees the old file or the new one, never a part; after an error, the old one.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        yield temporary
        os.replace(temporary, path)
    except Exception:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: pathlib.Path, text: str, *, durable: bool = False) -> None:
    """Write a UTF-8 file as :func:`replacing`; ``durable``: wait until it has reached the disk."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if durable:
            flush(temporary)
    if durable:
        flush(path.parent)


def to_plain(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """NumPy or JAX values as Python numbers and lists, for JSON."""
    return {name: np.asarray(value).tolist() for name, value in metrics.items()}


def as_json(value: Any) -> str:
    """A JSON document, indented, with a line break at its end."""
    return json.dumps(value, indent=2) + "\n"


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write a JSON file atomically, and make the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, as_json(value))


@contextlib.contextmanager
def writing_to(subject: str) -> Iterator[None]:
    """Turn a failed write in the block, as on a full disk, into one line about ``subject``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{subject}: cannot be written ({error.strerror})") from error


def check_absent(target: pathlib.Path) -> None:
    """Refuse an output path that exists; an empty folder may be filled.

    Raises:
      UserError: if it is a file, a link or a folder that holds something.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UserError(f"output {target}: exists already")
    if target.is_dir() and any(target.iterdir()):
        raise UserError(
            f"output {target}: exists already; expected no such folder, or an empty one"
        )


@contextlib.contextmanager
def publishing(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A draft of a file or folder, which gets the target's name when the block ends.

    The target appears at once and whole, or not at all. Its parents are made.

    Yields:
      Path of the draft, which does not exist yet, in a temporary folder beside the target.

    Raises:
      UserError: if the target exists or cannot be written, here or in the block.
    """
    check_absent(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{target.name}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as workspace:
            draft = pathlib.Path(workspace) / target.name
            yield draft
            check_absent(target)
            if target.exists():
                target.rmdir()  # Windows does not rename to an empty folder
            draft.rename(target)
    except OSError as error:
        raise UserError(f"output {target}: {error.strerror or error}") from error


def flush(path: pathlib.Path) -> None:
    """Wait until a file or a folder has reached the disk, where the system can open both."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | _NO_LINK | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: pathlib.Path, *, follow_links: bool = False) -> io.BufferedReader:
    """Open a regular file for reading; a device, a pipe and by default a link are refused.

    Raises:
      UserError: if it is not a regular file.
      OSError: if it cannot be opened.
    """
    descriptor = os.open(path, _READ if follow_links else _READ | _NO_LINK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path}: not a regular file")
    return open(descriptor, "rb")


def read_bytes(
    path: pathlib.Path, *, limit: int = MAX_JSON_BYTES, follow_links: bool = False
) -> bytes:
    """The content of a regular file.

    Raises:
      UserError: if it is missing, not a regular file, unreadable or larger than ``limit`` bytes.
    """
    try:
        with open_regular(path, follow_links=follow_links) as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > limit:
        raise UserError(f"{path}: larger than {limit} bytes")
    return content


def _depth(value: Any) -> int:
    """Levels of containers, as far as they matter."""
    levels, inner = 0, [value]
    while inner and levels <= _MAX_DEPTH:
        levels += 1
        inner = [
            item
            for each in inner
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, dict | list)
        ]
    return levels


def parse_json(content: bytes, where: object) -> dict[str, Any]:
    """A JSON object.

    Raises:
      UserError: naming ``where``, if it is damaged or not an object.
    """
    try:
        value = json.loads(content.decode())
        if _depth(value) > _MAX_DEPTH:
            raise RecursionError("nested too deeply")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not readable as JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a JSON object")
    return value


def read_json(path: pathlib.Path, *, follow_links: bool = False) -> dict[str, Any]:
    """The JSON object in a file; see :func:`read_bytes` and :func:`parse_json`."""
    return parse_json(read_bytes(path, follow_links=follow_links), path)


def check_metrics(metrics: Mapping[str, Any], where: object) -> None:
    """Refuse values that are neither numbers nor lists of numbers.

    Raises:
      UserError: naming ``where`` and the first of them.
    """

    def is_number(value: Any) -> bool:
        # Longer integers do not fit a float.
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)

    for name, value in metrics.items():
        if not all(map(is_number, value if isinstance(value, list) else [value])):
            raise UserError(f"{where}: expected numbers in {name!r:.60}, got {value!r:.60}")


def file_digest(path: pathlib.Path, *, follow_links: bool = False) -> str:
    """SHA-256 of a regular file, hexadecimal."""
    with open_regular(path, follow_links=follow_links) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _holder(path: pathlib.Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").strip()[:32] or "unknown"
    return "unknown"


@contextlib.contextmanager
def hold_lock(
    folder: pathlib.Path, *, subject: str = "workdir", name: str = LOCK_FILE, wait: bool = False
) -> Iterator[None]:
    """Hold an advisory lock on a folder for the length of the block.

    The operating system releases it when its holder ends, however that happens. The file that
    stays names the process that held it last. ``wait``: for the present holder, after a line on
    standard error; otherwise refuse.

    Raises:
      UserError: if another process holds it, or the folder cannot be written.
    """
    path = folder / name
    lock = filelock.FileLock(path)
    with writing_to(f"{subject} {folder}"):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            if not wait:
                raise UserError(
                    f"{subject} {folder} is in use by another process (pid {_holder(path)}); wait "
                    f"for it or give another --{subject}"
                ) from error
            sys.stderr.write(f"{subject} {folder}: waiting for another writer\n")
            lock.acquire()
    try:
        # A full disk must not keep anybody from the lock; Windows does not write to a locked file.
        with contextlib.suppress(OSError):
            path.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()
