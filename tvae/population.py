"""Populations: ``tvae.train_population(config, seeds=..., axes=...)`` trains many runs as one."""

import csv
import dataclasses
import io
import itertools
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae import loading, training
from tvae.domains import registry
from tvae.engine import population as engine
from tvae.engine.loop import Control, Phase
from tvae.errors import UserError
from tvae.model import Model
from tvae.runs import files
from tvae.runs import workdir as workdirs
from tvae.runs.run import Run

PLAN_FILE, TABLE_FILE = "plan.json", "table.csv"
_CHUNK = 64
"""Members at once: each keeps a log and a checkpoint manager open."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A member in the table of a population.

    Attributes:
      folder: its working directory, an ordinary run.
      changes: path -> value of what distinguishes it, the seed included.
      metrics: final metrics; empty where it diverged.
      error: why it diverged; "" where it did not.
    """

    folder: pathlib.Path
    changes: dict[str, Any]
    metrics: dict[str, Any]
    error: str


@dataclasses.dataclass(frozen=True)
class Population:
    """Trained members.

    Attributes:
      folder: with ``plan.json``, ``table.csv`` and a folder for each member.
      rows: of all members, in the order of the plan.
    """

    folder: pathlib.Path
    rows: tuple[Row, ...]

    def load(self, member: int) -> Model:
        """The model of one member.

        Raises:
          UserError: if it has no checkpoint.
        """
        return loading.load(self.rows[member].folder)

    @property
    def finished(self) -> list[int]:
        """Numbers of the members that did not diverge."""
        return [i for i, row in enumerate(self.rows) if not row.error]

    def model(self) -> Model:
        """The models of all finished members as one, for ``jax.vmap``: each leaf leads with them.

        Raises:
          UserError: if none finished, or they differ in structure.
        """
        models = [self.load(i) for i in self.finished]
        if not models:
            raise UserError(f"population {self.folder}: every member diverged")
        if len({_structure(model.config) for model in models}) > 1:
            raise UserError(
                f"population {self.folder}: members differ in fields that are not traced, so their "
                "models cannot be stacked; load(member) reads one"
            )
        params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(m.params for m in models))
        about = dataclasses.replace(models[0].description, path=self.folder, card={}, digest="")
        return dataclasses.replace(models[0], params=params, description=about)


def train_population(
    config: ConfigDict | str | os.PathLike[str],
    workdir: str | os.PathLike[str] | None = None,
    *,
    seeds: int | Iterable[int] = 1,
    axes: Mapping[str, Sequence[Any]] | None = None,
    chunk: int = _CHUNK,
    resume: bool = False,
    control: Control | None = None,
) -> Population:
    """Train every combination of seeds and values, all that share a structure as one program.

    A member is the run that :func:`tvae.train` makes with its configuration: its keys are those of
    its seed, whatever the size of the population, and its folder loads, reports and resumes as any
    other. One that diverges ends, and is named in the table; the others go on.

    On the CPU give JAX a device for each core before its first use:
    ``jax.config.update("jax_num_cpu_devices", n)``.

    Args:
      config: see :func:`tvae.train`.
      workdir: folder of the population; without one, a temporary one, deleted when the process
        ends.
      seeds: seeds, or how many from ``config.seed`` on.
      axes: path of a field, such as ``"learning_rate.peak"`` -> values. Traced fields vary within
        one program; each combination of others is compiled once.
      chunk: members that are trained at once, at most; bounds memory and open files.
      resume: go on with the population that the folder holds.
      control: callbacks of the loop.

    Raises:
      UserError: if a configuration is invalid, or the folder cannot be used or holds another
        population.
      StoppedError: where ``control.should_stop`` gave a signal, with everything saved.
    """
    if chunk < 1:
        raise UserError(f"chunk: expected a number >= 1, got {chunk}")
    config = training.read_config(config)
    changes = expand(config, seeds, axes or {})
    configs = [changed(config, change) for change in changes]
    folder = training.run_folder(workdir, goes_on=resume)
    plan = {"config": json.loads(config.to_json()), "members": changes}
    prepare_folder(folder, json.loads(json.dumps(plan)), resume=resume)
    folders = [folder / f"{i:04d}" for i in range(len(configs))]
    outcomes = train_runs(configs, folders, chunk=chunk, resume=resume, control=control)
    rows = tuple(
        Row(where, change, outcome.metrics, outcome.error)
        for where, change, outcome in zip(folders, changes, outcomes, strict=True)
    )
    _write_table(folder, rows)
    return Population(folder, rows)


def train_runs(
    configs: Sequence[ConfigDict],
    folders: Sequence[pathlib.Path],
    *,
    chunk: int,
    size: int = 0,
    resume: bool = False,
    control: Control | None = None,
) -> list[engine.Outcome]:
    """Train runs in folders of their own, all of one structure by one program.

    Args:
      configs: validated.
      folders: one for each; with ``resume`` they may hold the same run.
      chunk: runs that are trained at once, at most.
      size: of the programs, where runs of the same structure follow in another call.
      resume: go on with the runs that the folders hold; finished ones are read.
      control: callbacks of the loop.

    Raises:
      UserError: if a folder cannot be used.
      StoppedError: see :func:`train_population`.
    """
    outcomes: dict[int, engine.Outcome] = {}
    groups: dict[str, list[int]] = {}
    for i, (config, folder) in enumerate(zip(configs, folders, strict=True)):
        workdirs.prepare(
            folder,
            config,
            resume=resume and folder.exists(),
            data=registry.data_writers(config),
        )
        if (done := Run(folder)).finished:
            outcomes[i] = engine.Outcome(done.final)
        else:
            groups.setdefault(_structure(config), []).append(i)
    chunks = [part for numbers in groups.values() for part in _chunks(numbers, chunk)]
    for number, (some, equal) in enumerate(chunks):
        members = [
            engine.Member(configs[i], config_lib.hparams(configs[i]), folders[i]) for i in some
        ]
        part = part_of(control or Control(), number, len(chunks))
        task = registry.make_task(members[0].config)
        found = engine.train_members(members, task, size=max(size, equal), control=part)
        outcomes |= dict(zip(some, found, strict=True))
    return [outcomes[i] for i in range(len(configs))]


def _chunks(numbers: list[int], chunk: int) -> list[tuple[list[int], int]]:
    """Parts of at most ``chunk`` numbers, alike in size, with the size of the largest."""
    size = math.ceil(len(numbers) / math.ceil(len(numbers) / chunk))
    return [(numbers[begin : begin + size], size) for begin in range(0, len(numbers), size)]


def part_of(control: Control, number: int, of: int) -> Control:
    """The control of one of several trainings that are one to the process."""

    def between(phase: Phase) -> None:
        # What was compiled for the first one serves the others.
        first = phase in (Phase.START, Phase.INITIALISED)
        if not (first and number > 0) and not (phase is Phase.FINAL and number < of - 1):
            control.between(phase)

    def progress(done: int, total: int, metrics: Mapping[str, Any]) -> None:
        control.progress(number * total + done, of * total, metrics)

    return dataclasses.replace(control, between=between, progress=progress)


def expand(
    config: ConfigDict, seeds: int | Iterable[int], axes: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """What distinguishes each member: every combination of the axes' values, with every seed.

    Raises:
      UserError: if a field does not exist, or an axis is empty.

    >>> expand(config_lib.default(), 2, {"learning_rate.peak": [1e-3]})
    [{'learning_rate.peak': 0.001, 'seed': 42}, {'learning_rate.peak': 0.001, 'seed': 43}]
    """
    first = config.seed
    numbers = range(first, first + seeds) if isinstance(seeds, int) else list(seeds)
    table = {**axes, "seed": numbers}
    for path, values in table.items():
        config_lib.require_path(config, path)
        if isinstance(values, str) or not len(values):
            raise UserError(f"axes: expected a list of values of config.{path}, got {values!r}")
    return [dict(zip(table, values, strict=True)) for values in itertools.product(*table.values())]


def changed(config: ConfigDict, change: Mapping[str, Any]) -> ConfigDict:
    """A validated configuration with other values, by path.

    Raises:
      UserError: naming the field whose value is wrong.
    """
    copy = config.copy_and_resolve_references()
    for path, value in change.items():
        try:
            copy.update_from_flattened_dict({path: value})
        except (TypeError, ValueError) as error:
            raise UserError(f"config.{path}: {value!r} ({error})") from error
    config_lib.validate(copy)
    return copy


def _structure(config: ConfigDict) -> str:
    """Of a configuration what its program depends on: all but the seed and traced fields."""
    traced = config_lib.hparams(config)
    fixed = {path: value for path, value in config_lib.leaves(config) if path not in traced}
    del fixed["seed"]
    return json.dumps([sorted(traced), fixed], sort_keys=True, default=str)


def prepare_folder(
    folder: pathlib.Path, plan: Mapping[str, Any], *, resume: bool, of: str = "a population"
) -> None:
    """Make the folder of several runs, or check that it is of the same plan.

    Raises:
      UserError: if it holds something else, or with ``resume`` off the same.
    """
    stored = folder / PLAN_FILE
    with files.writing_to(f"workdir {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        if not stored.exists():
            if any(folder.iterdir()):
                raise UserError(f"workdir {folder}: expected an empty folder or {of}")
            files.write_json(stored, plan)
            return
    if files.read_json(stored) != plan:
        raise UserError(f"workdir {folder}: holds {of} of another plan")
    if not resume:
        raise UserError(f"workdir {folder}: holds {of} already; expected resume")


def _write_table(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    """Write ``table.csv``: a line for each member, with its changes and scalar metrics."""
    lines = [
        {"member": row.folder.name}
        | row.changes
        | {"error": row.error}
        | {key: value for key, value in row.metrics.items() if not isinstance(value, list)}
        for row in rows
    ]
    columns = list(dict.fromkeys(column for line in lines for column in line))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with files.writing_to(f"workdir {folder}"):
        files.write_text(folder / TABLE_FILE, out.getvalue())
