"""Which tasks exist."""

from collections.abc import Callable

from ml_collections import ConfigDict

from tvae.task import Task
from tvae.tasks import dual_vae, ternary_vae

Domain = dual_vae.DualVAETask | ternary_vae.TernaryVAETask

MAKERS: dict[str, Callable[[ConfigDict], Domain]] = {
    "dual_vae": dual_vae.make_domain,
    "ternary_vae": ternary_vae.make_domain,
}


def make_task(config: ConfigDict) -> Task:
    """The task that a validated configuration names."""
    return MAKERS[config.task](config).task()
