"""Several runs beside each other."""

import pathlib
from collections.abc import Mapping, Sequence

from tvae.domains.domain import Curves
from tvae.errors import UserError
from tvae.reporting.figures import curves
from tvae.reporting.figures.panels import Panel
from tvae.runs.run import Run

_MOST_PANELS = 12


def label_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by the shortest end of their paths that distinguishes them.

    Raises:
      UserError: if one run is given twice.
    """
    paths = [run.folder.resolve() for run in runs]
    if len(set(paths)) < len(paths):
        raise UserError("--compare: expected other runs than --workdir, each once")
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = [str(pathlib.PurePath(*path.parts[-parts:])) for path in paths]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, runs, strict=True))


def make_panels(
    runs: Mapping[str, Run], groups: Sequence[Curves] = (), first: Sequence[str] = ()
) -> list[Panel]:
    """Curves of metrics that at least two runs have: losses, ``first``, then the others."""
    known = [set(run.scalars()) for run in runs.values()]
    shared = {key for keys in known for key in keys if sum(key in other for other in known) > 1}
    grouped = curves.group_metrics(sorted(shared), groups)
    wanted = ["train/loss", "val/loss", *first, *(keys[0] for keys in grouped.values())]
    chosen = [key for key in dict.fromkeys(wanted) if key in shared]
    return curves.overlay_runs(runs, chosen[:_MOST_PANELS], groups)


def make_rows(
    runs: Mapping[str, Run], first: Sequence[str] = ()
) -> list[tuple[str, list[float | None]]]:
    """Final scalar metrics, ``first`` before the others: ``(metric, value of each run)``."""
    keys = dict.fromkeys(key for run in runs.values() for key in run.final)
    rows = []
    for key in sorted(keys, key=lambda key: key not in first):
        values = [run.final.get(key) for run in runs.values()]
        if not any(isinstance(value, list) for value in values):
            rows.append((key, values))
    return rows
