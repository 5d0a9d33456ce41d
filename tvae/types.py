"""Small values that rooms hand to each other."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jax


class UserError(ValueError):
    """A mistake in what the user gave: one clear line, no traceback."""


class StoppedError(Exception):
    """A signal asked the run to stop, and it did, with everything saved.

    Attributes:
      signal_number: which one.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class Observation(NamedTuple):
    """What a task makes of an evaluation.

    Attributes:
      aux: the untrained state from here on.
      params: parameters from here on; a task may roll some back.
      reset_moments: whether the optimizer starts afresh, bool scalar; None where it never does.
    """

    aux: Any
    params: Any
    reset_moments: "jax.Array | None" = None
