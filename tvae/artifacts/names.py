"""Names, and files that may come from strangers: no path leaves its folder, no link is followed."""

import json
import os
import pathlib
import re
import shutil
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from tvae.errors import UserError

MAX_FILES = 10_000
"""Files of one artifact."""
MAX_FILE_BYTES = 4 * 2**30
MAX_JSON_BYTES = 32 * 2**20
"""Of one JSON document, and of one file of JSON lines."""

_WORD = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,63}", re.ASCII)


class Name(NamedTuple):
    """What an artifact is called, in every stage.

    Attributes:
      model: family of versions, such as ``v6``.
      version: one of them, such as ``1.0.0``.
    """

    model: str
    version: str

    def __str__(self) -> str:
        """As the user writes it."""
        return f"{self.model}/{self.version}"


def parse_name(text: str | None) -> Name:
    """Read ``<model>/<version>``.

    Args:
      text: from the user, a manifest or a ledger.

    Returns:
      A name whose parts are plain words: no separator, no leading dot, no ``..``.

    Raises:
      UserError: for anything else.

    >>> parse_name("v6/1.0.0")
    Name(model='v6', version='1.0.0')
    """
    words = (text or "").split("/")
    if len(words) != 2 or not all(_WORD.fullmatch(word) for word in words):
        raise UserError(
            "name: expected <model>/<version> of lower-case letters, digits and single '.', '_', "
            f"'-', such as v6/1.0.0; got {text!r}"
        )
    return Name(*words)


def refuse_links(root: pathlib.Path, path: pathlib.Path) -> None:
    """Refuse a path below ``root`` of which an existing part is a symbolic link.

    Raises:
      UserError: naming the link.
    """
    part = root
    for word in path.relative_to(root).parts:
        part = part / word
        if part.is_symlink():
            raise UserError(f"{part}: is a symbolic link; links are not followed")


def walk(folder: pathlib.Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder, links unfollowed.

    Yields:
      ``(path relative to the folder with '/', lstat)``, folders before what they hold.

    Raises:
      UserError: beyond ``MAX_FILES`` entries.
    """
    pending, count = [""], 0
    while pending:
        prefix = pending.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                count += 1
                if count > MAX_FILES:
                    raise UserError(f"{folder}: more than {MAX_FILES} files")
                path, status = prefix + entry.name, entry.stat(follow_symlinks=False)
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path + "/")


def open_regular(path: pathlib.Path) -> BinaryIO:
    """Open a regular file for reading; a link, a device or a pipe is refused.

    Raises:
      UserError: if it is not a regular file.
      OSError: if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path}: not a regular file")
    return os.fdopen(descriptor, "rb")


def copy_tree(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy a folder of regular files; half-written ones (``.tmp``) are left out.

    Args:
      source: any folder.
      target: must not exist; gets fresh permissions, whatever the source's are.

    Raises:
      UserError: if the source holds a link, a device or a pipe, or too much.
    """
    target.mkdir(parents=True)
    for path, status in walk(source):
        if stat.S_ISDIR(status.st_mode):
            (target / path).mkdir()
        elif stat.S_ISLNK(status.st_mode):
            raise UserError(f"{source / path}: is a symbolic link; links are not followed")
        elif status.st_size > MAX_FILE_BYTES:
            raise UserError(f"{source / path}: larger than {MAX_FILE_BYTES} bytes")
        elif not path.endswith(".tmp"):
            with open_regular(source / path) as file, (target / path).open("xb") as copy:
                shutil.copyfileobj(file, copy)


def read_bytes(path: pathlib.Path, *, limit: int = MAX_JSON_BYTES) -> bytes:
    """The content of a small regular file.

    Raises:
      UserError: if it is missing, no regular file, unreadable or larger than ``limit`` bytes.
    """
    try:
        with open_regular(path) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > limit:
        raise UserError(f"{path}: larger than {limit} bytes")
    return content


def parse_json(content: bytes, where: object) -> dict[str, Any]:
    """A JSON object.

    Args:
      content: UTF-8 text.
      where: named in the error.

    Raises:
      UserError: if it is damaged or no object.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not readable as JSON ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a JSON object")
    return value


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The JSON object that a file holds; see :func:`read_bytes` and :func:`parse_json`."""
    return parse_json(read_bytes(path), path)
