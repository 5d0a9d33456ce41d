"""Several runs beside each other: final metrics, curves, embeddings and configurations."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae.domains import aspects, registry
from tvae.domains.domain import Curves, Domain
from tvae.errors import UserError
from tvae.loading import load_run
from tvae.metrics.definitions import Definition
from tvae.reporting import embedding
from tvae.reporting.contents import make_disk
from tvae.reporting.figures import curves
from tvae.reporting.figures.curves import Curve
from tvae.reporting.figures.disk import Disk
from tvae.reporting.figures.panels import Panel
from tvae.runs.run import Run

_MOST_PANELS = 12


class Cell(NamedTuple):
    """A final metric of a run.

    Attributes:
      value: the figure.
      encoder: "A" or "B" where the key names one.
      best: whether no run has a better one, and some a worse one.
    """

    value: float
    encoder: str
    best: bool


class Row(NamedTuple):
    """A quantity of all runs: each has it under one or more keys, or not at all.

    Attributes:
      quantity: metric key without the suffix of an encoder.
      definition: of the quantity, or None.
      cells: by run.
    """

    quantity: str
    definition: Definition | None
    cells: list[list[Cell]]

    @property
    def shared(self) -> bool:
        """Whether two runs have it at least."""
        return sum(map(bool, self.cells)) > 1


@dataclasses.dataclass(frozen=True)
class Compared:
    """A run of a comparison.

    Attributes:
      label: distinguishes it from the others.
      run: its working directory, opened.
      config: its complete configuration.
      disk: its embeddings; None where there is no plane to draw, or no checkpoint.
    """

    label: str
    run: Run
    config: ConfigDict
    disk: Disk | None

    @property
    def domain(self) -> Domain:
        """The domain of the run."""
        return registry.get(self.config.task)

    @property
    def targets(self) -> str:
        """How many of its own targets it meets."""
        verdicts = aspects.judge(self.config, self.run.final)
        reached = sum(verdict.reached for verdict in verdicts)
        return f"{reached} of {len(verdicts)}" if verdicts else "none given"


def read_runs(folders: Sequence[pathlib.Path]) -> list[Compared]:
    """Open runs and measure their embeddings.

    Raises:
      UserError: if a folder does not hold a run, or is given twice.
    """
    runs = [Run.open(folder) for folder in folders]
    return [
        Compared(label, run, config_lib.complete(run.config.to_dict()), _read_disk(run))
        for label, run in zip(label_runs(runs), runs, strict=True)
    ]


def _read_disk(run: Run) -> Disk | None:
    try:
        model = load_run(run)
    except UserError:  # no checkpoint yet: its metrics are compared all the same
        return None
    return make_disk(*embedding.measure_all(model))


def label_runs(runs: Sequence[Run]) -> list[str]:
    """Names of the configurations; where two are equal, with the ends of the folders' paths.

    Raises:
      UserError: if one run is given twice.
    """
    paths = [run.folder.resolve() for run in runs]
    if len(set(paths)) < len(paths):
        raise UserError("--compare: expected other runs than --workdir, each once")
    names = [run.config_name for run in runs]
    if len(set(names)) == len(names):
        return names
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        ends = [str(pathlib.PurePath(*path.parts[-parts:])) for path in paths]
        if len(set(ends)) == len(ends):
            break
    return [f"{name} ({end})" for name, end in zip(names, ends, strict=True)]


def split_key(key: str) -> tuple[str, str]:
    """A metric key without the suffix of an encoder, and the encoder.

    >>> split_key("eval/hierarchy_b"), split_key("eval/hierarchy")
    (('eval/hierarchy', 'B'), ('eval/hierarchy', ''))
    """
    return (key[:-2], key[-1].upper()) if key.endswith(("_a", "_b")) else (key, "")


def make_rows(runs: Sequence[Compared]) -> list[Row]:
    """Final scalar metrics: quantities with a target, other shared ones, those of one run."""
    quantities: dict[str, list[dict[str, float]]] = {}
    for place, each in enumerate(runs):
        for key, value in each.run.final.items():
            if isinstance(value, int | float):
                quantity, encoder = split_key(key)
                found = quantities.setdefault(quantity, [{} for _ in runs])
                found[place][encoder] = value
    rows = [_row(quantity, values, runs) for quantity, values in quantities.items()]
    targets = {split_key(v.metric)[0] for run in runs for v in aspects.judge(run.config, {})}
    return sorted(rows, key=lambda row: (not row.shared, row.quantity not in targets))


def _row(quantity: str, values: list[dict[str, float]], runs: Sequence[Compared]) -> Row:
    """A quantity with its best values marked."""
    keys = (f"{quantity}{suffix}" for suffix in ("", "_a", "_b"))
    known = (each.domain.define(key, each.config) for key in keys for each in runs)
    definition = next((found for found in known if found is not None), None)
    every = [value for found in values for value in found.values() if value == value]
    best = ""
    several = sum(map(bool, values)) > 1
    if definition is not None and definition.better != "neither" and every and several:
        best = _shown(max(every) if definition.better == "higher" else min(every))
    # Nothing is the best where all look alike.
    if all(_shown(value) == best for value in every):
        best = ""
    cells = [
        [Cell(value, encoder, _shown(value) == best) for encoder, value in sorted(found.items())]
        for found in values
    ]
    return Row(quantity, definition, cells)


def _shown(value: float) -> str:
    """The digits that the page shows."""
    return f"{value:.5g}"


def make_panels(runs: Sequence[Compared]) -> list[Panel]:
    """Curves of quantities that two runs have at least: losses, targets, then the others."""
    found: dict[str, list[Curve]] = {}
    for each in runs:
        for key in each.run.scalars():
            quantity, encoder = split_key(key)
            name = f"{each.label} {encoder}".rstrip()
            found.setdefault(quantity, []).append(Curve(each.run, key, name))
    shared = {q: given for q, given in found.items() if len({c.run.folder for c in given}) > 1}
    groups = list(dict.fromkeys(group for each in runs for group in each.domain.curves))
    chosen = {q: shared[q] for q in _first(shared, runs, groups)}
    epochs = max(len(each.run.rows) for each in runs)
    return curves.overlay_runs(chosen, groups, epochs)[:_MOST_PANELS]


def _first(
    shared: dict[str, list[Curve]], runs: Sequence[Compared], groups: Sequence[Curves]
) -> list[str]:
    """Quantities by their importance: losses, those with a target, one of each other group."""
    targets = [split_key(v.metric)[0] for run in runs for v in aspects.judge(run.config, {})]
    grouped = curves.group_metrics(sorted(shared), groups)
    wanted = ["train/loss", "val/loss", *targets, *(keys[0] for keys in grouped.values())]
    return [quantity for quantity in dict.fromkeys(wanted) if quantity in shared]


def make_differences(runs: Sequence[Compared]) -> list[tuple[str, list[str]]]:
    """Fields that two runs have with different values, ``(path, value of each run)``."""
    values = [dict(config_lib.leaves(each.config)) for each in runs]
    paths = sorted({path for found in values for path in found if "targets." not in path})
    rows = []
    for path in paths:
        given = [str(found[path]) for found in values if path in found]
        if len(given) > 1 and len(set(given)) > 1:
            rows.append((path, [str(found.get(path, "–")) for found in values]))
    return rows
