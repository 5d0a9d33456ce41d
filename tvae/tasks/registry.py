"""Which tasks exist."""

from collections.abc import Callable
from typing import Protocol

from ml_collections import ConfigDict

from tvae.task import Task
from tvae.tasks import dual_vae, hyperbolic_vae, ternary_vae


class Domain(Protocol):
    """What a maker returns: the functions of a task over what is static in a run."""

    def task(self) -> Task:
        """These functions as the engine takes them."""


MAKERS: dict[str, Callable[[ConfigDict], Domain]] = {
    "dual_vae": dual_vae.make_domain,
    "hyperbolic_vae": hyperbolic_vae.make_domain,
    "ternary_vae": ternary_vae.make_domain,
}


def make_task(config: ConfigDict) -> Task:
    """The task that a validated configuration names."""
    return MAKERS[config.task](config).task()
