"""The head of the page: what was trained, whether it reached its targets, and its picture."""

from collections.abc import Callable, Sequence

from tvae.domains import registry
from tvae.domains.aspects import Verdict
from tvae.metrics.definitions import Definition
from tvae.reporting.embedding import Embedding
from tvae.reporting.figures.encoding import shown
from tvae.reporting.sections import Section, card, key, table, text
from tvae.runs.run import Run

_HEAD = ("Metric", "Value", "Target", "Ceiling", "Published", "")


def pill(verdicts: Sequence[Verdict]) -> str:
    """One word on all targets."""
    if not verdicts:
        return '<span class="verdict soft">no targets in this configuration</span>'
    reached = sum(verdict.reached for verdict in verdicts)
    kind = "good" if reached == len(verdicts) else "bad"
    return f'<span class="verdict {kind}">{reached} of {len(verdicts)} targets reached</span>'


def header(record: Run, verdicts: Sequence[Verdict], ending: str) -> str:
    """Title and facts."""
    run = record.provenance
    commit = (run.get("git_commit") or "unknown")[:10]
    facts = {
        "task": record.config.task,
        "seed": record.config.seed,
        "ran": ending,
        "device": run.get("device", "unknown"),
        "commit": commit + (" with changes" if run.get("git_modified") else ""),
    }
    listed = "".join(
        f"<span>{text(name)} <b>{text(str(value))}</b></span>" for name, value in facts.items()
    )
    return (
        f'<header><div class="over">{text(str(record.folder.name))}</div>'
        f"<h1>{text(record.config_name)}</h1>{pill(verdicts)}"
        f'<div class="facts" style="margin-top:12px">{listed}</div></header>'
    )


def section(
    record: Run,
    verdicts: Sequence[Verdict],
    embeddings: Sequence[Embedding],
    about: Callable[[str], Definition | None],
) -> Section:
    """The table of targets beside the disk.

    Args:
      record: the run.
      verdicts: on its targets.
      embeddings: shown in the disk.
      about: metric -> what it means, or None.
    """
    head = f'<div class="hero">{_targets(record, verdicts, about)}{_disk(embeddings)}</div>'
    return Section("summary", "Summary", head + _everything(record, about))


def _targets(
    record: Run,
    verdicts: Sequence[Verdict],
    about: Callable[[str], Definition | None],
) -> str:
    """The targets, or a task's headline figures where the configuration has none."""
    if verdicts:
        rows = "".join(_row(verdict, about(verdict.metric)) for verdict in verdicts)
    else:
        headline = [k for k in registry.get(record.config.task).headline if k in record.final]
        rows = "".join(_entry(k, about(k), shown(record.final[k]), "–", "") for k in headline)
    head = "".join(f"<th class=n>{name}</th>" for name in _HEAD[1:])
    when = "What it reached" if record.finished else "What it has reached so far"
    return card(when, f'<table class="notes"><tr><th>{_HEAD[0]}</th>{head}</tr>{rows}</table>')


def _everything(record: Run, about: Callable[[str], Definition | None]) -> str:
    """All final metrics, folded away."""
    rows = [
        (_name(metric, about(metric)), shown(value), *_references(about(metric)))
        for metric, value in record.final.items()
    ]
    inside = table(("Metric", "Value", "Ceiling", "Published"), rows, numbers=3)
    folded = f"<details><summary>All {len(rows)} final metrics</summary>{inside}</details>"
    return f'<div class="card" style="margin-top:18px;padding-top:6px">{folded}</div>'


def _row(verdict: Verdict, meaning: Definition | None) -> str:
    value = "–" if verdict.value is None else shown(verdict.value)
    kind, word = ("good", "✓ pass") if verdict.reached else ("bad", "✗ fail")
    passed = f'<b class="{kind}">{word}</b>'
    return _entry(verdict.metric, meaning, value, verdict.target, passed)


def _entry(metric: str, meaning: Definition | None, value: str, target: str, passed: str) -> str:
    """Two lines of the table: figures, and what they say."""
    ceiling, published = _references(meaning)
    cells = (f"<b>{value}</b>", target, ceiling, published, passed)
    figures = "".join(f"<td class=n>{cell}</td>" for cell in cells)
    note = ""
    if meaning is not None:
        more = text(f"{meaning.measured_on}. {meaning.note}".strip())
        note = f'<tr class="note" title="{more}"><td colspan="6">{text(meaning.text)}</td></tr>'
    return f"<tr><td>{key(metric)}</td>{figures}</tr>{note}"


def _name(metric: str, meaning: Definition | None) -> str:
    """A metric's key, with what it says below it and what to know of it on hover."""
    if meaning is None:
        return key(metric)
    more = f"{meaning.measured_on}. {meaning.note}".strip()
    return f'{key(metric)}<span class="soft" title="{text(more)}">{text(meaning.text)}</span>'


def _references(meaning: Definition | None) -> tuple[str, str]:
    """Ceiling and the original's figure, as far as there are any."""
    if meaning is None:
        return "–", "–"
    known = (meaning.ceiling, meaning.published)
    ceiling, published = ("–" if value is None else shown(value) for value in known)
    return ceiling, published


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
        listed = [(str(k), e.name.upper()) for k, e in enumerate(embeddings)]
        choices += _choice("embedding", listed)
    pairs = [(str(k), f"PC {2 * k + 1}–{2 * k + 2}") for k in range(len(embeddings[0].planes))]
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
