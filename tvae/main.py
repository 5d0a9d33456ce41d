"""Train, or go on training: ``python -m tvae.main --config=configs/v5_5.py``."""

import datetime
import pathlib
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from tvae import config as config_lib
from tvae.cli import command as door
from tvae.cli import process
from tvae.convert import continuation
from tvae.domains import registry
from tvae.engine import loop
from tvae.errors import UserError
from tvae.runs import text, workdir

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration, such as configs/v5_5.py.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run. Default: runs/<config name>-<time>."
)
_START_FROM = flags.DEFINE_string(
    "start_from", None, "Converted v5.5 checkpoint, with its optimizer, to go on training from."
)
_RESUME = flags.DEFINE_bool("resume", False, "Go on from the newest checkpoint of --workdir.")


def _config_path() -> pathlib.Path:
    if _CONFIG.value is None:
        raise UserError("--config: expected a configuration file such as configs/v5_5.py")
    path = config_flags.get_config_filename(flags.FLAGS["config"])
    if not pathlib.Path(path).is_file():
        raise UserError(f"--config: no such file: {path}")
    return pathlib.Path(path)


def _report(folder: pathlib.Path) -> None:
    """Draw the report; a picture that fails must not cost the run that it is of."""
    try:
        # Here, because plotting libraries take a second to import that a mistake need not wait for.
        from tvae.reporting import page

        sys.stdout.write(f"report   {page.write_report(folder)}\n")
    except Exception as error:  # noqa: BLE001 - whatever it is, the run is complete without it
        reason = " ".join(str(error).split())
        sys.stderr.write(
            f"warning: no report ({type(error).__name__}: {reason}); "
            f"python -m tvae report --workdir={folder} tries again\n"
        )


def main(argv: Sequence[str]) -> None:
    """Check the configuration, prepare the working directory, train, print the final table."""
    del argv
    name = _config_path().stem
    config = _CONFIG.value
    config_lib.validate(config)
    if _RESUME.value and not _WORKDIR.value:
        raise UserError("--resume: needs --workdir, the folder of the run to go on with")
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = pathlib.Path(_WORKDIR.value or f"runs/{name}-{now}").absolute()
    task = registry.make_task(config)
    start = None
    if _START_FROM.value and not _RESUME.value:
        source = pathlib.Path(_START_FROM.value)
        start = continuation.read_start(config, task, config_lib.hparams(config), source)
    workdir.prepare(folder, config, resume=_RESUME.value)
    if start is not None:
        continuation.write_start(start, steps_per_epoch=task.steps_per_epoch, workdir=folder)
    sys.stderr.write(f"training {name} in {folder}\n")
    with process.control_process(registry.get(config.task).headline) as control:
        final = loop.train(config, task, config_lib.hparams(config), folder, control=control)
    sys.stdout.write(f"{text.metrics_table(final)}\nworkdir  {folder}\n")
    if config.report:
        _report(folder)


if __name__ == "__main__":
    door.run(main)
