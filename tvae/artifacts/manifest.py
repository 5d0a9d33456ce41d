"""The manifest: SHA-256 and size of every file of an artifact, and the check against it."""

import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Mapping
from typing import Any

from tvae.artifacts import names as places
from tvae.errors import UserError

MANIFEST_FILE = "manifest.json"
FORMAT = 1

_BLOCK_BYTES = 2**20
_READ_ONLY_FILE, _READ_ONLY_FOLDER, _WRITABLE_FOLDER = 0o444, 0o555, 0o755


def file_digest(path: pathlib.Path) -> str:
    """SHA-256 of a regular file, hexadecimal."""
    sha = hashlib.sha256()
    with places.open_regular(path) as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
    return sha.hexdigest()


def write(folder: pathlib.Path, header: Mapping[str, Any]) -> str:
    """Write the manifest of a finished folder.

    Args:
      folder: holds every file of the artifact but the manifest.
      header: JSON-compatible values that the manifest states beside its files.

    Returns:
      SHA-256 of the manifest itself, to be kept elsewhere.

    Raises:
      UserError: if the folder holds anything but regular files and folders, or a file is too large.
    """
    files = {}
    for path, status in sorted(places.walk(folder)):
        if stat.S_ISDIR(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{folder / path}: not a regular file")
        if status.st_size > places.MAX_FILE_BYTES:
            raise UserError(f"{folder / path}: larger than {places.MAX_FILE_BYTES} bytes")
        files[path] = {"bytes": status.st_size, "sha256": file_digest(folder / path)}
    text = json.dumps({"format": FORMAT, **header, "files": files}, indent=1) + "\n"
    (folder / MANIFEST_FILE).write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(folder: pathlib.Path) -> None:
    """Make all that a folder holds read-only, and see that it has reached the disk.

    The folder itself stays writable: without that it could not be renamed. :func:`seal_top` follows
    when it is in its place.
    """
    for path, status in list(places.walk(folder)):
        is_folder = stat.S_ISDIR(status.st_mode)
        (folder / path).chmod(_READ_ONLY_FOLDER if is_folder else _READ_ONLY_FILE)
        flush(folder / path)
    flush(folder)


def seal_top(folder: pathlib.Path) -> None:
    """Make a folder itself read-only: nothing can be added to it, or removed."""
    folder.chmod(_READ_ONLY_FOLDER)


def unseal(folder: pathlib.Path) -> None:
    """Make a folder and those in it writable, so that an unfinished one can be removed."""
    folder.chmod(_WRITABLE_FOLDER)
    for path, status in places.walk(folder):
        if stat.S_ISDIR(status.st_mode):
            (folder / path).chmod(_WRITABLE_FOLDER)


def flush(path: pathlib.Path) -> None:
    """Wait until a file or a folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def problems(folder: pathlib.Path, recorded: str) -> list[str]:
    """Everything in which an artifact differs from what was sealed.

    Args:
      folder: the artifact.
      recorded: SHA-256 of its manifest, from the ledger.

    Returns:
      One line for each file that is changed, missing or extra; empty for an intact artifact. A
      changed manifest is the only line: its digests prove nothing then.
    """
    try:
        content = places.read_bytes(folder / MANIFEST_FILE)
    except UserError as error:
        return [str(error)]
    if hashlib.sha256(content).hexdigest() != recorded:
        return [f"changed: {MANIFEST_FILE} does not match the digest in the ledger"]
    # What follows is what was written: its digest says so.
    files = json.loads(content)["files"]
    folders = {str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents}
    found = dict(places.walk(folder))
    del found[MANIFEST_FILE]
    lines = [f"missing: {path}" for path in sorted(files.keys() - found.keys())]
    for path, status in sorted(found.items()):
        if path in files:
            lines += _difference(folder / path, path, status, files[path])
        elif not (stat.S_ISDIR(status.st_mode) and path in folders):
            lines.append(f"extra: {path}")
    return lines


def _difference(
    file: pathlib.Path, path: str, status: os.stat_result, entry: Mapping[str, Any]
) -> list[str]:
    """Whether a listed file is still what it was: no line or one."""
    if not stat.S_ISREG(status.st_mode):
        return [f"changed: {path} is no longer a regular file"]
    if status.st_size != entry["bytes"]:
        return [f"changed: {path} has {status.st_size} bytes, not {entry['bytes']}"]
    try:
        intact = file_digest(file) == entry["sha256"]
    except OSError as error:
        return [f"unreadable: {path} ({error.strerror})"]
    return [] if intact else [f"changed: {path} does not match its digest"]
