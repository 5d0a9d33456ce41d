"""Errors that end a command with one clear line."""


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
