"""What reading one file may cost: bytes in proportion to its size, values, keys of known hashes."""

from typing import Any

from tvae.errors import UserError

SLACK_BYTES = 16 * 2**20
EXPANSION = 8
"""Values may take so many times the file's bytes, plus the slack: tied tensors are listed twice."""
BYTES_PER_VALUE = 100
"""What a value of a container counts for, beside its content."""
MAX_VALUES = 400_000
"""Values and copies, each reference counted: what follows them takes some microseconds for each."""
MAX_NUMBER_KEYS = 20_000
"""Keys of dictionaries and sets that are not text. Optimizers number their tensors."""
_MAX_KEY_BITS = 64


class Budget:
    """Bytes, values and keys that are left for one file.

    A pickle may refer to one value a million times, so that whatever is copied or unfolded is
    charged here each time. Python's hashes of text are random in each process; those of numbers are
    known, and an author may choose numbers that collide, so that their count is bounded.
    """

    def __init__(self, n_bytes: int) -> None:
        self._left_bytes = n_bytes
        self._left_values = MAX_VALUES
        self._left_keys = MAX_NUMBER_KEYS

    def charge(self, n_bytes: int) -> None:
        """Count a value and the memory that it takes.

        Raises:
          UserError: beyond a limit.
        """
        self._left_bytes -= n_bytes
        self._left_values -= 1
        if self._left_values < 0:
            raise UserError(f"holds more than {MAX_VALUES} values, shared ones counted each time")
        if self._left_bytes < 0:
            raise UserError("its values claim more memory than the limit for a file of its size")

    def check_key(self, key: Any) -> Any:
        """Return a key whose hash is cheap: that of a deeply nested tuple overflows the C stack.

        Raises:
          UserError: for another key, and beyond the limit.
        """
        if isinstance(key, (str, bytes)):
            return key
        if not isinstance(key, (int, float, type(None))):
            raise UserError("a key must be a string, number or None")
        if isinstance(key, int) and key.bit_length() > _MAX_KEY_BITS:
            raise UserError(f"a key is an integer of {key.bit_length()} bits")
        self._left_keys -= 1
        if self._left_keys < 0:
            raise UserError(f"holds more than {MAX_NUMBER_KEYS} keys that are numbers")
        return key
