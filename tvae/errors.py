"""Errors that end a command with one clear line."""

import contextlib
from collections.abc import Iterator


class UserError(ValueError):
    """A mistake in what the user gave: one clear line, no traceback."""


class DivergedError(UserError):
    """Training has diverged or collapsed: a metric is not finite."""


class StoppedError(Exception):
    """A signal asked the run to stop, and it did, with everything saved.

    Attributes:
      signal_number: which one.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


@contextlib.contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Name the extra of this library whose package an import in the block does not find.

    Raises:
      UserError: if a package is not installed.

    >>> with needs_extra("maps", "a map"):
    ...     import absent
    Traceback (most recent call last):
        ...
    tvae.errors.UserError: a map needs absent: pip install 'tvae[maps]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "tvae":
            raise
        raise UserError(f"{purpose} needs {package}: pip install 'tvae[{extra}]'") from None
