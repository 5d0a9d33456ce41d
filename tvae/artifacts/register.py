"""Raw artifacts: all that a finished run left, its curves by subject, and a summary.

config.json run.json metrics.json metrics.jsonl checkpoints/ ...   the run's own files
config.yaml README.md training.log                                 the same to read
metrics/{training_metrics,coverage_history,loss_history}.json      the log by subject
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from tvae import config as config_lib
from tvae.artifacts.names import Name
from tvae.artifacts.repository import Repository
from tvae.engine import loop
from tvae.errors import UserError
from tvae.runs import files, workdir
from tvae.runs import log as writers

CONFIG_FILE, README = "config.yaml", "README.md"


def write_json(path: pathlib.Path, value: Any) -> None:
    """Write JSON, and make the folder that it lies in."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def as_yaml(config: Mapping[str, Any]) -> str:
    """A configuration as YAML: plain values, no Python objects, numbers as they were."""
    return yaml.safe_dump(dict(config), sort_keys=False)


def newest_step(run: pathlib.Path) -> int:
    """Step of the newest checkpoint of a run.

    Raises:
      UserError: if it holds none.
    """
    folder = run / loop.CHECKPOINTS
    words = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    steps = [int(word) for word in words if word.isdecimal()]
    if not steps:
        raise UserError(f"workdir {run}: holds no checkpoint")
    return max(steps)


def register(
    repository: Repository, name: Name, run: pathlib.Path, *, note: str = ""
) -> pathlib.Path:
    """Keep a finished run for good.

    Args:
      repository: where to.
      name: of the new raw artifact.
      run: its working directory; copied, not touched.
      note: the user's words.

    Returns:
      The artifact's folder.

    Raises:
      UserError: if the run is unfinished or damaged, or the name is taken.
    """
    run = run.absolute()
    if not run.is_dir():
        raise UserError(f"workdir {run}: no such folder")
    config_lib.complete(files.read_json(run / workdir.CONFIG_FILE))
    if not (run / writers.FINAL_FILE).exists():
        raise UserError(f"workdir {run}: {writers.FINAL_FILE} is missing; the run has not finished")
    header = {"source": {"workdir": run.name}, "checkpoint": {"step": newest_step(run)}}

    def build(folder: pathlib.Path) -> Mapping[str, Any]:
        files.copy_tree(run, folder)
        try:
            _write_readable(folder, name, note)
        except FileExistsError as error:
            taken = pathlib.Path(error.filename).name
            raise UserError(f"workdir {run}: holds a {taken} of its own, in the way") from error
        return header

    with repository.lock():
        return repository.add("register", name, build, note=note)


def _write_new(path: pathlib.Path, text: str) -> None:
    """Write a file that the run must not have brought along."""
    with path.open("x") as file:
        file.write(text)


def _write_readable(folder: pathlib.Path, name: Name, note: str) -> None:
    """What the run's own files say, by subject and to read."""
    final = files.read_json(folder / writers.FINAL_FILE)
    about = files.read_json(folder / workdir.RUN_FILE)
    rows = _read_log(folder / writers.METRICS_FILE)
    (folder / "metrics").mkdir()
    write_json(folder / "metrics" / "training_metrics.json", final)
    for subject in ("coverage", "loss"):
        write_json(folder / "metrics" / f"{subject}_history.json", _history(rows, subject))
    _write_new(folder / CONFIG_FILE, as_yaml(files.read_json(folder / workdir.CONFIG_FILE)))
    log = (f"epoch {row.get('epoch')}  {writers.describe(row)}\n" for row in rows)
    _write_new(folder / "training.log", "".join(log))
    story = f"{note or 'A finished run.'} Trained at commit `{about.get('git_commit')}`."
    table = f"```\n{writers.table(final)}\n```\n"
    _write_new(folder / README, f"# {name}, raw\n\n{story}\n\n{table}")


def _read_log(log: pathlib.Path) -> list[dict[str, Any]]:
    lines = files.read_bytes(log).splitlines()
    return [files.parse_json(line, f"{log}:{i}") for i, line in enumerate(lines, start=1)]


def _history(rows: list[dict[str, Any]], subject: str) -> list[dict[str, Any]]:
    """The metrics of one subject by epoch, without epochs that did not measure it."""
    kept = ({k: v for k, v in row.items() if k == "epoch" or subject in k} for row in rows)
    return [row for row in kept if len(row) > 1]
