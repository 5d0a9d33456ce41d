"""Train a model, or resume a run.

python -m tvae.main --config=v6
python -m tvae.main --config=configs/v5_5.py --workdir=RUN --resume

A recipe of ``configs/`` goes by its name from any folder.
"""

import datetime
import pathlib
import sys
from typing import Any

from absl import flags
from ml_collections import config_flags
from ml_collections.config_flags.config_flags import ConfigFileFlagParser

from tvae import shipped
from tvae.cli import command, process
from tvae.domains import registry
from tvae.errors import UserError, needs_extra
from tvae.runs import text
from tvae.training import run_training


class _ConfigParser(ConfigFileFlagParser):
    """Reads the file of a configuration, which may be given by its name."""

    def parse(self, path: str) -> Any:
        """The configuration."""
        return super().parse(str(shipped.find_config(path)))


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    config_flags.DEFINE_config_file(
        "config",
        None,
        "Configuration: a file, or the name of a recipe that ships, such as v6.",
        flag_values=options,
    )
    options["config"].parser = _ConfigParser("config")
    flags.DEFINE_string(
        "workdir",
        None,
        "Folder of the run. Default: runs/<config name>-<time>.",
        flag_values=options,
    )
    flags.DEFINE_string(
        "start_from",
        None,
        "Converted v5.5 checkpoint, with its optimizer, from which the training continues.",
        flag_values=options,
    )
    flags.DEFINE_bool(
        "resume", False, "Continue from the newest checkpoint of --workdir.", flag_values=options
    )


def main(options: flags.FlagValues) -> None:
    """Train as ``--config`` describes, print the final metrics, write the report."""
    name = _config_path(options).stem
    if options.resume and not options.workdir:
        raise UserError("--resume: needs --workdir, the folder of the run to go on with")
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = pathlib.Path(options.workdir or f"runs/{name}-{now}").absolute()
    headline = registry.get(options.config.task).headline
    with process.control_process(headline, title=f"training {name} in {folder}") as control:
        final = run_training(
            options.config,
            folder,
            resume=options.resume,
            start_from=pathlib.Path(options.start_from) if options.start_from else None,
            control=control,
        )
    sys.stdout.write(f"{text.metrics_table(final)}\nworkdir  {folder}\n")
    if options.config.report:
        _write_report(folder)


def _config_path(options: flags.FlagValues) -> pathlib.Path:
    if options.config is None:
        raise UserError("--config: expected a configuration file, or a recipe such as v6")
    return shipped.find_config(config_flags.get_config_filename(options["config"]))


def _write_report(folder: pathlib.Path) -> None:
    """Write the report; if it fails, the run is complete all the same."""
    try:
        # Here, because plotting libraries take a second to import that a mistake need not wait for.
        with needs_extra("report", "a report"):
            from tvae.reporting import page

        sys.stdout.write(f"report   {page.write_report(folder)}\n")
    except Exception as error:  # noqa: BLE001 - whatever it is, the run is complete without it
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        reason = " ".join(str(error).split())
        sys.stderr.write(
            f"warning: no report ({kind}{reason}); "
            f"python -m tvae report --workdir={folder} tries again\n"
        )


if __name__ == "__main__":
    command.run("tvae.main")
