"""Small values that rooms hand to each other."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jax


class UserError(ValueError):
    """A mistake in what the user gave: one clear line, no traceback."""


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
