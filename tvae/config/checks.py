"""Checks of configuration values: a predicate and what to say that it expects."""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from tvae.types import UserError

Check = tuple[Callable[[Any], bool], str]


def at_least(bound: float) -> Check:
    """A number no smaller than the bound."""
    return lambda value: value >= bound, f"a number >= {bound}"


def above(bound: float) -> Check:
    """A number larger than the bound."""
    return lambda value: value > bound, f"a number > {bound}"


def within(low: float, high: float) -> Check:
    """A number in a closed interval."""
    return lambda value: low <= value <= high, f"a number in [{low}, {high}]"


def one_of(*choices: str) -> Check:
    """One of some words."""
    return lambda value: value in choices, "one of " + ", ".join(map(repr, choices))


SHARE = within(0.0, 1.0)
SEED = within(0, 2**31 - 1)
WIDTHS: Check = (
    lambda value: len(value) > 0 and all(isinstance(w, int) and w > 0 for w in value),
    "a tuple of positive integers",
)


def refuse_riemannian(config: ConfigDict) -> None:
    """Refuse the optimizer for points of the ball, where all parameters are flat."""
    if config.optimizer.kind == "riemannian_adam":
        raise UserError(
            "config.optimizer.kind: 'riemannian_adam' has nothing to act on: no parameter of this "
            "model is a point of the ball (config.model.translated of 'ternary_vae' makes some); "
            "expected 'adam_l2', which the original's Riemannian Adam amounts to, or 'adamw'"
        )
