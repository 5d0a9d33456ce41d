"""One process per working directory: a lock that the kernel releases when its holder dies."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from tvae.errors import UserError

LOCK_FILE = "lock"


@contextlib.contextmanager
def hold(workdir: pathlib.Path) -> Iterator[None]:
    """Hold the lock of a working directory for the length of the block.

    The lock is ``flock``'s: it lies in the kernel, so a killed holder leaves none behind; the file
    that stays tells only who held it last.

    Args:
      workdir: existing folder.

    Raises:
      UserError: if another holder is at work there, or the folder cannot be written.
    """
    path = workdir / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"workdir {workdir}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(OSError):  # a full disk keeps nobody from the lock itself
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        raise UserError(
            f"workdir {workdir} is in use by another process (pid {holder or 'unknown'}); wait for "
            "it or give another --workdir"
        ) from error
    finally:
        os.close(descriptor)
