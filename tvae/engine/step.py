"""One gradient step, one epoch and one evaluation as compiled functions of the training state."""

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from tvae.engine import balancing, optim, rows
from tvae.engine import task as task_lib
from tvae.engine.task import Aux, Batch, Hparams, Metrics, Outputs, Params, Task
from tvae.errors import UserError


class Purpose(enum.IntEnum):
    """What a key is folded for: streams of different purpose never meet."""

    INIT = 0
    BATCHES = 1
    FORWARD = 2
    EVALUATE = 3
    FINAL_EVALUATE = 4
    BALANCE = 5


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
      balance: state of the method that balances the terms; without leaves where it has none.
    """

    step: jax.Array
    params: Params
    opt_state: Any
    aux: Aux
    nonfinite: jax.Array = flax.struct.field(default_factory=lambda: jnp.int32(0))
    balance: Any = ()


class Engine(NamedTuple):
    """The compiled functions of a task; ``hparams`` are traced, so that no value recompiles them.

    Attributes:
      init: ``(run_key, hparams) -> state``.
      step: ``(state, batch, run_key, hparams) -> (state, metrics)``, one gradient step.
      train_epoch: ``(state, run_key, hparams) -> (state, metrics)``, one epoch as one program;
        metrics are means over its steps that were not skipped, the number that were, and at its end
        ``weight_norm`` (all that learn) and ``weight_norm/<group>``, all prefixed ``train/``, and
        the task's monitor values.
      evaluate: ``(state, run_key, hparams) -> (state, metrics)``, the periodic evaluation.
      observe: ``(state, metrics, hparams) -> state``, what the task makes of it; a part of
        ``evaluate``.
      final_evaluate: ``(state, run_key, hparams) -> metrics``.
    """

    init: Callable[[jax.Array, Hparams], TrainState]
    step: Callable[[TrainState, Batch, jax.Array, Hparams], tuple[TrainState, Metrics]]
    train_epoch: Callable[[TrainState, jax.Array, Hparams], tuple[TrainState, Metrics]]
    evaluate: Callable[[TrainState, jax.Array, Hparams], tuple[TrainState, Metrics]]
    observe: Callable[[TrainState, Metrics, Hparams], TrainState]
    final_evaluate: Callable[[TrainState, jax.Array, Hparams], Metrics]


def _make_optimizer(
    task: Task, settings: optim.OptimizerSettings, params: Params, aux: Aux, hparams: Hparams
) -> optax.GradientTransformationExtraArgs:
    """The task's optimizer; only the structure of ``params`` matters."""
    return optim.make_optimizer(
        optim.label_groups(params, task.group_of),
        task.groups(hparams),
        set(task.gates(aux, hparams)),
        settings,
        hparams,
        optim.label_balls(params, task.ball_of),
    )


def make_train_step(
    task: Task, settings: optim.OptimizerSettings
) -> Callable[[TrainState, Batch, jax.Array, Hparams], tuple[TrainState, Metrics]]:
    """The step ``(state, batch, run_key, hparams) -> (state, metrics)`` of a task.

    The objective is the sum of the task's terms, each times its weight, which is traced: changing
    a weight or a schedule value recompiles nothing. ``task.combine`` makes the gradient, or the
    method of ``settings.balancing``. The noise key is folded from the step.

    A step whose loss or gradient is not finite changes nothing but the count of steps: parameters,
    moments and aux stay as they were. After more than ``max_nonfinite_steps`` such steps in a row
    all later ones are skipped too, until the loop sees it and stops. ``optax.apply_if_finite``
    would guard parameters and moments, not the task's aux, and would let the first bad update pass
    after the last allowed one.

    Args:
      task: the domain's.
      settings: of the optimizer, the guard and the balancing of terms.

    Returns:
      A traceable function; metrics hold ``loss``, each term, ``weighted/<term>`` (its share of the
      loss, where the task weighs it), ``grad_norm`` (all groups, before
      clipping at ``optimizer.grad_clip``), ``grad_norm/<group>`` (after clipping),
      ``skipped_updates`` (bool), and those of :class:`tvae.engine.balancing.Balanced`.

    Raises:
      UserError: for balancing where the task combines gradients itself.
    """
    chosen = settings.balancing
    if chosen != balancing.STATIC and type(task).combine is not Task.combine:
        raise UserError(
            f"config.balancing: {chosen.kind!r} with log_gradients = {chosen.log_gradients} "
            f"replaces the combination of gradients of {type(task).__name__}; expected 'static' "
            "and False"
        )

    def step(
        state: TrainState, batch: Batch, run_key: jax.Array, hparams: Hparams
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(purpose_key(run_key, Purpose.FORWARD), state.step)

        def objective(params: Params) -> tuple[Metrics, Outputs]:
            outputs = task.forward(params, state.aux, batch, key, hparams)
            return task.terms(outputs, batch, hparams), outputs

        labels = optim.label_groups(state.params, task.group_of)
        gates = task.gates(state.aux, hparams)
        learning = functools.partial(optim.close_gates, labels=labels, gates=gates)
        weights = task.weights(state.aux, hparams)
        moment = balancing.Moment(
            key=jax.random.fold_in(purpose_key(run_key, Purpose.BALANCE), state.step),
            epoch=state.step // task.steps_per_epoch,
            options=task_lib.section(hparams, "balancing"),
        )
        read = task.rows(batch)
        found, balance, logged = balancing.combine(
            chosen,
            task.combine,
            objective,
            rows.take(state.params, read),
            weights,
            state.balance,
            moment,
            learning,
        )
        grads = learning(found.grads)
        norms = optim.global_norms(grads, labels)
        total = norms.pop("total")
        clip = optim.clip_factor(total, hparams["optimizer.grad_clip"])
        grads = jax.tree.map(lambda grad: clip * grad, grads)
        # Other optimizers move every row of a table in every step, by its moments.
        moved = read if settings.kind == "riemannian_adam" else {}
        if read and not moved:
            grads = rows.spread(grads, state.params, read)
        old, moments = (rows.take(tree, moved) for tree in (state.params, state.opt_state))
        metrics = {"loss": found.loss, "grad_norm": total} | found.terms | logged
        metrics |= {f"weighted/{k}": w * found.terms[k] for k, w in weights.items()}
        metrics |= {f"grad_norm/{group}": norm * clip for group, norm in norms.items()}
        halted = state.nonfinite > settings.max_nonfinite_steps
        # The norm sums all squares, so it is finite only if every entry of the gradient is.
        learns = jnp.isfinite(found.loss) & jnp.isfinite(total) & ~halted

        def update() -> tuple[Params, Any, Aux, Any]:
            outputs = found.outputs
            aux = task.before_update(state.aux, old, outputs, metrics, hparams)
            tx = _make_optimizer(task, settings, old, aux, hparams)
            rate = task.learning_rate(aux, hparams)
            updates, opt_state = tx.update(grads, moments, old, learning_rate=rate, gates=gates)
            new = optax.apply_updates(old, updates)
            aux = task.after_step(aux, old, new, outputs, metrics, hparams)
            return new, opt_state, aux, balance

        def keep() -> tuple[Params, Any, Aux, Any]:
            return old, moments, state.aux, state.balance

        # A branch, not a select of each array, which would be a kernel for each; under vmap it is
        # a select.
        new, moments, aux, kept = jax.lax.cond(learns, update, keep)
        params = rows.put(state.params, new, moved)
        opt_state = rows.put(state.opt_state, moments, moved)
        nonfinite = jnp.where(learns, 0, state.nonfinite + 1)
        metrics["skipped_updates"] = ~learns
        return TrainState(state.step + 1, params, opt_state, aux, nonfinite, kept), metrics

    return step


def _mean(values: jax.Array, counted: jax.Array) -> jax.Array:
    """Mean over the entries that count; NaN where none does."""
    return jnp.where(counted, values, 0.0).sum() / counted.sum()


@functools.lru_cache(maxsize=8)
def make_engine(task: Task, settings: optim.OptimizerSettings) -> Engine:
    """Compile a task with its optimizer; equal arguments give the same compiled functions.

    Args:
      task: the domain's, hashable.
      settings: of the optimizer.

    Returns:
      The compiled functions; each traces once, whatever the values of ``hparams``.

    Raises:
      ValueError: by ``init``, listing parameters without an optimizer group.
      UserError: by ``init``, if the optimizer has no parameter to act on.
    """
    step = make_train_step(task, settings)

    def init(run_key: jax.Array, hparams: Hparams) -> TrainState:
        params, aux = task.init(purpose_key(run_key, Purpose.INIT), hparams)
        tx = _make_optimizer(task, settings, params, aux, hparams)

        def terms() -> Metrics:
            batches = task.batches(jnp.int32(0), purpose_key(run_key, Purpose.BATCHES))
            batch = jax.tree.map(lambda leaf: leaf[0], batches)
            part = rows.take(params, task.rows(batch))
            outputs = task.forward(part, aux, batch, run_key, hparams)
            return task.terms(outputs, batch, hparams)

        balance = balancing.init(settings.balancing, terms)
        return TrainState(jnp.int32(0), params, tx.init(params), aux, balance=balance)

    def train_epoch(
        state: TrainState, run_key: jax.Array, hparams: Hparams
    ) -> tuple[TrainState, Metrics]:
        epoch = state.step // task.steps_per_epoch
        state = dataclasses.replace(state, aux=task.begin_epoch(state.aux, epoch, hparams))
        batches = task.batches(epoch, purpose_key(run_key, Purpose.BATCHES))
        state, metrics = jax.lax.scan(
            lambda state, batch: step(state, batch, run_key, hparams), state, batches
        )
        skipped = metrics.pop("skipped_updates")
        # Once halted nothing is masked: what is not finite shows under its name.
        counted = ~skipped | (state.nonfinite > settings.max_nonfinite_steps)
        means = {f"train/{name}": _mean(value, counted) for name, value in metrics.items()}
        means["train/skipped_updates"] = skipped.sum(dtype=jnp.int32)
        labels = optim.label_groups(state.params, task.group_of)
        norms = optim.global_norms(state.params, labels)
        means["train/weight_norm"] = norms.pop("total")
        means |= {f"train/weight_norm/{group}": norm for group, norm in norms.items()}
        return state, means | task.monitor(state.aux, hparams)

    @jax.jit  # not donated: metrics may be arrays of the state
    def observe(state: TrainState, metrics: Metrics, hparams: Hparams) -> TrainState:
        aux, params, reset = task.observe(state.aux, state.params, metrics, hparams)
        opt_state = state.opt_state
        if reset is not None:
            fresh = _make_optimizer(task, settings, params, aux, hparams).init(params)
            opt_state = jax.tree.map(lambda new, old: jnp.where(reset, new, old), fresh, opt_state)
        return dataclasses.replace(state, params=params, opt_state=opt_state, aux=aux)

    def evaluate(
        state: TrainState, run_key: jax.Array, hparams: Hparams
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(purpose_key(run_key, Purpose.EVALUATE), state.step)
        metrics = task_lib.evaluate(task, state.params, state.aux, key, hparams)
        return observe(state, metrics, hparams), metrics

    def final_evaluate(state: TrainState, run_key: jax.Array, hparams: Hparams) -> Metrics:
        key = purpose_key(run_key, Purpose.FINAL_EVALUATE)
        return task.final_evaluate(state.params, state.aux, key, hparams)

    return Engine(
        init=jax.jit(init),
        step=jax.jit(step, donate_argnums=0),
        train_epoch=jax.jit(train_epoch, donate_argnums=0),
        evaluate=evaluate,
        observe=observe,
        final_evaluate=final_evaluate,
    )
