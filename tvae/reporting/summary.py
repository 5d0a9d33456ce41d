"""The head of the page: what was trained, whether it reached its targets, and its picture."""

from collections.abc import Callable, Sequence

from tvae.reporting import panels
from tvae.reporting.embedding import Embedding
from tvae.reporting.encoding import shown
from tvae.reporting.panels import Panel
from tvae.reporting.record import Record
from tvae.reporting.sections import Section, card, key, place, table, text
from tvae.reporting.targets import Verdict


def pill(verdicts: Sequence[Verdict]) -> str:
    """One word on all targets."""
    if not verdicts:
        return '<span class="verdict soft">no targets in this configuration</span>'
    reached = sum(verdict.reached for verdict in verdicts)
    kind = "good" if reached == len(verdicts) else "bad"
    return f'<span class="verdict {kind}">{reached} of {len(verdicts)} targets reached</span>'


def header(record: Record, verdicts: Sequence[Verdict], ending: str) -> str:
    """Title and facts."""
    run = record.run
    commit = (run.get("git_commit") or "unknown")[:10]
    facts = {
        "task": record.config.task,
        "seed": record.config.seed,
        "run": ending,
        "device": run.get("device", "unknown"),
        "commit": commit + (" with changes" if run.get("git_modified") else ""),
    }
    listed = "".join(
        f"<span>{text(name)} <b>{text(str(value))}</b></span>" for name, value in facts.items()
    )
    return (
        f'<header><div class="over">{text(str(record.folder.name))}</div>'
        f"<h1>{text(record.recipe)}</h1>{pill(verdicts)}"
        f'<div class="facts" style="margin-top:12px">{listed}</div></header>'
    )


def section(
    record: Record,
    verdicts: Sequence[Verdict],
    embeddings: Sequence[Embedding],
    about: Callable[[str], tuple[str, float | None]],
    objective: Panel,
) -> Section:
    """The table of targets beside the disk.

    Args:
      record: the run.
      verdicts: on its targets.
      embeddings: shown in the disk.
      about: metric -> (what it measures, its ceiling or None).
      objective: the loss over the epochs.
    """
    loss = card(objective.title, place("objective"))
    left = f"<div>{_targets(record, verdicts, about)}<br>{loss}</div>"
    body = f'<div class="hero">{left}{_disk(embeddings)}</div>'
    return Section("summary", "Summary", body, {"objective": panels.to_plotly(objective)})


def _targets(
    record: Record,
    verdicts: Sequence[Verdict],
    about: Callable[[str], tuple[str, float | None]],
) -> str:
    head = ("Metric", "Value", "Target", "Ceiling", "")
    rows = [_row(verdict, about) for verdict in verdicts]
    others = [
        (key(name), shown(value), "", _ceiling(about(name)[1]), "")
        for name, value in record.final.items()
        if name not in {verdict.metric for verdict in verdicts}
    ]
    more = table(head, others, numbers=4)
    opened = "" if verdicts else " open"
    when = "at the end" if record.finished else "so far"
    inside = table(head, rows, numbers=4) if rows else ""
    inside += f"<details{opened}><summary>{len(others)} metrics without a target</summary>{more}"
    return card(f"What it measures {when}", f"{inside}</details>")


def _row(verdict: Verdict, about: Callable[[str], tuple[str, float | None]]) -> Sequence[str]:
    meaning, ceiling = about(verdict.metric)
    soft = f'<span class="soft">{text(meaning)}</span>' if meaning else ""
    value = "–" if verdict.value is None else shown(verdict.value)
    kind, word = ("good", "✓ pass") if verdict.reached else ("bad", "✗ fail")
    return (
        key(verdict.metric) + soft,
        f"<b>{value}</b>",
        verdict.target,
        _ceiling(ceiling),
        f'<b class="{kind}">{word}</b>',
    )


def _ceiling(value: float | None) -> str:
    return "–" if value is None else shown(value)


def _choice(what: str, choices: Sequence[tuple[str, str]]) -> str:
    """Buttons of which one is pressed; page.js listens to them."""
    buttons = "".join(
        f'<button data-set="{what}" data-to="{to}" aria-pressed="false">{text(label)}</button>'
        for to, label in choices
    )
    return f'<span class="choice">{buttons}</span>'


def _disk(embeddings: Sequence[Embedding]) -> str:
    choices = ""
    if len(embeddings) > 1:
        listed = [(str(k), f"Embedding {e.name.upper()}") for k, e in enumerate(embeddings)]
        choices += _choice("embedding", listed)
    pairs = [(str(k), f"{2 * k + 1}·{2 * k + 2}") for k in range(len(embeddings[0].planes))]
    choices += _choice("plane", pairs)
    if embeddings[0].in_ball:
        choices += _choice("mode", [("radius", "True radius"), ("projection", "Projected")])
        title, note = "The embedding in the Poincaré disk", ""
    else:
        title = "The latent means in the plane"
        note = "This task has Euclidean latents and no ball: no disk, no hyperbolic lengths."
    inside = f'<div class="bar">{choices}</div><div id="disk"></div>'
    inside += '<p class="soft" id="disk-caption" style="margin:6px 0 0;font-size:13px"></p>'
    return card(title, inside, note=note)
