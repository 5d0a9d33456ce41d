"""Production artifacts: a validated model, exported, measured and ready to deploy.

    params/ metadata.json README.md config.yaml validation/   the validated model
    export/                                                   what runs without tvae
    performance/{benchmarks,latency_profile,resource_usage}.json
    deployment/{config.json,docker/,kubernetes/}              how to run the export
    CHANGELOG.md                                              against the versions before

Promotion takes no one's word either: the figures are computed once more from the validated weights
and held against the targets.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from tvae import config as config_lib
from tvae import loading
from tvae.artifacts import cards, deployment, latency, ledger, names
from tvae.artifacts import checks as validation
from tvae.artifacts import register as raw
from tvae.artifacts import validate as validated
from tvae.artifacts.ledger import Event
from tvae.artifacts.names import Name
from tvae.artifacts.repository import Repository
from tvae.errors import UserError
from tvae.exports.folder import export_model
from tvae.model import Model
from tvae.runs import files
from tvae.runs import params as parameters

CHANGELOG = "CHANGELOG.md"


def promote(repository: Repository, name: Name, *, note: str = "") -> pathlib.Path:
    """Bring a validated model into production, and make it the current version.

    Args:
      repository: where it lies.
      name: of the validated artifact; the production one gets the same.
      note: the user's words, for the changelog.

    Returns:
      The artifact's folder.

    Raises:
      UserError: if there is no such validated artifact, it changed, or it fails now.
    """
    with repository.lock():
        source = repository.require("validated", name)
        repository.require_new("production", name)
        model = loading.load(source)
        benchmarks = _measure(model, name)

        def build(folder: pathlib.Path) -> Mapping[str, Any]:
            files.copy_tree(source, folder)
            (folder / "manifest.json").unlink()
            return _complete(folder, repository, name, model, benchmarks, note)

        return repository.add("promote", name, build, note=note)


def rollback(repository: Repository, target: str | None, *, note: str = "") -> tuple[str, str]:
    """Make an earlier production version current again; nothing is deleted.

    Args:
      repository: where it lies.
      target: ``<model>`` for the version that was current before the present one was promoted, or
        ``<model>/<version>``.
      note: the user's words, for the ledger.

    Returns:
      The version that was left, and the one that is current now.

    Raises:
      UserError: if there is no such version, or it is not what was recorded.
    """
    if not target:
        raise UserError("rollback: needs --name, <model> or <model>/<version>")
    chosen = names.parse_name(target if "/" in target else f"{target}/any")
    with repository.lock():
        left = repository.current(chosen.model)
        if left is None:
            raise UserError(f"rollback: no version of {chosen.model} is in production")
        if "/" not in target:
            promoted = repository.recorded("production", Name(chosen.model, left))
            if promoted is None or promoted.previous is None:
                raise UserError(f"rollback: no version of {chosen.model} came before {left}")
            chosen = Name(chosen.model, promoted.previous)
        if chosen.version == left:
            raise UserError(f"rollback: {chosen} is current already")
        repository.require("production", chosen)
        repository.make_current(chosen, note=note)
    return left, chosen.version


def _measure(model: Model, name: Name) -> dict[str, Any]:
    """The figures, computed from the validated weights.

    Raises:
      UserError: if they miss a target.
    """
    metrics = validation.measure(model)
    config = config_lib.complete(model.card["config"])
    failed = [
        check
        for check in validation.hold_against_targets(metrics, config)
        if check.status == validation.FAILED
    ]
    if failed:
        reasons = "; ".join(line for check in failed for line in check.reasons)
        raise UserError(f"promote {name}: refused: {reasons}")
    return metrics


def _complete(
    folder: pathlib.Path,
    repository: Repository,
    name: Name,
    model: Model,
    metrics: dict[str, Any],
    note: str,
) -> Mapping[str, Any]:
    """Make a production artifact of a copy of a validated one."""
    source = validated.origin(repository, "validated", name)
    checks = validated.read_checks(folder)
    card = validated.metadata(model.card, name, source, checks)
    raw.write_json(folder / parameters.METADATA_FILE, card)
    export = folder / deployment.EXPORT
    export_model(model, export)
    deployment.write(folder, name)
    items = model.views.items
    profile = latency.profile(export / "programs", whole=items.count if items else None)
    performance = folder / "performance"
    raw.write_json(performance / "benchmarks.json", {"created": ledger.now(), "metrics": metrics})
    raw.write_json(performance / "latency_profile.json", profile)
    raw.write_json(performance / "resource_usage.json", latency.resources(model))
    text = cards.text(str(name), card, shipped_by="python -m tvae artifacts promote")
    text += cards.validation_section(checks) + cards.latency_section(profile)
    (folder / raw.README).write_text(text)
    (folder / CHANGELOG).write_text(_changelog(repository, name, metrics, note))
    return {"source": source}


def _changelog(repository: Repository, name: Name, metrics: Mapping[str, Any], note: str) -> str:
    """What changes with this version, before the history of the one that it replaces."""
    previous = repository.current(name.model)
    entry = Event(ledger.now(), "promote", "production", str(name), "", previous, note)
    if previous is None:
        return cards.changelog(entry, metrics, None, "")
    old = Name(name.model, previous)
    if damage := repository.verify("production", old):
        # A damaged version must not stand in the way of the one that replaces it.
        entry = entry._replace(note=f"{note} {previous} is damaged: {damage[0]}".strip())
        return cards.changelog(entry, metrics, {}, "")
    before = repository.folder("production", old)
    card = files.read_json(before / parameters.METADATA_FILE)
    history = files.read_bytes(before / CHANGELOG).decode()
    return cards.changelog(entry, metrics, card["metrics"], history)
