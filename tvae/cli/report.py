"""Write a run's report: ``python -m tvae report --workdir=RUN [--compare=RUN2 --compare=RUN3]``."""

import pathlib
import sys

from absl import flags

from tvae.errors import UserError, needs_extra


def define_flags(options: flags.FlagValues) -> None:
    """Add the flags of the command."""
    flags.DEFINE_string("workdir", None, "Folder of a run, finished or not.", flag_values=options)
    flags.DEFINE_multi_string(
        "compare",
        [],
        "Folder of another run, shown beside it; may be given several times.",
        flag_values=options,
    )


def main(options: flags.FlagValues) -> None:
    """Write ``report.html`` and ``figures/`` into ``--workdir``."""
    if not options.workdir:
        raise UserError("--workdir: needed, the folder of a run")
    # Here, because only a report needs the plotting libraries.
    with needs_extra("report", "a report"):
        from tvae.reporting import page
    others = [pathlib.Path(folder).absolute() for folder in options.compare]
    written = page.write_report(pathlib.Path(options.workdir).absolute(), others)
    sys.stdout.write(f"{written}\n")
