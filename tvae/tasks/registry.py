"""Which tasks exist."""

from ml_collections import ConfigDict

from tvae.task import Task
from tvae.tasks import dual_vae, ternary_vae

MAKERS = {"dual_vae": dual_vae.make_domain, "ternary_vae": ternary_vae.make_domain}


def make_task(config: ConfigDict) -> Task:
    """The task that a validated configuration names."""
    return MAKERS[config.task](config).task()
