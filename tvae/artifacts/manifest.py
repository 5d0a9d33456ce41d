"""The manifest: SHA-256 and size of every file of an artifact, and the check against it."""

import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Mapping
from typing import Any

from tvae.errors import UserError
from tvae.runs import directories, files

MANIFEST_FILE = "manifest.json"
FORMAT = 1

_READ_ONLY_FILE, _READ_ONLY_FOLDER, _WRITABLE_FOLDER = 0o444, 0o555, 0o755


def write_manifest(folder: pathlib.Path, header: Mapping[str, Any]) -> str:
    """Write the manifest of a finished folder, with a header; returns the manifest's SHA-256.

    Raises:
      UserError: if the folder holds anything but regular files and folders, or a file is too large.
    """
    content = {"format": FORMAT, **header, "files": directories.folder_digests(folder)}
    text = json.dumps(content, indent=1) + "\n"
    (folder / MANIFEST_FILE).write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def make_content_read_only(folder: pathlib.Path) -> None:
    """Make all that a folder holds read-only, and wait until it has reached the disk.

    The folder itself stays writable until it is in its place: it could not be renamed otherwise.
    """
    for path, status in list(directories.walk(folder)):
        is_folder = stat.S_ISDIR(status.st_mode)
        (folder / path).chmod(_READ_ONLY_FOLDER if is_folder else _READ_ONLY_FILE)
        files.flush(folder / path)
    files.flush(folder)


def make_folder_read_only(folder: pathlib.Path) -> None:
    """Make a folder itself read-only: nothing can be added to it, or removed."""
    folder.chmod(_READ_ONLY_FOLDER)


def make_writable(folder: pathlib.Path) -> None:
    """Make a folder and those in it writable, however many, so that it can be removed."""
    folder.chmod(_WRITABLE_FOLDER)
    # From the top: each folder is made readable before it is listed.
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = pathlib.Path(parent, name)
            if not path.is_symlink():
                path.chmod(_WRITABLE_FOLDER)


def find_problems(folder: pathlib.Path, recorded: str) -> list[str]:
    """A line for each file in which an artifact differs from its manifest; empty if it is intact.

    A manifest whose SHA-256 is not the ``recorded`` one is the only line: it proves nothing then.
    """
    try:
        content = files.read_bytes(folder / MANIFEST_FILE)
    except UserError as error:
        return [str(error)]
    if hashlib.sha256(content).hexdigest() != recorded:
        return [f"changed: {MANIFEST_FILE} does not match the digest in the ledger"]
    listed = json.loads(content)["files"]
    folders = {str(parent) for path in listed for parent in pathlib.PurePosixPath(path).parents}
    found = dict(directories.walk(folder))
    del found[MANIFEST_FILE]
    lines = [f"missing: {path}" for path in sorted(listed.keys() - found.keys())]
    for path, status in sorted(found.items()):
        if path in listed:
            lines += _find_difference(folder / path, path, status, listed[path])
        elif not (stat.S_ISDIR(status.st_mode) and path in folders):
            lines.append(f"extra: {path}")
    return lines


def _find_difference(
    file: pathlib.Path, path: str, status: os.stat_result, entry: Mapping[str, Any]
) -> list[str]:
    """The line on a listed file that has changed; none for an intact one."""
    if not stat.S_ISREG(status.st_mode):
        return [f"changed: {path} is no longer a regular file"]
    if status.st_size != entry["bytes"]:
        return [f"changed: {path} has {status.st_size} bytes, not {entry['bytes']}"]
    try:
        intact = files.file_digest(file) == entry["sha256"]
    except OSError as error:
        return [f"unreadable: {path} ({error.strerror})"]
    return [] if intact else [f"changed: {path} does not match its digest"]
