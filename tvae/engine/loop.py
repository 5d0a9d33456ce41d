"""The training loop: epochs, evaluations, reports, checkpoints, early stop, resume."""

import dataclasses
import enum
import pathlib
import signal
from collections.abc import Callable, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from tvae.engine import balancing, compilation, optim, step, stopping
from tvae.engine.record import Record, Rows, count_weights
from tvae.engine.task import Hparams, Params, Task
from tvae.errors import StoppedError, UserError
from tvae.runs import checkpoint, files


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


def block_end(config: ConfigDict, epoch: int) -> tuple[int, bool]:
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
    with Record.open(config, workdir) as record:  # first: a folder in use costs no work
        engine = step.make_engine(task, optimizer_settings(config))
        key = jax.random.key(config.seed)
        state = _start(task, engine, hparams, key, record)
        control.between(Phase.INITIALISED)
        # The traces are those that the loop compiles later.
        _, trained = jax.eval_shape(engine.train_epoch, state, key, hparams)
        _, measured = jax.eval_shape(engine.evaluate, state, key, hparams)
        stopping.check_metrics(config, trained | measured)
        n_weights, progress = count_weights(state.params), record.progress
        record.open_log()
        control.progress(progress.epoch, config.epochs, {})
        while not record.finished:
            record.store.check()
            end, evaluate = block_end(config, progress.epoch)
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
            rows, in_a_row = jax.device_get((pending, state.nonfinite))  # one transfer
            rows = record.write(
                rows, in_a_row=int(in_a_row), steps=task.steps_per_epoch, n_weights=n_weights
            )
            control.between(Phase.BLOCK)
            control.progress(progress.epoch, config.epochs, rows[-1][1])
            if evaluate:
                record.keep(rows[-1][1], state)
            received = control.should_stop()
            if received is not None:
                record.save_unscored(state)
                raise StoppedError(
                    f"stopped by {received.name} after {progress.epoch} epochs, saved in "
                    f"{record.store.newest()}; --resume goes on",
                    received,
                )
        record.close()
        control.between(Phase.FINAL)
        return record.finish(jax.device_get(engine.final_evaluate(state, key, hparams)))


def _start(
    task: Task, engine: step.Engine, hparams: Hparams, run_key: jax.Array, record: Record
) -> step.TrainState:
    """The initial state, or that of the newest intact checkpoint."""
    # A run that goes on needs only the shapes: compiling the initial state takes seconds.
    found = record.restore(jax.eval_shape(engine.init, run_key, hparams))
    if found is None:
        state = compilation.jit_once(engine.init)(run_key, hparams)
        return dataclasses.replace(state, params=task.solve(state.params))
    return jax.device_put(found)
