"""Search the values of fields that serve one or several objectives best; needs ``tvae[search]``.

python -m tvae search --config=v6 --search=SEARCH.py --workdir=FOLDER

SEARCH.py defines ``get_search()``, which returns a dictionary: ``axes`` (path of a field -> a list
of choices, or ``tvae.Between(low, high, log=True)``), ``objectives`` (key of a final metric ->
"max" or "min"), ``trials`` and ``batch``. Trials of a batch are trained as one program.
``search.html`` shows them; ``frontier/`` has a configuration for each that no other one dominates.
Processes on several machines share a search by ``--storage``, a database's address such as
postgresql+psycopg://USER@HOST/DATABASE.
"""

import pathlib
import sys

from absl import flags

from tvae import config as config_lib
from tvae.cli import process
from tvae.cli.sweep import read_plan
from tvae.domains import registry
from tvae.errors import UserError
from tvae.reporting.search_page import write_page
from tvae.runs import text
from tvae.searching import FRONTIER, Search, search

_KEYS = {"axes", "objectives", "trials", "batch"}


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string("config", None, "A configuration, or a recipe.", flag_values=options)
    flags.DEFINE_string("search", None, "File with get_search().", flag_values=options)
    flags.DEFINE_string("workdir", None, "Folder of the search.", flag_values=options)
    flags.DEFINE_string("storage", "", "Database of a shared search.", flag_values=options)
    flags.DEFINE_bool("resume", False, "Go on with that search.", flag_values=options)


def main(options: flags.FlagValues) -> None:
    """Search, print the frontier, write the page."""
    for name in ("config", "search", "workdir"):
        if not options[name].value:
            raise UserError(f"--{name}: is needed; see --help")
    process.use_all_cores()
    config = config_lib.read_file(options.config)
    plan = read_plan(options.search, "search", _KEYS)
    if missing := {"axes", "objectives", "trials"} - plan.keys():
        raise UserError(f"search {options.search}: {min(missing)!r} is missing")
    folder = pathlib.Path(options.workdir).absolute()
    headline = registry.get(config.task).headline
    with process.control_process(headline, title=f"searching in {folder}") as control:
        found = search(
            config,
            folder,
            **plan,
            storage=options.storage,
            resume=options.resume,
            control=control,
        )
    sys.stdout.write(_table(found))
    sys.stdout.write(f"configs  {folder / FRONTIER}\nreport   {write_page(found)}\n")


def _table(found: Search) -> str:
    """A line for each trial of the frontier: its objectives and its values."""
    trials = {trial.number: trial for trial in found.trials}
    rows = [
        [
            f"{number:04d}",
            ", ".join(f"{key} {value:.4g}" for key, value in trials[number].values.items()),
            ", ".join(f"{path}={text.short(v)}" for path, v in trials[number].changes.items()),
        ]
        for number in found.frontier
    ]
    return text.table(rows) + "\n"
