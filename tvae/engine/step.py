"""One gradient step, one epoch and one evaluation as compiled functions of the training state."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from tvae.engine import optim
from tvae.engine.task import Aux, Batch, Metrics, Params, Task


class Purpose(enum.IntEnum):
    """What a key is folded for: streams of different purpose never meet."""

    INIT = 0
    BATCHES = 1
    FORWARD = 2
    EVALUATE = 3
    FINAL_EVALUATE = 4


def purpose_key(run_key: jax.Array, purpose: Purpose) -> jax.Array:
    """The key of one purpose of a run."""
    return jax.random.fold_in(run_key, int(purpose))


@flax.struct.dataclass
class TrainState:
    """All that changes in training; a checkpoint of it resumes bit-exactly.

    Attributes:
      step: steps taken, int32.
      params: parameters.
      opt_state: optimizer state.
      aux: the task's untrained state.
      nonfinite: steps in a row, up to the last, whose loss or gradient was not finite, int32.
    """

    step: jax.Array
    params: Params
    opt_state: Any
    aux: Aux
    nonfinite: jax.Array = flax.struct.field(default_factory=lambda: jnp.int32(0))


class Engine(NamedTuple):
    """The compiled functions of a run.

    Attributes:
      init: ``run_key -> state``.
      step: ``(state, batch, run_key) -> (state, metrics)``, one gradient step.
      train_epoch: ``(state, run_key) -> (state, metrics)``, one epoch as one program; metrics are
        means over its steps that were not skipped, the number that were, and at its end
        ``weight_norm`` (all that learn) and ``weight_norm/<group>``, all prefixed ``train/``, and
        the task's monitor values.
      evaluate: ``(state, run_key) -> (state, metrics)``, the periodic evaluation.
      observe: ``(state, metrics) -> state``, what the task makes of it; a part of ``evaluate``.
      final_evaluate: ``(state, run_key) -> metrics``.
    """

    init: Callable[[jax.Array], TrainState]
    step: Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
    train_epoch: Callable[[TrainState, jax.Array], tuple[TrainState, Metrics]]
    evaluate: Callable[[TrainState, jax.Array], tuple[TrainState, Metrics]]
    observe: Callable[[TrainState, Metrics], TrainState]
    final_evaluate: Callable[[TrainState, jax.Array], Metrics]


def make_train_step(
    task: Task,
    tx: optax.GradientTransformationExtraArgs,
    labels: Any,
    *,
    grad_clip: float,
    max_nonfinite: int,
) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]:
    """The step ``(state, batch, run_key) -> (state, metrics)`` of a task.

    The objective is the sum of the task's terms, each times its weight, which is traced: changing
    a weight or a schedule value recompiles nothing. The noise key is folded from the step.

    A step whose loss or gradient is not finite changes nothing but the count of steps: parameters,
    moments and aux stay as they were. After more than ``max_nonfinite`` such steps in a row all
    later ones are skipped too, until the loop sees it and stops. ``optax.apply_if_finite`` would
    guard parameters and moments, not the task's aux, and would let the first bad update pass after
    the last allowed one.

    Args:
      task: the domain.
      tx: from :func:`tvae.engine.optim.make_optimizer`.
      labels: the optimizer group of each parameter.
      grad_clip: largest global norm of the gradient of all groups whose gate is open.
      max_nonfinite: how many steps in a row may be skipped.

    Returns:
      A traceable function; metrics hold ``loss``, each term, ``grad_norm`` (all groups, before
      clipping), ``grad_norm/<group>`` (after clipping) and ``skipped_updates`` (bool).
    """

    def step(state: TrainState, batch: Batch, run_key: jax.Array) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(purpose_key(run_key, Purpose.FORWARD), state.step)
        weights = task.weights(state.aux)

        def objective(params: Params) -> tuple[jax.Array, tuple[Any, Metrics]]:
            outputs = task.forward(params, state.aux, batch, key)
            terms = {name: term(outputs, batch) for name, term in task.terms.items()}
            total = sum((weights[name] * terms[name] for name in terms), jnp.float32(0.0))
            return total, (outputs, terms)

        value_and_grad = jax.value_and_grad(objective, has_aux=True)
        (loss, (outputs, terms)), grads = value_and_grad(state.params)
        grads = optim.close_gates(grads, labels, task.gates(state.aux))
        norms = optim.global_norms(grads, labels)
        total = norms.pop("total")
        clip = optim.clip_factor(total, grad_clip)
        grads = jax.tree.map(lambda grad: clip * grad, grads)
        metrics = {"loss": loss, "grad_norm": total} | terms
        metrics |= {f"grad_norm/{group}": norm * clip for group, norm in norms.items()}
        halted = state.nonfinite > max_nonfinite
        # The norm sums all squares, so it is finite only if every entry of the gradient is.
        learns = jnp.isfinite(loss) & jnp.isfinite(total) & ~halted

        def update() -> tuple[Params, Any, Aux]:
            aux, learning_rate = task.update_aux(state.aux, state.params, outputs, metrics)
            updates, opt_state = tx.update(
                grads,
                state.opt_state,
                state.params,
                learning_rate=learning_rate,
                gates=task.gates(state.aux),
            )
            return optax.apply_updates(state.params, updates), opt_state, aux

        def keep() -> tuple[Params, Any, Aux]:
            return state.params, state.opt_state, state.aux

        # A branch, not a select of each array: that would be a kernel for each.
        params, opt_state, aux = jax.lax.cond(learns, update, keep)
        nonfinite = jnp.where(learns, 0, state.nonfinite + 1)
        metrics["skipped_updates"] = ~learns
        return TrainState(state.step + 1, params, opt_state, aux, nonfinite), metrics

    return step


def _mean(values: jax.Array, counted: jax.Array) -> jax.Array:
    """Mean over the entries that count; NaN where none does."""
    return jnp.where(counted, values, 0.0).sum() / counted.sum()


def make_engine(task: Task, settings: optim.OptimizerSettings) -> Engine:
    """Compile a task with its optimizer.

    Args:
      task: the domain.
      settings: of the optimizer.

    Returns:
      The compiled functions; each traces once. Both evaluations are the task's own programs.

    Raises:
      ValueError: listing parameters without an optimizer group.
      UserError: if the optimizer has no parameter to act on.
    """
    params_shape, aux_shape = jax.eval_shape(task.init, jax.random.key(0))
    labels = optim.label_groups(params_shape, task.group_of)
    gated = set(jax.eval_shape(task.gates, aux_shape))
    balls = optim.label_balls(params_shape, task.ball_of)
    tx = optim.make_optimizer(labels, task.groups, gated, settings, balls)
    limit = settings.max_nonfinite_steps
    step = make_train_step(task, tx, labels, grad_clip=settings.grad_clip, max_nonfinite=limit)

    def init(run_key: jax.Array) -> TrainState:
        params, aux = task.init(purpose_key(run_key, Purpose.INIT))
        return TrainState(jnp.int32(0), params, tx.init(params), aux)

    def train_epoch(state: TrainState, run_key: jax.Array) -> tuple[TrainState, Metrics]:
        epoch = state.step // task.steps_per_epoch
        state = dataclasses.replace(state, aux=task.begin_epoch(state.aux, epoch))
        batches = task.batches(epoch, purpose_key(run_key, Purpose.BATCHES))
        state, metrics = jax.lax.scan(
            lambda state, batch: step(state, batch, run_key), state, batches
        )
        skipped = metrics.pop("skipped_updates")
        # Once halted nothing is masked: what is not finite shows under its name.
        counted = ~skipped | (state.nonfinite > limit)
        means = {f"train/{name}": _mean(value, counted) for name, value in metrics.items()}
        means["train/skipped_updates"] = skipped.sum(dtype=jnp.int32)
        norms = optim.global_norms(state.params, labels)
        means["train/weight_norm"] = norms.pop("total")
        means |= {f"train/weight_norm/{group}": norm for group, norm in norms.items()}
        return state, means | task.monitor(state.aux)

    def observe(state: TrainState, metrics: Metrics) -> TrainState:
        aux, params, reset = task.observe(state.aux, state.params, metrics)
        opt_state = state.opt_state
        if reset is not None:
            fresh = tx.init(params)
            opt_state = jax.tree.map(lambda new, old: jnp.where(reset, new, old), fresh, opt_state)
        return TrainState(state.step, params, opt_state, aux, state.nonfinite)

    observe = jax.jit(observe)  # not donated: metrics may be arrays of the state

    def evaluate(state: TrainState, run_key: jax.Array) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(purpose_key(run_key, Purpose.EVALUATE), state.step)
        metrics = task.evaluate(state.params, state.aux, key)
        return observe(state, metrics), metrics

    def final_evaluate(state: TrainState, run_key: jax.Array) -> Metrics:
        key = purpose_key(run_key, Purpose.FINAL_EVALUATE)
        return task.final_evaluate(state.params, state.aux, key)

    return Engine(
        init=jax.jit(init),
        step=jax.jit(step, donate_argnums=0),
        train_epoch=jax.jit(train_epoch, donate_argnums=0),
        evaluate=evaluate,
        observe=observe,
        final_evaluate=final_evaluate,
    )
