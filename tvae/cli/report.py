"""Write a run's report: ``python -m tvae report --workdir=RUN [--compare=RUN2 --compare=RUN3]``."""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from tvae.errors import UserError
from tvae.reporting import page

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run, finished or not.")
_COMPARE = flags.DEFINE_multi_string(
    "compare", [], "Folder of another run, shown beside it; may be given several times."
)


def main(argv: Sequence[str]) -> None:
    """Write ``report.html`` and ``figures/`` into ``--workdir``."""
    del argv
    if not _WORKDIR.value:
        raise UserError("--workdir: needed, the folder of a run")
    others = [pathlib.Path(folder).absolute() for folder in _COMPARE.value]
    written = page.write_report(pathlib.Path(_WORKDIR.value).absolute(), others)
    sys.stdout.write(f"{written}\n")
