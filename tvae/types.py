"""Small values that rooms hand to each other."""


class UserError(ValueError):
    """A mistake in what the user gave: one clear line, no traceback."""
