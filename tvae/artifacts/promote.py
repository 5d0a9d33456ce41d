"""Promote a validated artifact to production: exported, measured and ready to deploy.

params/ metadata.json README.md config.yaml validation/   the validated model
export/                                                   runs without tvae
performance/{benchmarks,latency_profile,resource_usage}.json
deployment/{config.json,docker/,kubernetes/}              how to run the export
CHANGELOG.md                                              against the versions before

The figures are computed once more from the validated weights and held against the targets.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from tvae import config as config_lib
from tvae import loading
from tvae.artifacts import cards, checks, deployment, latency, ledger, manifest, names, validate
from tvae.artifacts.ledger import Event
from tvae.artifacts.names import Name
from tvae.artifacts.repository import Repository
from tvae.errors import UserError
from tvae.exports.folder import export_model
from tvae.model import Model
from tvae.runs import directories, files, parameters

CHANGELOG = "CHANGELOG.md"


def promote(repository: Repository, name: Name, *, note: str = "") -> pathlib.Path:
    """Bring a validated model into production, and make it current; returns the artifact's folder.

    Raises:
      UserError: if there is no such validated artifact, it changed, or it fails now.
    """
    with repository.lock():
        validated = repository.require("validated", name)
        repository.require_new("production", name)
        model = loading.load(validated)
        metrics = _measure(model, name)

        def build(folder: pathlib.Path) -> Mapping[str, Any]:
            directories.copy_tree(validated, folder)
            (folder / manifest.MANIFEST_FILE).unlink()
            source = repository.origin("validated", name)
            profile = _write_export(folder, model, name, metrics)
            results = validate.read_checks(folder)
            card = validate.make_metadata(model.card, name, source, results)
            parameters.write_metadata(folder, model.params, card)
            text = cards.model_card(str(name), card, shipped_by="python -m tvae artifacts promote")
            text += cards.validation_section(results) + cards.latency_section(profile)
            (folder / cards.README).write_text(text)
            (folder / CHANGELOG).write_text(_changelog(repository, name, metrics, note))
            return {"source": source}

        return repository.add("promote", name, build, note=note)


def rollback(repository: Repository, target: str | None, *, note: str = "") -> tuple[str, str]:
    """Make an earlier production version current again; nothing is deleted.

    A ``target`` without version is the one that was current before the present one was promoted.
    Returns the version that was left, and the one that is current now.

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
    metrics = checks.measure(model)
    results = checks.check_targets(metrics, config_lib.complete(model.card["config"]))
    reasons = [line for check in results if check.status == checks.FAILED for line in check.reasons]
    if reasons:
        raise UserError(f"promote {name}: refused: {'; '.join(reasons)}")
    return metrics


def _write_export(
    folder: pathlib.Path, model: Model, name: Name, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Write ``export/``, ``deployment/`` and ``performance/``; returns the latency profile."""
    export, performance = folder / deployment.EXPORT, folder / "performance"
    export_model(model, export)
    deployment.write_deployment(folder, name)
    items = model.views.items
    profile = latency.profile(export / "programs", whole=items.count if items else None)
    benchmarks = {"created": ledger.now(), "metrics": metrics}
    files.write_json(performance / "benchmarks.json", benchmarks)
    files.write_json(performance / "latency_profile.json", profile)
    files.write_json(performance / "resource_usage.json", latency.resources(model))
    return profile


def _changelog(repository: Repository, name: Name, metrics: Mapping[str, Any], note: str) -> str:
    """The changes of this version, before the history of the one that it replaces."""
    previous = repository.current(name.model)
    entry = Event(ledger.now(), "promote", "production", str(name), "", previous, note)
    if previous is None:
        return cards.changelog(entry, metrics, None, "")
    old = Name(name.model, previous)
    if damage := repository.verify("production", old):
        # A damaged previous version must not block a promotion.
        entry = entry._replace(note=f"{note} {previous} is damaged: {damage[0]}".strip())
        return cards.changelog(entry, metrics, {}, "")
    before = repository.folder("production", old)
    card = files.read_json(before / files.METADATA_FILE)
    history = files.read_bytes(before / CHANGELOG).decode()
    return cards.changelog(entry, metrics, card["metrics"], history)
