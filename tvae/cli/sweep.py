"""Train a population: every combination of seeds and values, those of one structure as one program.

python -m tvae sweep --config=v6 --sweep=SWEEP.py --workdir=POPULATION

SWEEP.py defines ``get_sweep()``, which returns a dictionary with ``seeds`` (a number, or a list)
and ``axes`` (path of a field -> list of values), such as ``{"seeds": 4, "axes":
{"learning_rate.peak": [1e-3, 3e-3]}}``. Each member gets a folder that loads and reports like any
run; ``table.csv`` has a line for each.
"""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from absl import flags

from tvae import config as config_lib
from tvae.cli import process
from tvae.domains import registry
from tvae.errors import UserError
from tvae.population import TABLE_FILE, Population, train_population
from tvae.runs import text


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string("config", None, "A configuration, or a recipe.", flag_values=options)
    flags.DEFINE_string("sweep", None, "File with get_sweep().", flag_values=options)
    flags.DEFINE_string("workdir", None, "Folder of the population.", flag_values=options)
    flags.DEFINE_integer("chunk", 64, "Members at once, at most.", flag_values=options)
    flags.DEFINE_bool("resume", False, "Go on with that population.", flag_values=options)


def main(options: flags.FlagValues) -> None:
    """Train the population and print its table."""
    for name in ("config", "sweep", "workdir"):
        if not options[name].value:
            raise UserError(f"--{name}: is needed; see --help")
    process.use_all_cores()
    config = config_lib.read_file(options.config)
    sweep = read_plan(options.sweep, "sweep", {"seeds", "axes"})
    folder = pathlib.Path(options.workdir).absolute()
    headline = registry.get(config.task).headline
    with process.control_process(headline, title=f"training a population in {folder}") as control:
        population = train_population(
            config,
            folder,
            **sweep,
            chunk=options.chunk,
            resume=options.resume,
            control=control,
        )
    sys.stdout.write(_table(population, headline))
    sys.stdout.write(f"table    {folder / TABLE_FILE}\n")


def read_plan(file: str, name: str, keys: set[str]) -> dict[str, Any]:
    """What ``get_<name>()`` of a file returns: a dictionary with some of these keys.

    Raises:
      UserError: if the file cannot be run, or returns something else.
    """
    plan = config_lib.call_in_file(file, f"get_{name}", subject=name)
    if not isinstance(plan, Mapping) or plan.keys() - keys:
        raise UserError(
            f"{name} {file}: expected get_{name}() that returns a dictionary with "
            f"{', '.join(map(repr, sorted(keys)))}, got {plan!r:.80}"
        )
    return dict(plan)


def _table(population: Population, headline: tuple[str, ...]) -> str:
    """A line for each member: what distinguishes it, and the headline metrics."""

    def cells(row: Any) -> list[str]:
        changes = ", ".join(f"{path}={value}" for path, value in row.changes.items())
        figures = [f"{key} {row.metrics[key]:.4g}" for key in headline if key in row.metrics]
        return [row.folder.name, changes, row.error or ", ".join(figures)]

    return text.table(cells(row) for row in population.rows) + "\n"
