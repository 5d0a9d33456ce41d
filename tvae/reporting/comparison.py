"""Several runs beside each other."""

import pathlib
from collections.abc import Mapping, Sequence

from tvae.errors import UserError
from tvae.reporting.figures import curves
from tvae.reporting.figures.panels import Panel
from tvae.runs.run import Run

_MOST_PANELS = 12


def label(records: Sequence[Run]) -> dict[str, Run]:
    """Runs by the shortest end of their path that tells them apart.

    Raises:
      UserError: if one run is given twice.
    """
    paths = [record.folder.resolve() for record in records]
    if len(set(paths)) < len(paths):
        raise UserError("--compare: expected other runs than --workdir, each once")
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = [str(pathlib.PurePath(*path.parts[-parts:])) for path in paths]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, records, strict=True))


def panels(records: Mapping[str, Run], first: Sequence[str] = ()) -> list[Panel]:
    """Overlaid curves of what at least two runs have: what has a target first.

    Args:
      records: run by label.
      first: metrics that come before the others.
    """
    known = [set(record.scalars()) for record in records.values()]
    shared = {key for keys in known for key in keys if sum(key in other for other in known) > 1}
    grouped = curves.group(sorted(shared))
    wanted = ["train/loss", "val/loss", *first, *(keys[0] for keys in grouped.values())]
    chosen = [key for key in dict.fromkeys(wanted) if key in shared]
    return curves.overlaid(records, chosen[:_MOST_PANELS])


def table(records: Mapping[str, Run]) -> list[tuple[str, list[float | None]]]:
    """Final scalar metrics of every run: ``(metric, value of each run or None)``."""
    keys = dict.fromkeys(key for record in records.values() for key in record.final)
    rows = []
    for key in keys:
        values = [record.final.get(key) for record in records.values()]
        if not any(isinstance(value, list) for value in values):
            rows.append((key, values))
    return rows
