"""Model cards: origin, metrics, checks and latencies of a model; and the changelog."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tvae.artifacts.checks import Check
from tvae.artifacts.ledger import Event
from tvae.runs import text

CONFIG_FILE, README = "config.yaml", "README.md"
_HEADLINE_CHANGES = 12
"""Metrics that a changelog entry compares at most: those that moved most."""


def as_yaml(config: Mapping[str, Any]) -> str:
    """A configuration as YAML: plain values, no Python objects, numbers as they were."""
    return yaml.safe_dump(dict(config), sort_keys=False)


def model_card(name: str, metadata: Mapping[str, Any], *, shipped_by: str) -> str:
    """The model card, in Markdown, of a model with this ``metadata.json``."""
    run, metrics = metadata["run"], metadata["metrics"]
    modified = " with uncommitted changes" if run["git_modified"] else ""
    return (
        f"# {name}\n\n"
        f"Task `{metadata['config']['task']}`, seed {metadata['config']['seed']}, trained at "
        f"commit `{run['git_commit']}`{modified} on {run['device']} with\n\n"
        f"    {metadata['command']}\n\n"
        f"and shipped with `{shipped_by}`. Parameters only, Orbax format, in `params/`; the "
        "whole configuration is in `metadata.json`.\n\n"
        f"Metrics at the end of the run:\n\n```\n{text.metrics_table(metrics)}\n```\n"
    )


def validation_section(checks: Sequence[Check]) -> str:
    """The results of the checks, as a section of a card."""
    lines = ["", "## Validation", "", "| aspect | status | figures |", "|---|---|---|"]
    lines += [f"| {c.aspect} | {c.status} | {'; '.join(c.reasons)} |" for c in checks]
    return "\n".join(lines) + "\n"


def latency_section(profile: Mapping[str, Any]) -> str:
    """Latencies, as a section of a card."""
    lines = ["", f"## Latency of the exported programs on {profile['device']}", ""]
    lines += ["| program | batch | p50, ms | p95, ms |", "|---|---|---|---|"]
    for row in profile["latency"]:
        lines.append(
            f"| {row['program']} | {row['batch']:,} | {row['p50_ms']:.3g} | {row['p95_ms']:.3g} |"
        )
    return "\n".join(lines) + "\n"


def _changes(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Scalar metrics that differ, the largest relative changes first."""
    moved = []
    for key in new.keys() & old.keys():
        now, was = new[key], old[key]
        if isinstance(now, int | float) and isinstance(was, int | float) and now != was:
            size = abs(now - was) / max(abs(was), 1e-12)
            moved.append((-size, f"- `{key}`: {was:.6g} -> {now:.6g}"))
    return [line for _, line in sorted(moved)[:_HEADLINE_CHANGES]]


def changelog(
    entry: Event, metrics: Mapping[str, Any], before: Mapping[str, Any] | None, history: str
) -> str:
    """The changelog of a production artifact, in Markdown: its own entry, then those before.

    Metrics ``before`` and ``history`` are of the version that was current, None and "" without one.
    """
    version = entry.name.split("/")[1]
    lines = [f"## {version} ({entry.time[:10]})", "", entry.note or "No note was given."]
    if before is None:
        lines += ["", "The first version in production."]
    else:
        lines += ["", f"Figures that differ from {entry.previous}, at most {_HEADLINE_CHANGES}:"]
        lines += ["", *(_changes(metrics, before) or ["none"])]
    title = "# Changelog\n"
    return f"{title}\n" + "\n".join(lines) + "\n" + history.removeprefix(title)
