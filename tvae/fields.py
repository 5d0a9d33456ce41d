"""``Field``: default, check, meaning and kind of one value of a configuration, written once.

Defaults, validation, command line, documentation, random configurations of the tests and
hyperparameters derive from them.
"""

import dataclasses
import itertools
import math
import numbers
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import unflatten_dict
from ml_collections import ConfigDict

_TYPES: dict[type, Any] = {int: numbers.Integral, float: numbers.Real, dict: Mapping}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """The values that a field may hold.

    Attributes:
      kind: type of the value, or of each element of a tuple. ``float`` includes integers.
      low: lower bound of a number, or None.
      high: upper bound of a number, itself allowed, or None.
      low_excluded: whether the lower bound itself is not allowed.
      choices: the allowed values; empty if others are allowed too.
      part: text that a string must contain.
      several: the value is a non-empty tuple of such elements.
      increasing: elements of the tuple rise strictly, and the first equals ``low``.
      words: the expectation, where it cannot be derived from the bounds.
    """

    kind: type
    low: float | None = None
    high: float | None = None
    low_excluded: bool = False
    choices: tuple[Any, ...] = ()
    part: str = ""
    several: bool = False
    increasing: bool = False
    words: str = ""

    def holds(self, value: Any) -> bool:
        """Whether the value is allowed.

        >>> above(0.0).holds(1), above(0.0).holds(0.0), at_least(1).holds("two")
        (True, False, False)
        """
        if not self.several:
            return self._allows(value)
        if not isinstance(value, tuple | list) or not value or not all(map(self._allows, value)):
            return False
        rising = value[0] == self.low and all(x < y for x, y in itertools.pairwise(value))
        return rising or not self.increasing

    def _allows(self, value: Any) -> bool:
        """Whether the value, or one element of it, is allowed."""
        # A bool is an int in Python, but not in a configuration.
        of_kind = isinstance(value, _TYPES.get(self.kind, self.kind))
        if not of_kind or isinstance(value, bool) != (self.kind is bool):
            return False
        if isinstance(value, int) and value.bit_length() > 63:
            return False  # fits neither a float nor an array
        if self.choices:
            return value in self.choices
        if self.kind not in (int, float):
            return self.kind is not str or self.part in value
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        above_low = value > low if self.low_excluded else value >= low
        return math.isfinite(value) and above_low and value <= high

    @property
    def expectation(self) -> str:
        """What is expected, in words, to follow "expected".

        >>> within(0.0, 1.0).expectation, one_of("min", "max").expectation
        ('a number in [0.0, 1.0]', "one of 'min', 'max'")
        """
        if self.words:
            return self.words
        if self.choices:
            return "one of " + ", ".join(map(repr, self.choices))
        if self.kind is bool:
            return "True or False"
        if self.high is not None:
            return f"a number in [{self.low}, {self.high}]"
        return f"a number {'>' if self.low_excluded else '>='} {self.low}"


@dataclasses.dataclass(frozen=True)
class Field:
    """One value of a configuration.

    Attributes:
      default: the value of the reference config.
      check: the values that it may hold. Its type is that of the default: ConfigDict refuses
        others, but accepts an integer for a float.
      meaning: what the value sets, with its unit.
      traced: the value enters compiled programs as a float32 argument, so that changing it compiles
        nothing anew. Not for what decides shapes or structure, nor for what the host alone reads.
    """

    default: Any
    check: Check
    meaning: str
    traced: bool = False


def at_least(bound: float) -> Check:
    """A number no smaller than the bound; an integer if the bound is one."""
    return Check(kind=type(bound), low=bound)


def above(bound: float) -> Check:
    """A number larger than the bound; an integer if the bound is one."""
    return Check(kind=type(bound), low=bound, low_excluded=True)


def within(low: float, high: float) -> Check:
    """A number in a closed interval; an integer if the lower bound is one."""
    return Check(kind=type(low), low=low, high=high)


def one_of(*choices: Any, words: str = "") -> Check:
    """One of some values of one type; ``words`` replaces their list in messages."""
    return Check(kind=type(choices[0]), choices=choices, words=words)


def text(words: str, *, part: str = "") -> Check:
    """A string that contains ``part``; ``words`` describe it."""
    return Check(kind=str, part=part, words=words)


BOOLEAN = Check(kind=bool)
SHARE = within(0.0, 1.0)
SEED = within(0, 2**31 - 1)
WIDTHS = Check(kind=int, low=1, several=True, words="a tuple of positive integers")


def make_config(fields: Mapping[str, Field]) -> ConfigDict:
    """A configuration of all defaults, from fields by dotted path.

    >>> make_config({"loss.weight": Field(0.5, at_least(0.0), "weight of the loss")}).loss.weight
    0.5
    """
    return ConfigDict(unflatten_dict({path: f.default for path, f in fields.items()}, sep="."))


def traced_values(config: ConfigDict, fields: Mapping[str, Field]) -> dict[str, jax.Array]:
    """The fields that compiled programs take as arguments: the hyperparameters of a run.

    Path -> float32 scalar, or vector for a tuple of numbers.
    """
    values = {}
    for path, field in fields.items():
        if field.traced:
            value = config
            for name in path.split("."):
                value = value[name]
            values[path] = jax.device_put(np.asarray(value, np.float32))  # compiles nothing
    return values
