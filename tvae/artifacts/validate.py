"""Validate a raw artifact: parameters alone, and every figure computed from them.

* ``params/ metadata.json README.md``: as ``checkpoints/`` ships a model; ``tvae.load`` reads it
* ``config.yaml``: the configuration to read
* ``validation/*.json``: one report for each aspect, all of them in ``test_results``

A verdict cannot be handed in: the checks are run here, on the raw artifact.
"""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from tvae.artifacts import cards, checks, ledger
from tvae.artifacts.checks import Check, Examination
from tvae.artifacts.names import Name
from tvae.artifacts.repository import Repository
from tvae.runs import directories, files, parameters
from tvae.runs.run import Run

REPORTS = {
    "coverage": "coverage_report",
    "hierarchy": "hierarchy_report",
    "posterior collapse": "collapse_report",
    "active dimensions": "active_dimensions_report",
    "entropy": "entropy_analysis",
    "generalisation": "generalization_report",
}
"""Aspect -> its file in ``validation/``."""
_FOLDER, _ALL_CHECKS = "validation", "test_results.json"


def validate(repository: Repository, name: Name, *, note: str = "") -> Examination:
    """Check the weights of a raw artifact; add a validated one if no check fails.

    Raises:
      UserError: if there is no such artifact, or it changed since it was registered.
    """
    with repository.lock(), tempfile.TemporaryDirectory() as scratch:
        raw = repository.require("raw", name)
        repository.require_new("validated", name)
        copy = pathlib.Path(scratch) / "copy"
        examined = checks.examine(raw, copy)

        def build(folder: pathlib.Path) -> Mapping[str, Any]:
            directories.copy_tree(copy, folder)
            source = repository.origin("raw", name)
            card = files.read_json(folder / files.METADATA_FILE)
            card = make_metadata(card, name, source, examined.checks)
            card["checkpoint"] = {"step": Run.open(raw).checkpoint_steps[-1]}
            parameters.write_metadata(folder, examined.model.params, card)
            (folder / cards.CONFIG_FILE).write_text(cards.as_yaml(card["config"]))
            text = cards.model_card(str(name), card, shipped_by="python -m tvae artifacts validate")
            (folder / cards.README).write_text(text + cards.validation_section(examined.checks))
            _write_reports(folder / _FOLDER, examined.checks)
            return {"source": source}

        if not examined.failed:
            repository.add("validate", name, build, note=note)
    return examined


def make_metadata(
    card: Mapping[str, Any], name: Name, source: Mapping[str, Any], results: list[Check]
) -> dict[str, Any]:
    """The shipped card with the origin of the artifact and the results of its checks."""
    config = card["config"]
    return dict(card) | {
        "model_id": str(name),
        "created": ledger.now(),
        "source": source,
        "validation_status": checks.PASSED,
        "validation_results": {check.aspect: check.status for check in results},
        "tags": [config["task"], f"seed {config['seed']}"],
    }


def _write_reports(folder: pathlib.Path, results: list[Check]) -> None:
    """One file for each aspect, and one for all."""
    files.write_json(folder / _ALL_CHECKS, {"checks": [check._asdict() for check in results]})
    for check in results:
        if check.aspect in REPORTS:
            files.write_json(folder / f"{REPORTS[check.aspect]}.json", check._asdict())


def read_checks(folder: pathlib.Path) -> list[Check]:
    """The checks that a validated or production artifact carries."""
    stored = files.read_json(folder / _FOLDER / _ALL_CHECKS)
    return [Check(**check) for check in stored["checks"]]
