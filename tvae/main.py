"""Train a model, or resume a run.

python -m tvae.main --config=v6
python -m tvae.main --config=configs/v5_5.py --workdir=RUN --resume

A recipe of ``configs/`` goes by its name from any folder. Each field of a configuration is a flag,
such as --config.epochs=3: docs/fields.md lists them, and so does --config=v6 --help.
"""

import datetime
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags
from ml_collections.config_flags.config_flags import ConfigFileFlagParser

from tvae import config as config_lib
from tvae import shipped
from tvae.cli import command, process
from tvae.domains import aspects, registry
from tvae.errors import UserError
from tvae.reporting import listing
from tvae.runs import text
from tvae.training import run_training


class _ConfigParser(ConfigFileFlagParser):
    """Reads the file of a configuration, which may be given by its name."""

    def parse(self, path: str) -> Any:
        """The configuration, whose fields the other arguments may change.

        Raises:
          UserError: if it cannot be read, or an argument names a field that it does not have.
        """
        config = config_lib.read_file(path)
        for argument in sys.argv[1:]:
            if named := _OVERRIDE.match(argument):
                config_lib.require_path(config, named[1])
        return config.lock()


_OVERRIDE = re.compile(r"--?(?:no)?config\.([^=\[]+)")


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
        "Run or checkpoint of the same domain, from whose parameters a new run starts. A converted "
        "v5.5 checkpoint with its optimizer goes on where it stopped.",
        flag_values=options,
    )
    flags.DEFINE_bool(
        "resume",
        False,
        "Continue from the newest checkpoint of --workdir; where it holds no run, start one.",
        flag_values=options,
    )
    flags.DEFINE_bool(
        "extend",
        False,
        "Continue with more epochs: --config.epochs may be larger than that of --workdir.",
        flag_values=options,
    )
    flags.DEFINE_bool(
        "verbose",
        False,
        "Print all final metrics, not only those with a target and the headline.",
        flag_values=options,
    )


def more_help(arguments: Sequence[str]) -> str:
    """The fields of the configuration that the arguments name, for ``--help``; "" without one.

    Raises:
      UserError: if it cannot be read.
    """
    given = [a.split("=", 1)[1] for a in arguments if re.match("--?config=", a)]
    if not given:
        return ""
    config = config_lib.read_file(given[-1])
    values = dict(config_lib.leaves(config))
    known = config_lib.fields(config.get("task"))
    rows = (
        (f"--config.{path}={values[path]}", field.meaning)
        for path, field in known.items()
        if path in values
    )
    return f"Fields of {given[-1]} (see docs/fields.md):\n{text.table(rows)}\n"


def main(options: flags.FlagValues) -> None:
    """Train as ``--config`` describes, print the final metrics, write the report."""
    name = _config_path(options).stem
    for flag in ("resume", "extend"):
        if options[flag].value and not options.workdir:
            raise UserError(f"--{flag}: needs --workdir, the folder of the run to go on with")
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = pathlib.Path(options.workdir or f"runs/{name}-{now}").absolute()
    headline = registry.get(options.config.task).headline
    with process.control_process(headline, title=f"training {name} in {folder}") as control:
        final = run_training(
            options.config,
            folder,
            resume=options.resume,
            extend=options.extend,
            start_from=options.start_from or None,
            control=control,
        )
    sys.stdout.write(_summary(options, final))
    sys.stdout.write(f"workdir  {folder}\n")
    if options.config.report:
        _write_report(folder)


def _summary(options: flags.FlagValues, final: Mapping[str, Any]) -> str:
    """The final metrics as a table."""
    config = options.config
    domain = registry.get(config.task)
    return listing.summary(
        final,
        lambda key: domain.define(key, config),
        verdicts=aspects.judge(config, final),
        headline=domain.headline,
        verbose=options.verbose,
    )


def _config_path(options: flags.FlagValues) -> pathlib.Path:
    if options.config is None:
        raise UserError("--config: expected a configuration file, or a recipe such as v6")
    return shipped.find_config(config_flags.get_config_filename(options["config"]))


def _write_report(folder: pathlib.Path) -> None:
    """Write the report; if it fails, the run is complete all the same."""
    try:
        # Here, because a mistake need not wait for what a report imports.
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
