"""Checks of configuration values: a predicate and what to say that it expects."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from tvae.errors import UserError


class Check(NamedTuple):
    """What a field may be.

    Attributes:
      holds: whether a value may stand there.
      expectation: what is expected, in words.
      low: the lower bound of a number; None for other fields.
      high: its upper bound, itself allowed; None where there is none.
      low_excluded: whether the lower bound itself is not allowed.
      choices: the words that are allowed; empty for other fields.
    """

    holds: Callable[[Any], bool]
    expectation: str
    low: float | None = None
    high: float | None = None
    low_excluded: bool = False
    choices: tuple[str, ...] = ()


def at_least(bound: float) -> Check:
    """A number no smaller than the bound."""
    return Check(lambda value: value >= bound, f"a number >= {bound}", bound)


def above(bound: float) -> Check:
    """A number larger than the bound."""
    return Check(lambda value: value > bound, f"a number > {bound}", bound, low_excluded=True)


def within(low: float, high: float) -> Check:
    """A number in a closed interval."""
    return Check(lambda value: low <= value <= high, f"a number in [{low}, {high}]", low, high)


def one_of(*choices: str) -> Check:
    """One of some words."""
    expectation = "one of " + ", ".join(map(repr, choices))
    return Check(lambda value: value in choices, expectation, choices=choices)


SHARE = within(0.0, 1.0)
SEED = within(0, 2**31 - 1)
WIDTHS = Check(
    lambda value: len(value) > 0 and all(isinstance(w, int) and w > 0 for w in value),
    "a tuple of positive integers",
)


def refuse_riemannian(config: ConfigDict) -> None:
    """Refuse the optimizer for points of the ball, where all parameters are flat."""
    if config.optimizer.kind == "riemannian_adam":
        raise UserError(
            "config.optimizer.kind: 'riemannian_adam' has nothing to act on: no parameter of this "
            "model is a point of the ball (config.model.translated of 'projected_vae' makes some); "
            "expected 'adam_l2', which the original's Riemannian Adam amounts to, or 'adamw'"
        )
