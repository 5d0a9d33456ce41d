"""Register a finished run as a raw artifact.

config.json run.json metrics.json metrics.jsonl checkpoints/ ...   the run's own files
config.yaml README.md training.log                                 the same to read
metrics/{training_metrics,coverage_history,loss_history}.json      the log by subject
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from tvae import config as config_lib
from tvae.artifacts import cards
from tvae.artifacts.names import Name
from tvae.artifacts.repository import Repository
from tvae.domains import registry
from tvae.errors import UserError
from tvae.runs import directories, files, text
from tvae.runs.run import Run


def register(repository: Repository, name: Name, run: Run, *, note: str = "") -> pathlib.Path:
    """Copy a finished run to a new raw artifact; returns the artifact's folder.

    Raises:
      UserError: if the run is unfinished or damaged, or the name is taken.
    """
    where = f"workdir {run.folder}"
    config = config_lib.complete(run.config.to_dict())
    run.require_finished()
    if not run.checkpoint_steps:
        raise UserError(f"{where}: holds no checkpoint")
    source, step = {"workdir": run.folder.name}, run.checkpoint_steps[-1]
    headline = registry.get(config.task).headline

    def build(folder: pathlib.Path) -> Mapping[str, Any]:
        directories.copy_tree(run.folder, folder)
        try:
            for path, content in _derive(Run.open(folder), name, note, headline).items():
                (folder / path).parent.mkdir(exist_ok=True)
                with (folder / path).open("x") as file:
                    file.write(content)
        except FileExistsError as error:
            taken = pathlib.Path(error.filename).name
            raise UserError(f"{where}: holds a {taken} of its own, in the way") from error
        return {"source": source, "checkpoint": {"step": step}}

    with repository.lock():
        return repository.add("register", name, build, note=note)


def _derive(run: Run, name: Name, note: str, headline: tuple[str, ...]) -> dict[str, str]:
    """Path -> content of the files that present the run's own by subject and to read."""
    table = f"```\n{text.metrics_table(run.final)}\n```\n"
    commit = run.provenance.get("git_commit")
    story = f"{note or 'A finished run.'} Trained at commit `{commit}`."
    log = (f"epoch {row.get('epoch')}  {text.summarise(row, headline)}\n" for row in run.rows)
    derived = {
        cards.CONFIG_FILE: cards.as_yaml(run.config.to_dict()),
        cards.README: f"# {name}, raw\n\n{story}\n\n{table}",
        "training.log": "".join(log),
        "metrics/training_metrics.json": files.as_json(run.final),
    }
    for subject in ("coverage", "loss"):
        kept = ({k: v for k, v in row.items() if k == "epoch" or subject in k} for row in run.rows)
        # Epochs that did not measure the subject are left out.
        history = [row for row in kept if len(row) > 1]
        derived[f"metrics/{subject}_history.json"] = files.as_json(history)
    return derived
