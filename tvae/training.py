"""Training from Python: ``tvae.train(config)`` returns the trained model."""

import atexit
import os
import pathlib
import shutil
import tempfile
from typing import Any

from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae import loading
from tvae.convert import continuation
from tvae.domains import registry
from tvae.engine import loop
from tvae.engine.loop import Control
from tvae.errors import UserError
from tvae.model import Model
from tvae.runs import workdir as workdirs


def train(
    config: ConfigDict | str | os.PathLike[str],
    workdir: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    control: Control | None = None,
) -> Model:
    """Train a model.

    Signal handlers, compiled programs and the allocator of the calling process stay as they are;
    Ctrl-C interrupts the training, which ``resume`` continues from its last checkpoint.

    Args:
      config: from :func:`tvae.config.default`, or the path of a file like those in ``configs/``, or
        the name of one of them, such as ``v6``.
      workdir: folder of the run, for checkpoints and metrics; without one, a temporary folder that
        is deleted when the process ends.
      resume: continue the run that the folder holds.
      control: callbacks of the loop, such as ``Control(progress=...)``.

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
    if workdir is None:
        if resume:
            raise UserError("resume: needs workdir, the folder of the run to continue")
        workdir = tempfile.mkdtemp(prefix="tvae-")
        atexit.register(shutil.rmtree, workdir, ignore_errors=True)
    folder = pathlib.Path(workdir).expanduser().absolute()
    if not isinstance(config, ConfigDict):
        config = config_lib.read_file(config)
    run_training(config, folder, resume=resume, control=control or Control())
    return loading.load(folder)


def run_training(
    config: ConfigDict,
    workdir: pathlib.Path,
    *,
    resume: bool,
    start_from: pathlib.Path | None = None,
    control: Control,
) -> dict[str, Any]:
    """Validate a configuration, make or check the working directory, and train; the final metrics.

    Args:
      config: see :func:`train`.
      workdir: absolute path of the run's folder.
      resume: continue the run that the folder holds.
      start_from: converted v5.5 checkpoint with its optimizer, from which a new run starts; not
        read where ``resume`` is set.
      control: callbacks of the loop.

    Raises:
      UserError: see :func:`train`.
    """
    config_lib.validate(config)
    task, hparams = registry.make_task(config), config_lib.hparams(config)
    start = None
    if start_from is not None and not resume:
        start = continuation.read_start(config, task, hparams, start_from)
    workdirs.prepare(workdir, config, resume=resume)
    if start is not None:
        continuation.write_start(start, steps_per_epoch=task.steps_per_epoch, workdir=workdir)
    return loop.train(config, task, hparams, workdir, control=control)
