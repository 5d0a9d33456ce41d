"""Training continued from an imported checkpoint."""

import contextlib
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from tvae.convert.folders import OPTIMIZER_FOLDER, read_folder
from tvae.convert.importer import Imported
from tvae.domains.dual_vae.dynamics import Dynamics
from tvae.engine import loop, optim, stopping
from tvae.engine.step import TrainState, make_engine
from tvae.engine.task import Hparams, Task
from tvae.errors import UserError
from tvae.geometry import padic
from tvae.runs import files
from tvae.runs.checkpoint import RunCheckpoints

_LARGEST = 1e6
"""Of the numbers of a training's state; of updates too, of which v5.5 makes 100,000."""


def adopt_moments(opt_state: Any, moments: Mapping[str, Any], labels: Any, *, updates: int) -> Any:
    """Put imported moments into the state of every ``scale_by_adam`` of an optimizer.

    Args:
      opt_state: of :func:`tvae.engine.optim.make_optimizer`, each group's moments as one vector.
      moments: of :class:`tvae.convert.importer.Imported`.
      labels: group of each parameter, from :func:`tvae.engine.optim.label_groups`.
      updates: number of updates behind the moments, for the bias correction.
    """

    def is_adam(node: Any) -> bool:
        return isinstance(node, optax.ScaleByAdamState)

    def adopt(node: Any, group: str) -> Any:
        if not is_adam(node):
            return node
        mu, nu = (_join(moments[name], labels, group) for name in ("exp_avg", "exp_avg_sq"))
        return optax.ScaleByAdamState(jnp.asarray(updates, node.count.dtype), mu, nu)

    inner = {
        group: jax.tree.map(functools.partial(adopt, group=group), state, is_leaf=is_adam)
        for group, state in opt_state.inner_states.items()
    }
    return opt_state._replace(inner_states=inner)


def _join(tree: Any, labels: Any, group: str) -> jax.Array:
    """The entries of a group's arrays as one vector, as ``optax.flatten`` orders them."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(labels), strict=True)
    parts = [jnp.asarray(leaf, jnp.float32).ravel() for leaf, label in pairs if label == group]
    return jnp.concatenate(parts)


def read_start(
    config: ConfigDict, task: Task, hparams: Hparams, source: pathlib.Path
) -> TrainState:
    """The training state in which an imported checkpoint stopped, for the next epoch to start.

    Args:
      config: of the dual VAE, with the shapes of the checkpoint's model.
      task: of that configuration.
      hparams: of that configuration.
      source: folder of a converted v5.5 checkpoint with its optimizer.

    Raises:
      UserError: if the source is missing, damaged, or not of that kind or shape.
    """
    if config.task != "dual_vae":
        raise UserError(f"--start_from: expected config.task 'dual_vae', got '{config.task}'")
    imported = read_folder(source)
    engine = make_engine(task, loop.optimizer_settings(config))
    fresh = jax.eval_shape(engine.init, jax.random.key(0), hparams)
    if jax.tree.map(jnp.shape, fresh.params) != jax.tree.map(jnp.shape, imported.params):
        raise UserError(f"checkpoint {source}: its shapes are not those of config.model")
    return continue_dual_vae(imported, fresh, task)


def write_start(state: TrainState, *, steps_per_epoch: int, workdir: pathlib.Path) -> None:
    """Save a state of :func:`read_start` as a run's first checkpoint, for the loop to go on."""
    epoch = int(state.step) // steps_per_epoch
    # Any measured score is better than this one: the first evaluation replaces it.
    worst = -sys.float_info.max
    progress = stopping.Progress(epoch=epoch, best_score=worst, best_epoch=epoch)
    with contextlib.closing(RunCheckpoints(workdir / files.CHECKPOINTS)) as store:
        store.save(int(state.step), state, dataclasses.asdict(progress), score=worst)


def is_stopped_training(source: pathlib.Path) -> bool:
    """Whether a folder is of a converted checkpoint with its optimizer."""
    return (source / OPTIMIZER_FOLDER).exists()


def _last_coverage(state: Mapping[str, Any], vae: str) -> float:
    """Share of operations among the last prior samples; the checkpoint holds counts."""
    history = state.get(f"coverage_{vae}_history")
    last = history[-1] if isinstance(history, list) and history else 0
    return last / padic.count() if _is_plausible(last) else 0.0


def _is_plausible(value: Any) -> bool:
    """Whether a value is a number that an epoch, a count or a weight can be."""
    return isinstance(value, (int, float)) and abs(value) <= _LARGEST


def continue_dual_vae(imported: Imported, fresh: TrainState, task: Task) -> TrainState:
    """The state in which v5.5 stopped, for its task's engine to go on with the next epoch.

    Args:
      imported: a v5.5 checkpoint, converted with its optimizer.
      fresh: what the engine's ``init`` returns; gives the state's structure and types.
      task: of the run that goes on.

    Returns:
      Parameters, moments, dynamics (rho, lambdas, phase, gradient averages, coverages) and step.

    Raises:
      UserError: if the checkpoint is not v5.5's, or has no optimizer or dynamics.
    """
    state = imported.metadata["state"]
    own = ("epoch", "lambda1", "lambda2", "lambda3", "rho", "phase")
    needed = (*own, "grad_balance_achieved", "grad_ema_momentum")
    complete = all(_is_plausible(state.get(name)) for name in needed)
    if imported.metadata["kind"] != "v5_5" or imported.moments is None or not complete:
        raise UserError("training goes on only from v5.5's own checkpoints with their optimizer")
    buffers = imported.metadata["buffers"]
    stopped: dict[str, Any] = {
        **{name: state[name] for name in own},
        "step": task.steps_per_epoch,
        "balanced": state["grad_balance_achieved"],
        "momentum": state["grad_ema_momentum"],
        "ratio": 1.0,  # like rate_factor: the next epoch begins by computing it
        "norm_a": buffers["grad_norm_A_ema"],
        "norm_b": buffers["grad_norm_B_ema"],
        "coverage_a": _last_coverage(state, "A"),
        "coverage_b": _last_coverage(state, "B"),
        "rate_factor": 1.0,
    }
    labels = optim.label_groups(fresh.params, task.group_of)
    updates = max(imported.metadata["optimizer"]["steps"].values(), default=0)
    if not _is_plausible(updates):
        raise UserError(f"the checkpoint's optimizer counts {updates} updates")
    return TrainState(
        step=jnp.int32((state["epoch"] + 1) * task.steps_per_epoch),
        # Copies: the engine donates its state, and the caller keeps the arrays.
        params=jax.tree.map(jnp.array, imported.params),
        opt_state=adopt_moments(fresh.opt_state, imported.moments, labels, updates=updates),
        aux=jax.tree.map(lambda x, new: jnp.array(new, x.dtype), fresh.aux, Dynamics(**stopped)),
    )
