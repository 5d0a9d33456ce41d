"""Training from Python: ``tvae.train(config)`` returns the trained model."""

import atexit
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
from typing import Any

import jax
from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae import loading, shipped
from tvae.convert import continuation
from tvae.domains import registry
from tvae.engine import loop
from tvae.engine.loop import Control
from tvae.engine.step import TrainState
from tvae.engine.task import Hparams, Task
from tvae.errors import UserError
from tvae.model import Model
from tvae.runs import archive, files
from tvae.runs import workdir as workdirs
from tvae.runs.run import checkpoint_steps


def train(
    config: ConfigDict | str | os.PathLike[str],
    workdir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    extend: bool = False,
    start_from: str | os.PathLike[str] | None = None,
    control: Control | None = None,
    data: Any = None,
) -> Model:
    """Train a model.

    Signal handlers, compiled programs and the allocator of the calling process stay as they are;
    Ctrl-C interrupts the training, which ``resume`` continues from its last checkpoint.

    Args:
      config: from :func:`tvae.config.default`, or the path of a file like those in ``configs/``, or
        the name of one of them, such as ``v6``.
      workdir: folder of the run, for checkpoints and metrics; without one, a temporary folder that
        is deleted when the process ends.
      resume: continue the run that the folder holds; where it holds none, start it.
      extend: continue it with more epochs: ``config.epochs`` may be larger than recorded.
      start_from: where a new run takes its parameters from: a run, or a checkpoint of the same
        domain, a folder or one that ships.
      control: callbacks of the loop, such as ``Control(progress=...)``.
      data: of a domain that takes a table in memory, such as ``hierarchy``: a dict of columns, a
        data frame of pandas or polars, or a table of pyarrow. The run keeps a copy.

    Returns:
      The model at the end of the training; ``model.card["metrics"]`` holds the final metrics,
      ``model.path`` is the folder.

    Raises:
      DivergedError: if training gives a metric that is not finite.
      UserError: if the configuration is invalid, or the folder cannot be used.

    >>> import tvae.config
    >>> config = tvae.config.default("hyperbolic_vae")
    >>> config.epochs = 0
    >>> train(config)
    Traceback (most recent call last):
        ...
    tvae.errors.UserError: config.epochs: expected a number >= 1, got 0
    """
    folder = run_folder(workdir, goes_on=resume or extend)
    config = read_config(config)
    run_training(
        config,
        folder,
        resume=resume,
        extend=extend,
        start_from=start_from,
        control=control or Control(),
        data=data,
    )
    return loading.load(folder)


def run_folder(workdir: str | os.PathLike[str] | None, *, goes_on: bool) -> pathlib.Path:
    """Absolute path of a working directory; of None a temporary one, deleted at the end.

    Raises:
      UserError: if there is none to go on in.
    """
    if workdir is None:
        if goes_on:
            raise UserError("resume, extend: need workdir, the folder of the run to continue")
        workdir = tempfile.mkdtemp(prefix="tvae-")
        atexit.register(shutil.rmtree, workdir, ignore_errors=True)
    return pathlib.Path(workdir).expanduser().absolute()


def read_config(config: ConfigDict | str | os.PathLike[str]) -> ConfigDict:
    """A configuration as such, or from the file of this path or name.

    Raises:
      UserError: if it is something else, or the file cannot be read.
    """
    if not isinstance(config, ConfigDict | str | os.PathLike):
        raise UserError(f"config: expected a ConfigDict or a path, got {type(config).__name__}")
    return config if isinstance(config, ConfigDict) else config_lib.read_file(config)


def run_training(
    config: ConfigDict,
    workdir: pathlib.Path,
    *,
    resume: bool,
    extend: bool = False,
    start_from: str | os.PathLike[str] | None = None,
    control: Control,
    data: Any = None,
) -> dict[str, Any]:
    """Validate a configuration, make or check the working directory, and train; the final metrics.

    Args:
      config: see :func:`train`.
      workdir: absolute path of the run's folder.
      resume: see :func:`train`.
      extend: see :func:`train`.
      start_from: see :func:`train`; a converted v5.5 checkpoint with its optimizer goes on at the
        epoch at which it stopped. Not read where the run has a checkpoint of its own already.
      control: callbacks of the loop.
      data: see :func:`train`. A run that keeps a copy of its data goes on with that.

    Raises:
      UserError: see :func:`train`.
    """
    kept = registry.get(config.get("task")).data
    with tempfile.TemporaryDirectory() as scratch:
        given = config
        if data is not None:
            if kept is None:
                raise UserError(f"data: the domain {config.task} takes no table in memory")
            config_lib.validate(config)
            config = kept.take(data, config, pathlib.Path(scratch, kept.file))
            given = registry.locate_data(config, pathlib.Path(scratch))
        config_lib.validate(config)
        if given is config:
            given = config = registry.get(config.task).resolve(config)
        located = _locate_data(given, workdir)
        task, hparams = registry.make_task(located), config_lib.hparams(config)
        start = None
        if start_from is not None and not checkpoint_steps(workdir / files.CHECKPOINTS):
            start = read_start(located, task, hparams, shipped.find_checkpoint(start_from))
        workdirs.prepare(
            workdir,
            config,
            resume=resume or extend,
            extend=extend,
            data=registry.data_writers(located),
        )
    if start is not None:
        continuation.write_start(start, steps_per_epoch=task.steps_per_epoch, workdir=workdir)
    return loop.train(config, task, hparams, workdir, control=control)


def _locate_data(given: ConfigDict, workdir: pathlib.Path) -> ConfigDict:
    """The configuration with the copy that a run in the folder keeps, which counts from then on."""
    if not (workdir / files.CONFIG_FILE).exists():
        return given
    own, kept = registry.locate_data(given, workdir), registry.get(given.task).data
    if own is not given and kept is not None and kept.differ(given, own):
        sys.stderr.write(
            f"warning: the data have changed since the run began, which goes on with its own copy, "
            f"{workdir / kept.file}\n"
        )
    return own


def read_start(
    config: ConfigDict, task: Task, hparams: Hparams, source: pathlib.Path
) -> TrainState:
    """The state in which a new run starts: parameters of another, all else fresh.

    Args:
      config: of the new run.
      task: of the new run.
      hparams: of the new run.
      source: folder of a run or checkpoint; see :func:`run_training`.

    Raises:
      UserError: if the source is missing, damaged, of another domain or of other shapes.
    """
    if continuation.is_stopped_training(source):
        return continuation.read_start(config, task, hparams, source)
    model = loading.load(source)
    if model.task != config.task:
        raise UserError(
            f"start_from {source}: expected a model of task {config.task!r}, got {model.task!r}"
        )
    engine, key = registry.make_engine(config), jax.random.key(config.seed)
    wanted = jax.eval_shape(engine.init, key, hparams).params
    archive.check_arrays(archive.flatten(model.params), archive.flatten(wanted), source)
    fresh = engine.init(key, hparams)
    aux = jax.jit(task.adopt)(model.params, fresh.aux, hparams)
    return dataclasses.replace(fresh, params=model.params, aux=aux)
