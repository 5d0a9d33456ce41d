"""Which tasks exist, and what each is made of."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from tvae.domains.dual_vae import setup as dual_vae_model
from tvae.domains.dual_vae import task as dual_vae
from tvae.domains.dual_vae import views as dual_vae_views
from tvae.domains.hyperbolic_vae import task as hyperbolic_vae
from tvae.domains.hyperbolic_vae import views as hyperbolic_vae_views
from tvae.domains.operations import latent_use
from tvae.domains.projected_vae import base as projected_vae_model
from tvae.domains.projected_vae import task as projected_vae
from tvae.domains.projected_vae import views as projected_vae_views
from tvae.domains.views import Views
from tvae.engine.task import Aux, Metrics, Params, Task
from tvae.errors import UserError


class Domain(Protocol):
    """What a maker returns: the functions of a task over what is static in a run."""

    def task(self) -> Task:
        """These functions as the engine takes them."""


class Entry(NamedTuple):
    """A task's makers.

    Attributes:
      domain: configuration -> what trains.
      module: configuration -> the Flax module.
      views: ``(module, configuration or None) -> what can be asked of a trained model``.
      headline: the metrics that a list of models shows, most telling first.
    """

    domain: Callable[[ConfigDict], Domain]
    module: Callable[[ConfigDict], nn.Module]
    views: Callable[[Any, ConfigDict | None], Views]
    headline: tuple[str, ...]


TASKS: dict[str, Entry] = {
    "dual_vae": Entry(
        dual_vae.make_domain,
        dual_vae_model.make_model,
        dual_vae_views.make_views,
        ("eval/coverage_mu_a", "eval/coverage_mu_b", "eval/coverage_mu_test_a"),
    ),
    "hyperbolic_vae": Entry(
        hyperbolic_vae.make_domain,
        hyperbolic_vae.make_model,
        hyperbolic_vae_views.make_views,
        ("eval/coverage_ball", "eval/hierarchy", "eval/richness", "eval/tree_fidelity"),
    ),
    "projected_vae": Entry(
        projected_vae.make_domain,
        projected_vae_model.make_model,
        projected_vae_views.make_views,
        ("eval/coverage_ball", "eval/hierarchy_b", "eval/richness_b", "eval/tree_fidelity_b"),
    ),
}


def entry(task: str) -> Entry:
    """The makers of a task.

    Raises:
      UserError: if there is no such task.
    """
    if task not in TASKS:
        raise UserError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
    return TASKS[task]


def make_task(config: ConfigDict) -> Task:
    """The task that a validated configuration names.

    Its final evaluation says beside the task's own metrics how the latent space is used; see
    :mod:`tvae.domains.operations.latent_use`.
    """
    made = entry(config.task)
    task = made.domain(config).task()
    views = made.views(made.module(config), config)

    def final_evaluate(params: Params, aux: Aux, key: jax.Array) -> Metrics:
        measured = task.final_evaluate(params, aux, key)
        return measured | latent_use.measure(views, params, config)

    return dataclasses.replace(task, final_evaluate=final_evaluate)
