"""Write a run's report, or compare it with other runs.

python -m tvae report --workdir=RUN
python -m tvae report --workdir=RUN --compare=RUN2 --compare=RUN3

A comparison is a page of its own, ``comparison.html`` in the folder of the first run.
"""

import pathlib
import sys

from absl import flags

from tvae.errors import UserError
from tvae.reporting import page


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string("workdir", None, "Folder of a run, finished or not.", flag_values=options)
    flags.DEFINE_multi_string(
        "compare",
        [],
        "Folder of another run, shown beside it; may be given several times.",
        flag_values=options,
    )
    flags.DEFINE_string(
        "output", None, "File of the comparison; needs --compare.", flag_values=options
    )


def main(options: flags.FlagValues) -> None:
    """Write ``report.html`` and ``figures/`` into ``--workdir``, or a comparison."""
    if not options.workdir:
        raise UserError("--workdir: needed, the folder of a run")
    if options.output and not options.compare:
        raise UserError("--output: needs --compare; a report has its place in the run's folder")
    folders = [pathlib.Path(folder).absolute() for folder in (options.workdir, *options.compare)]
    if options.compare:
        output = pathlib.Path(options.output).absolute() if options.output else None
        written = page.write_comparison(folders, output)
    else:
        written = page.write_report(folders[0])
    sys.stdout.write(f"{written}\n")
