"""The training loop: epochs, evaluations, reports, checkpoints, early stop, resume."""

import dataclasses
import enum
import math
import pathlib
import signal
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from tvae.engine import balancing, compilation, optim, step, stopping
from tvae.engine.task import Hparams, Params, Task
from tvae.errors import DivergedError, StoppedError, UserError
from tvae.runs import checkpoint, files, log

# A constant radius has no rank correlation: finite weights may give metrics that are not.
_LOST = "training has diverged or collapsed"
_LARGEST_WEIGHT = 1e3
"""Root mean square of the weights beyond which a model is lost, however small its loss. Networks of
float32 have 0.01 to 10; a learning rate of 1e6 moves each weight by so much in a step."""

Rows = list[tuple[int, dict[str, Any]]]


class Phase(enum.Enum):
    """Moments of a run at which :class:`Control` is called.

    Attributes:
      START: nothing is compiled yet.
      INITIALISED: the state exists; the programs that made it are not needed any more.
      BLOCK: epochs were run, or their metrics were fetched.
      FINAL: all epochs are done and saved; the final evaluation follows.
    """

    START = enum.auto()
    INITIALISED = enum.auto()
    BLOCK = enum.auto()
    FINAL = enum.auto()


@dataclasses.dataclass(frozen=True)
class Control:
    """How the process that trains takes part in the loop; by default it does not.

    The loop itself leaves signal handlers, the allocator and compiled programs alone. A command
    hands in :func:`tvae.cli.process.control_process`.

    Attributes:
      should_stop: asked after each epoch; the signal for which the run is to save and stop.
      between: called with each :class:`Phase`; may return memory or drop compiled programs.
      progress: ``(epochs completed, epochs in all, newest metrics)``, called before the first epoch
        with no metrics and after each host transfer.
    """

    should_stop: Callable[[], signal.Signals | None] = lambda: None
    between: Callable[[Phase], None] = lambda _: None
    progress: Callable[[int, int, Mapping[str, Any]], None] = lambda *_: None


def _not_finite(metrics: Mapping[str, Any]) -> str:
    """The first metrics that are not finite, as "val/loss is nan and 2 more"; "" if there is none.

    >>> _not_finite({"a": 1.0, "b": float("nan"), "c": [0.0, float("inf")]})
    'b is nan, c is [0.0, inf]'
    """
    bad = [name for name, value in metrics.items() if not np.isfinite(value).all()]
    some = ", ".join(f"{name} is {metrics[name]}" for name in bad[:3])
    return some + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")


def _fetch(rows: Rows, state: step.TrainState, *, steps: int, limit: int, last_good: str) -> Rows:
    """Bring pending metrics to the host in one transfer; refuse non-finite ones and lost weights.

    Args:
      rows: epoch and metrics on the device.
      state: after the last row.
      steps: per epoch.
      limit: how many steps in a row may be skipped.
      last_good: the newest checkpoint, for the message.
    """
    fetched, in_a_row = jax.device_get((rows, state.nonfinite))
    n_weights = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    halted = in_a_row > limit
    for epoch, metrics in fetched:
        first, last = epoch * steps, (epoch + 1) * steps - 1
        if halted:
            last = (fetched[-1][0] + 1) * steps - 1
            first = last - int(in_a_row) + 1
        elif metrics["train/skipped_updates"] == steps:
            for name in [n for n, v in metrics.items() if n[:6] == "train/" and math.isnan(v)]:
                del metrics[name]  # the mean of no step at all
        bad, norm = _not_finite(metrics), metrics["train/weight_norm"]
        if not bad and norm > _LARGEST_WEIGHT * math.sqrt(n_weights):
            bad = f"train/weight_norm is {norm:.3g}"
        if bad:
            raise DivergedError(
                f"{bad} in epoch {epoch} (steps {first} to {last}): {_LOST}"
                + (f" for more than {limit} steps in a row" if halted else "")
                + f"; lower the learning rate. Last good checkpoint: {last_good}"
            )
    return fetched


def optimizer_settings(config: ConfigDict) -> optim.OptimizerSettings:
    """The static fields of ``config.optimizer`` and ``config.balancing``."""
    chosen = config.balancing
    return optim.OptimizerSettings(
        kind=config.optimizer.kind,
        b1=config.optimizer.b1,
        b2=config.optimizer.b2,
        eps=config.optimizer.eps,
        max_nonfinite_steps=config.optimizer.max_nonfinite_steps,
        balancing=balancing.Balancing(chosen.kind, chosen.log_gradients),
    )


def _start(
    task: Task,
    engine: step.Engine,
    hparams: Hparams,
    run_key: jax.Array,
    store: checkpoint.RunCheckpoints,
) -> tuple[step.TrainState, stopping.Progress]:
    """The initial state, or that of the newest intact checkpoint."""
    # A run that goes on needs only the shapes: compiling the initial state takes seconds.
    found = store.restore_newest(jax.eval_shape(engine.init, run_key, hparams))
    if found is None:
        state = compilation.jit_once(engine.init)(run_key, hparams)
        solved = dataclasses.replace(state, params=task.solve(state.params))
        return solved, stopping.Progress()
    restored, saved = found
    return jax.device_put(restored), stopping.Progress(**saved)


def restore_params(
    config: ConfigDict, task: Task, hparams: Hparams, workdir: pathlib.Path
) -> Params:
    """The parameters of the newest intact checkpoint of a run, arrays in host memory.

    Reads only: the run may still be going on. Damaged checkpoints are named on standard error.

    Args:
      config: of the run.
      task: of the run.
      hparams: of the run.
      workdir: its working directory.

    Raises:
      UserError: if there is no intact checkpoint, or its parameters are of another version or
        layout; the optimizer's state may be.
    """
    engine = step.make_engine(task, optimizer_settings(config))
    shapes = jax.eval_shape(engine.init, jax.random.key(0), hparams)
    with checkpoint.RunCheckpoints(workdir / files.CHECKPOINTS, read_only=True) as store:
        found = store.restore_newest({"params": shapes.params}, part=True)
    if found is None:
        raise UserError(f"workdir {workdir}: holds no checkpoint")
    return found[0]["params"]


def _block_end(config: ConfigDict, epoch: int) -> tuple[int, bool]:
    """Where the next host transfer is due: ``(epochs completed by then, evaluate there?)``."""

    def following(every: int) -> int:
        return (epoch // every + 1) * every

    # A checkpoint is scored, so each save comes with an evaluation.
    evaluation = min(
        following(config.evaluation.every_epochs),
        following(config.checkpoint.every_epochs),
        config.epochs,
    )
    end = min(following(config.log_every_epochs), evaluation)
    return end, end == evaluation


def train(
    config: ConfigDict,
    task: Task,
    hparams: Hparams,
    workdir: pathlib.Path,
    *,
    control: Control = Control(),
) -> dict[str, Any]:
    """Train a task, or go on from the newest intact checkpoint of the working directory.

    Args:
      config: validated configuration.
      task: that the configuration names.
      hparams: the configuration's traced fields; see :func:`tvae.config.hparams`.
      workdir: existing folder for checkpoints and metrics.
      control: how the process takes part.

    Returns:
      The final metrics as plain numbers and lists; also written to ``metrics.json``.

    Raises:
      DivergedError: if metrics are not finite, also if only the final evaluation shows it.
      UserError: if no checkpoint is intact, if the folder cannot be written or another process
        trains there, or before the first epoch for an early-stop metric that does not exist.
      StoppedError: where ``control.should_stop`` gave a signal, with everything saved.
    """
    control.between(Phase.START)
    with files.hold_lock(workdir):
        engine = step.make_engine(task, optimizer_settings(config))
        key = jax.random.key(config.seed)
        with checkpoint.RunCheckpoints(workdir / files.CHECKPOINTS) as store:
            state, progress = _start(task, engine, hparams, key, store)
            control.between(Phase.INITIALISED)
            # The traces are those that the loop compiles later.
            _, trained = jax.eval_shape(engine.train_epoch, state, key, hparams)
            _, measured = jax.eval_shape(engine.evaluate, state, key, hparams)
            stopping.check_metrics(config, trained | measured)
            with log.open_log(workdir, first_epoch=progress.epoch) as out:
                control.progress(progress.epoch, config.epochs, {})
                while not stopping.is_finished(config, progress):
                    store.check()
                    end, evaluate = _block_end(config, progress.epoch)
                    pending: Rows = []
                    for epoch in range(progress.epoch, end):
                        state, metrics = engine.train_epoch(state, key, hparams)
                        pending.append((epoch, metrics))
                        if control.should_stop() is not None:
                            break
                    control.between(Phase.BLOCK)
                    evaluate = evaluate and len(pending) == end - progress.epoch
                    if evaluate:
                        state, measured = engine.evaluate(state, key, hparams)
                        pending[-1] = (end - 1, metrics | measured)
                    rows = _fetch(
                        pending,
                        state,
                        steps=task.steps_per_epoch,
                        limit=config.optimizer.max_nonfinite_steps,
                        last_good=store.newest(),
                    )
                    control.between(Phase.BLOCK)
                    for epoch, row in rows:
                        out.write(epoch, row)
                    progress.epoch += len(rows)
                    control.progress(progress.epoch, config.epochs, rows[-1][1])
                    if evaluate:
                        _keep(config, progress, rows[-1][1], store, state)
                    received = control.should_stop()
                    if received is not None:
                        # Unscored, where no evaluation was due.
                        store.save(int(state.step), state, dataclasses.asdict(progress), score=None)
                        store.wait()
                        raise StoppedError(
                            f"stopped by {received.name} after {progress.epoch} epochs, saved in "
                            f"{store.newest()}; --resume goes on",
                            received,
                        )
        control.between(Phase.FINAL)
        final = files.to_plain(jax.device_get(engine.final_evaluate(state, key, hparams)))
        if bad := _not_finite(final):
            raise DivergedError(
                f"{bad} in the final evaluation: {_LOST}; lower the learning rate. "
                f"Its parameters are in {workdir / files.CHECKPOINTS}"
            )
        final |= {"train/epochs": progress.epoch, "train/best_epoch": progress.best_epoch}
        log.write_final(workdir, final)
    return final


def _keep(
    config: ConfigDict,
    progress: stopping.Progress,
    metrics: dict[str, Any],
    store: checkpoint.RunCheckpoints,
    state: step.TrainState,
) -> None:
    """Note an improvement, and save when one, the interval or the end asks for it."""
    score = stopping.score(config, metrics)
    stopping.watch(config, progress, metrics)
    improved = score > progress.best_score + config.early_stop.min_delta
    if improved:
        progress.best_score, progress.best_epoch = score, progress.epoch
    due = progress.epoch % config.checkpoint.every_epochs == 0
    if improved or due or stopping.is_finished(config, progress):
        store.save(int(state.step), state, dataclasses.asdict(progress), score=score)
