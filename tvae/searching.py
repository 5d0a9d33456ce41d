"""Search: ``tvae.search(config, workdir, axes=..., objectives=...)`` with Optuna, in populations.

Optuna proposes as many trials as a population has members, which are trained as one program and
told. The study lies in a database, so that a search goes on after a kill, and several processes
can share one.
"""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae import population, training
from tvae.domains import registry
from tvae.engine.loop import Control
from tvae.engine.population import Outcome
from tvae.errors import UserError
from tvae.runs import files

if TYPE_CHECKING:
    import optuna

SUMMARY_FILE, FRONTIER = "search.json", "frontier"
_STUDY_FILE, _STUDY_NAME = "study.db", "tvae"
_ATTEMPTS = 5
_ENOUGH = 10
"""Finished trials from which on importances are worth a look."""
_WORKER = "worker"
"""Attribute of a trial: the folder of the process that trains it."""
_DIRECTIONS = {"max": "maximize", "min": "minimize"}


class Between(NamedTuple):
    """An axis of a search: all numbers between two, integers if both are."""

    low: float
    high: float
    log: bool = False


Axis = Between | Sequence[Any]
"""Values of a field: a range, or a list of choices."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes:
      number: in the study.
      changes: path -> value.
      values: of the objectives; empty where it diverged.
      folder: its run; of a trial of another process, the folder there.
    """

    number: int
    changes: dict[str, Any]
    values: dict[str, float]
    folder: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Search:
    """A finished search.

    Attributes:
      folder: with ``search.json``, a folder for each trial of this process, and ``frontier/`` with
        a configuration for each trial of the frontier.
      trials: all, by number.
      frontier: numbers of those that no other one dominates.
      importance: objective -> path -> share of its variation that the field explains (PED-ANOVA,
        Watanabe et al. 2023); empty with fewer than ten finished trials.
    """

    folder: pathlib.Path
    trials: tuple[Trial, ...]
    frontier: tuple[int, ...]
    importance: dict[str, dict[str, float]]


def search(
    config: ConfigDict | str | os.PathLike[str],
    workdir: str | os.PathLike[str] | None = None,
    *,
    axes: Mapping[str, Axis],
    objectives: Mapping[str, str],
    trials: int,
    batch: int = 16,
    storage: str = "",
    resume: bool = False,
    control: Control | None = None,
) -> Search:
    """Look for the values of fields that serve one or several objectives best.

    The sampler is Optuna's tree-structured Parzen estimator with the constant liar, seeded by
    ``config.seed`` and the number of the trial.

    Args:
      config: see :func:`tvae.train`; all trials have its seed.
      workdir: see :func:`tvae.train`.
      axes: path of a field -> :class:`Between`, or a list of choices.
      objectives: key of a final metric -> "max" or "min".
      trials: how many, those of other processes that share the study included.
      batch: trials that are proposed and trained at once, at most.
      storage: address of a database that several processes share, such as
        "postgresql+psycopg://..."; by default a file in the folder.
      resume: go on with the search that the folder holds.
      control: callbacks of the loop.

    Raises:
      UserError: if Optuna is missing, an argument is wrong, or the folder or database cannot be
        used.
      StoppedError: where ``control.should_stop`` gave a signal, with everything saved.
    """
    config = training.read_config(config)
    config_lib.validate(config)
    _check(config, axes, objectives, trials, batch)
    folder = training.run_folder(workdir, goes_on=resume)
    with _reporting_storage(storage):
        study = _open_study(folder, config, axes, objectives, storage=storage, resume=resume)
        rounds = math.ceil(trials / batch)
        number = 0
        while numbers := _ask(study, config, axes, batch, trials, folder):
            part = population.part_of(control or Control(), number, max(rounds, number + 1))
            _train(study, config, axes, list(objectives), numbers, folder, batch, part)
            number += 1
        return _summarise(study, config, axes, list(objectives), folder)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UserError("search: needs Optuna: pip install 'tvae[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _check(
    config: ConfigDict,
    axes: Mapping[str, Axis],
    objectives: Mapping[str, str],
    trials: int,
    batch: int,
) -> None:
    """Refuse what cannot be searched, before anything is written."""
    if trials < 1 or batch < 1:
        raise UserError(f"search: expected trials and batch >= 1, got {trials} and {batch}")
    if not axes:
        raise UserError("axes: expected a field or more, got none")
    for path, axis in axes.items():
        config_lib.require_path(config, path)
        ends = (axis.low, axis.high) if isinstance(axis, Between) else axis
        if isinstance(axis, str) or not len(ends) or (isinstance(axis, Between) and not _is(axis)):
            raise UserError(
                f"axes: expected Between(low, high) or a list of values of config.{path}, got "
                f"{axis!r}"
            )
        for value in ends:
            population.changed(config, {path: value})
    if not objectives:
        raise UserError("objectives: expected a metric or more, got none")
    for key, direction in objectives.items():
        if direction not in _DIRECTIONS:
            raise UserError(f"objectives: {key}: expected 'max' or 'min', got {direction!r}")
        if registry.get(config.task).define(key, config) is None and key not in _traced(config):
            raise UserError(f"objectives: task {config.task!r} has no metric {key!r}")


def _traced(config: ConfigDict) -> list[str]:
    """Keys of the periodic evaluation."""
    engine, hparams = registry.make_engine(config), config_lib.hparams(config)
    state = jax.eval_shape(engine.init, jax.random.key(0), hparams)
    return list(jax.eval_shape(engine.evaluate, state, jax.random.key(0), hparams)[1])


def _is(axis: Between) -> bool:
    """Whether the ends of a range are numbers in order."""
    numbers = all(type(end) in (int, float) and math.isfinite(end) for end in axis[:2])
    return numbers and axis.low < axis.high and (axis.low > 0 or not axis.log)


@contextlib.contextmanager
def _reporting_storage(storage: str) -> Iterator[None]:
    """Turn what a database refuses into one line."""
    optuna = _optuna()
    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        raise UserError(f"search: database {storage or _STUDY_FILE}: {error}") from error


def _open_study(
    folder: pathlib.Path,
    config: ConfigDict,
    axes: Mapping[str, Axis],
    objectives: Mapping[str, str],
    *,
    storage: str,
    resume: bool,
) -> "optuna.Study":
    """The study of a new search, or of the same one."""
    optuna = _optuna()
    plan = {"config": config.to_dict(), "axes": dict(axes), "objectives": dict(objectives)}
    plan = json.loads(json.dumps(plan, default=str))
    population.prepare_folder(folder, plan, resume=resume, of="a search")
    directions = [_DIRECTIONS[direction] for direction in objectives.values()]
    study = _connect(optuna, storage or f"sqlite:///{folder / _STUDY_FILE}", directions)
    known = study.user_attrs.get("plan")
    if known is None:
        study.set_user_attr("plan", plan)
    elif known != plan:
        raise UserError(f"search: database {storage}: holds a search of another plan")
    return study


def _connect(optuna: Any, url: str, directions: list[str]) -> "optuna.Study":
    """The study of a database, made where there is none."""
    from sqlalchemy.exc import SQLAlchemyError  # comes with Optuna

    for left in reversed(range(_ATTEMPTS)):
        try:
            return optuna.create_study(
                storage=url, study_name=_STUDY_NAME, directions=directions, load_if_exists=True
            )
        except (ImportError, ValueError, SQLAlchemyError) as error:
            # Of two processes that make the tables at once one fails, and then finds them.
            if not left or not isinstance(error, SQLAlchemyError):
                reason = str(error).splitlines()[0]
                raise UserError(f"search: database {url}: {reason}") from error
            time.sleep(1.0)
    raise AssertionError("unreachable")


def _labels(axis: Sequence[Any]) -> list[str]:
    """Choices as the database takes them, in their order."""
    return [json.dumps(choice) for choice in axis]


def _suggest(trial: "optuna.Trial", path: str, axis: Axis) -> None:
    """Let the sampler choose a value, which the trial then has as a parameter."""
    if not isinstance(axis, Between):
        trial.suggest_categorical(path, _labels(axis))
    elif type(axis.low) is int and type(axis.high) is int:
        trial.suggest_int(path, axis.low, axis.high, log=axis.log)
    else:
        trial.suggest_float(path, axis.low, axis.high, log=axis.log)


def _changes(params: Mapping[str, Any], axes: Mapping[str, Axis]) -> dict[str, Any]:
    """Values of the fields, from a trial's parameters."""
    return {
        path: params[path] if isinstance(axis, Between) else axis[_labels(axis).index(params[path])]
        for path, axis in axes.items()
    }


def _ask(
    study: "optuna.Study",
    config: ConfigDict,
    axes: Mapping[str, Axis],
    batch: int,
    trials: int,
    folder: pathlib.Path,
) -> list[int]:
    """Numbers of the trials to train next: those that a kill left here, or new ones."""
    optuna = _optuna()
    claimed = [trial for trial in study.get_trials(deepcopy=False) if _WORKER in trial.user_attrs]
    running = [
        trial.number
        for trial in claimed
        if trial.state == optuna.trial.TrialState.RUNNING
        and trial.user_attrs[_WORKER] == str(folder)
    ]
    if running:
        return running
    new = [study.ask() for _ in range(min(batch, trials - len(claimed)))]
    for trial in new:
        # Of its own for each trial: processes that share a study would draw the same values.
        study.sampler = optuna.samplers.TPESampler(
            seed=config.seed + 7919 * trial.number, constant_liar=True
        )
        for path, axis in axes.items():
            _suggest(trial, path, axis)
        trial.set_user_attr(_WORKER, str(folder))
    return [trial.number for trial in new]


def _train(
    study: "optuna.Study",
    config: ConfigDict,
    axes: Mapping[str, Axis],
    objectives: Sequence[str],
    numbers: Sequence[int],
    folder: pathlib.Path,
    batch: int,
    control: Control,
) -> None:
    """Train trials as one population, and tell their objectives."""
    optuna = _optuna()
    params = {trial.number: trial.params for trial in study.get_trials(deepcopy=False)}
    configs = [population.changed(config, _changes(params[i], axes)) for i in numbers]
    folders = [folder / f"{i:04d}" for i in numbers]
    outcomes = population.train_runs(
        configs, folders, chunk=batch, size=batch, resume=True, control=control
    )
    for number, outcome in zip(numbers, outcomes, strict=True):
        values = _values(outcome, objectives)
        failed = None if values else optuna.trial.TrialState.FAIL
        study.tell(number, values or None, state=failed)


def _values(outcome: Outcome, objectives: Sequence[str]) -> list[float]:
    """Objectives of a trial; [] of one that diverged."""
    if outcome.error:
        return []
    if missing := [key for key in objectives if key not in outcome.metrics]:
        known = ", ".join(sorted(outcome.metrics))
        raise UserError(
            f"objectives: {missing[0]!r} is no final metric of this run; it has {known}"
        )
    return [float(outcome.metrics[key]) for key in objectives]


def _summarise(
    study: "optuna.Study",
    config: ConfigDict,
    axes: Mapping[str, Axis],
    objectives: Sequence[str],
    folder: pathlib.Path,
) -> Search:
    """All finished trials, written with the frontier and its configurations."""
    trials = tuple(
        Trial(
            trial.number,
            _changes(trial.params, axes),
            dict(zip(objectives, trial.values or (), strict=False)),
            pathlib.Path(trial.user_attrs[_WORKER]) / f"{trial.number:04d}",
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished() and _WORKER in trial.user_attrs
    )
    finished = any(trial.values for trial in trials)
    frontier = tuple(sorted(t.number for t in study.best_trials)) if finished else ()
    importance = _importance(study, objectives)
    with files.writing_to(f"workdir {folder}"):
        for trial in trials:
            if trial.number in frontier:
                path = folder / FRONTIER / f"{trial.number:04d}.py"
                path.parent.mkdir(exist_ok=True)
                files.write_text(path, _config_file(population.changed(config, trial.changes)))
        files.write_json(
            folder / SUMMARY_FILE,
            {
                "objectives": list(objectives),
                "frontier": frontier,
                "importance": importance,
                "trials": [
                    {"number": t.number, "changes": t.changes, "values": t.values} for t in trials
                ],
            },
        )
    return Search(folder, trials, frontier, importance)


def _importance(study: "optuna.Study", objectives: Sequence[str]) -> dict[str, dict[str, float]]:
    """What share of each objective's variation each field explains."""
    optuna = _optuna()
    complete = (optuna.trial.TrialState.COMPLETE,)
    if len(study.get_trials(deepcopy=False, states=complete)) < _ENOUGH:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    signs = [1.0 if d == optuna.study.StudyDirection.MINIMIZE else -1.0 for d in study.directions]
    with warnings.catch_warnings():
        # It reminds of what the signs are for: low targets are the good ones.
        warnings.filterwarnings("ignore", "PedAnova", UserWarning)
        return {
            key: optuna.importance.get_param_importances(
                study,
                evaluator=evaluator,
                target=lambda trial, i=i: signs[i] * trial.values[i],
            )
            for i, key in enumerate(objectives)
        }


def _config_file(config: ConfigDict) -> str:
    """A configuration file that trains a point of the frontier alone."""
    stored = json.dumps(json.loads(config.to_json()), indent=4)
    return (
        '"""A point of the frontier of a search."""\n\n'
        "import json\n\nfrom tvae import config\n\n"
        f'STORED = r"""{stored}"""\n\n\n'
        "def get_config():\n"
        "    return config.complete(json.loads(STORED))\n"
    )
