"""Small values that rooms hand to each other."""

from typing import NamedTuple

import jax


class UserError(ValueError):
    """A mistake in what the user gave: one clear line, no traceback."""


class Controls(NamedTuple):
    """What a task decides per step about the optimizer, as traced values.

    Attributes:
      learning_rate: rate of this update, float32 scalar.
    """

    learning_rate: jax.Array
