"""Folders of files: walked with limits and never through links, copied and digested."""

import os
import pathlib
import shutil
import stat
from collections.abc import Iterator
from typing import Any

from tvae.errors import UserError
from tvae.runs import files

MAX_FILES = 10_000
"""Files of one folder that is copied or verified."""


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
    """Everything below a folder, links unfollowed, folders before what they hold.

    Yields:
      Path relative to the folder, with '/', and lstat.

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


def walk_regular(folder: pathlib.Path) -> Iterator[tuple[str, os.stat_result]]:
    """The folders and regular files of :func:`walk`.

    Raises:
      UserError: for a link, a device or a pipe, and beyond ``MAX_FILE_BYTES`` a file.
    """
    for path, status in walk(folder):
        if not stat.S_ISDIR(status.st_mode):
            if not stat.S_ISREG(status.st_mode):
                link = " (is a symbolic link; links are not followed)"
                why = link if stat.S_ISLNK(status.st_mode) else ""
                raise UserError(f"{folder / path}: not a regular file{why}")
            if status.st_size > files.MAX_FILE_BYTES:
                raise UserError(f"{folder / path}: larger than {files.MAX_FILE_BYTES} bytes")
        yield path, status


def copy_tree(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy a folder of regular files, with fresh permissions, without unfinished (``.tmp``) ones.

    Raises:
      UserError: as :func:`walk_regular`.
    """
    target.mkdir(parents=True)
    for path, status in walk_regular(source):
        if stat.S_ISDIR(status.st_mode):
            (target / path).mkdir()
        elif not path.endswith(files.TEMPORARY):
            with files.open_regular(source / path) as file, (target / path).open("xb") as copy:
                shutil.copyfileobj(file, copy)


def folder_digests(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Path of every file relative to a folder -> ``bytes`` and ``sha256``, sorted.

    Raises:
      UserError: as :func:`walk_regular`.
    """
    return {
        path: {"bytes": status.st_size, "sha256": files.file_digest(folder / path)}
        for path, status in sorted(walk_regular(folder))
        if not stat.S_ISDIR(status.st_mode)
    }
