"""Validated artifacts: parameters alone, and every figure computed from them.

params/ metadata.json README.md    as ``checkpoints/`` ships a model; ``tvae.load`` reads it
config.yaml                        the configuration to read
validation/*.json                  one report for each aspect, all of them in test_results

There is no way to hand in a verdict: the checks are run here, on what the raw artifact holds.
"""

import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from tvae.artifacts import cards, ledger
from tvae.artifacts import checks as validation
from tvae.artifacts import register as raw
from tvae.artifacts.names import Name
from tvae.artifacts.repository import Repository
from tvae.errors import UserError
from tvae.runs import files
from tvae.runs import params as parameters

REPORTS = {
    "coverage": "coverage_report",
    "hierarchy": "hierarchy_report",
    "posterior collapse": "collapse_report",
    "active dimensions": "active_dimensions_report",
    "entropy": "entropy_analysis",
    "generalisation": "generalization_report",
}
"""Aspect -> its file in ``validation/``."""
ALL_CHECKS = "test_results"


def validate(repository: Repository, name: Name, *, note: str = "") -> validation.Examination:
    """Compute from a raw artifact's weights whether it is what it should be.

    Args:
      repository: where it lies.
      name: of the raw artifact; the validated one gets the same.
      note: the user's words.

    Returns:
      What was found. Only if nothing failed is there a validated artifact.

    Raises:
      UserError: if there is no such artifact, or it changed since it was registered.
    """
    with repository.lock(), tempfile.TemporaryDirectory() as scratch:
        source = repository.require("raw", name)
        repository.require_new("validated", name)
        copy = pathlib.Path(scratch) / "copy"
        examined = validation.examine(source, copy)

        def build(folder: pathlib.Path) -> Mapping[str, Any]:
            files.copy_tree(copy, folder)
            return _write(folder, repository, name, examined)

        if not examined.failed:
            repository.add("validate", name, build, note=note)
    return examined


def metadata(
    card: Mapping[str, Any], name: Name, source: Mapping[str, Any], checks: list[validation.Check]
) -> dict[str, Any]:
    """The machine's model card: the shipped card, and what became of the model since.

    Args:
      card: ``command``, ``config``, ``run``, ``metrics``, ``sha256``.
      name: of the artifact.
      source: stage and digest of the artifact that it was made from.
      checks: their results.
    """
    task = card["config"]["task"]
    return dict(card) | {
        "model_id": str(name),
        "created": ledger.now(),
        "source": source,
        "validation_status": validation.PASSED,
        "validation_results": {check.aspect: check.status for check in checks},
        "tags": [task, f"seed {card['config']['seed']}"],
    }


def origin(repository: Repository, stage: str, name: Name) -> dict[str, Any]:
    """What an artifact was made from, by digest.

    Raises:
      UserError: if there is no such artifact.
    """
    event = repository.recorded(stage, name)
    if event is None:
        raise UserError(f"{stage} {name}: no such artifact")
    return {"stage": stage, "name": str(name), "manifest_sha256": event.manifest_sha256}


def _write(
    folder: pathlib.Path, repository: Repository, name: Name, examined: validation.Examination
) -> Mapping[str, Any]:
    """Complete the shipped parameters to an artifact."""
    source = origin(repository, "raw", name)
    card = metadata(
        files.read_json(folder / parameters.METADATA_FILE), name, source, examined.checks
    )
    card["checkpoint"] = {"step": raw.newest_step(repository.folder("raw", name))}
    raw.write_json(folder / parameters.METADATA_FILE, card)
    (folder / raw.CONFIG_FILE).write_text(raw.as_yaml(card["config"]))
    text = cards.text(str(name), card, shipped_by="python -m tvae artifacts validate")
    (folder / raw.README).write_text(text + cards.validation_section(examined.checks))
    write_reports(folder / "validation", examined.checks)
    return {"source": source}


def write_reports(folder: pathlib.Path, checks: list[validation.Check]) -> None:
    """One file for each aspect, and one for all."""
    raw.write_json(folder / f"{ALL_CHECKS}.json", {"checks": [c._asdict() for c in checks]})
    for check in checks:
        if check.aspect in REPORTS:
            raw.write_json(folder / f"{REPORTS[check.aspect]}.json", check._asdict())


def read_checks(folder: pathlib.Path) -> list[validation.Check]:
    """The checks that an artifact carries.

    Args:
      folder: of a validated or production artifact.
    """
    stored = json.loads(files.read_bytes(folder / "validation" / f"{ALL_CHECKS}.json"))
    return [validation.Check(**check) for check in stored["checks"]]
