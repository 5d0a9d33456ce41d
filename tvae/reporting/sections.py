"""The sections of the page: HTML, and the figures that its places want."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from tvae.domains.aspects import Verdict
from tvae.reporting import comparison
from tvae.reporting.embedding import Embedding
from tvae.reporting.figures import panels, reconstruction, schedules, violins
from tvae.reporting.figures.encoding import shown
from tvae.reporting.figures.panels import Panel
from tvae.reporting.figures.violins import Violins
from tvae.reporting.findings import Finding
from tvae.runs.run import Run


class Section(NamedTuple):
    """A part of the page.

    Attributes:
      name: of its anchor.
      title: in the navigation and above it.
      body: HTML.
      plots: plotly figures by the name of their place.
    """

    name: str
    title: str
    body: str
    plots: Mapping[str, Any] = {}


text = html.escape
_BREAK = re.compile(r"(?<=_)(?=[a-z]{3})")  # not before the suffix of an encoder


def card(title: str, inside: str, *, note: str = "", kind: str = "") -> str:
    """A framed part of a section."""
    soft = f'<p class="soft">{text(note)}</p>' if note else ""
    heading = f"<h3>{text(title)}</h3>" if title else ""
    return f'<div class="card {kind}">{heading}{soft}{inside}</div>'


def place(name: str, kind: str = "") -> str:
    """Where page.js draws a figure."""
    return f'<div class="plot {kind}" data-plot="{text(name)}"></div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> str:
    """A table of HTML cells; the last ``numbers`` columns are aligned right."""

    def row(tag: str, cells: Sequence[str]) -> str:
        first = len(cells) - numbers
        return "".join(
            f"<{tag}{' class=n' if position >= first else ''}>{cell}</{tag}>"
            for position, cell in enumerate(cells)
        )

    lines = "".join(f"<tr>{row('td', cells)}</tr>" for cells in rows)
    return f'<div class="scroll"><table><tr>{row("th", head)}</tr>{lines}</table></div>'


def key(name: str) -> str:
    """A metric key or a field, which may be broken after its words."""
    return f'<span class="key">{_BREAK.sub("<wbr>", text(name))}</span>'


def curves(drawn: Sequence[Panel]) -> Section:
    """Losses and metrics over time."""
    return _panels("curves", "Curves", drawn)


def _panels(name: str, title: str, drawn: Sequence[Panel], before: str = "") -> Section:
    """A grid of panels."""
    plots = {f"{name}-{k}": panels.to_plotly(panel) for k, panel in enumerate(drawn)}
    cards = [
        card(panel.title, place(place_name)) for place_name, panel in zip(plots, drawn, strict=True)
    ]
    return Section(name, title, f'{before}<div class="grid">{"".join(cards)}</div>', plots)


def distributions(name: str, title: str, note: str, drawn: Sequence[Violins]) -> Section:
    """Violins, one figure for each embedding."""
    plots = {f"{name}-{k}": violins.to_plotly(each) for k, each in enumerate(drawn)}
    kind = "wide" if len(drawn) == 1 else ""
    cards = [
        card(each.title, place(place_name, "tall"), kind=kind)
        for place_name, each in zip(plots, drawn, strict=True)
    ]
    body = f'<p class="soft">{text(note)}</p><div class="grid">{"".join(cards)}</div>'
    return Section(name, title, body, plots)


def decoding(embeddings: Sequence[Embedding], titles: Sequence[str]) -> Section:
    """Exact reconstruction by valuation."""
    plots, cards = {}, []
    for embedding, title in zip(embeddings, titles, strict=True):
        if embedding.exact is None:
            cards.append(card(title, '<p class="soft">No decoder reads this embedding.</p>'))
            continue
        name = f"reconstruction-{embedding.name}"
        plots[name] = reconstruction.to_plotly(embedding)
        count, right = reconstruction.shares(embedding)
        note = f"{right.sum():,} of {count.sum():,} operations decode exactly"
        cards.append(card(title, place(name), note=note, kind="wide" if len(titles) == 1 else ""))
    body = f'<div class="grid">{"".join(cards)}</div>'
    return Section("reconstruction", "Reconstruction", body, plots)


def settings(record: Run) -> Section:
    """Schedules and gates."""
    section = _panels("schedules", "Schedules and gates", schedules.panels(record))
    if still := schedules.constants(record):
        said = ", ".join(f"{key(name)} {shown(value)}" for name, value in still.items())
        after = f'<p class="soft after">Constant throughout: {said}.</p>'
        section = section._replace(body=section.body + after)
    names, *_ = schedules.gates(record)
    if not names:
        said = "No gates: every group of this task learns all the time."
        return section._replace(body=f'{section.body}<p class="soft after">{said}</p>')
    note = "Green: the group learns. Grey: homeostasis or the tuning's end has closed it."
    gates = card("Gates", place("gates"), note=note, kind="wide")
    plots = {**section.plots, "gates": schedules.gates_to_plotly(record)}
    return section._replace(body=f"{section.body}<br>{gates}", plots=plots)


def diagnosis(findings: Sequence[Finding], ending: str) -> Section:
    """Which diagnostics fired."""
    rows = []
    for finding in findings:
        fired = "quiet"
        if finding.epoch is not None:
            fired = f'<b class="bad">fired at epoch {finding.epoch:g}</b>'
        watches = key(finding.metric) if finding.metric else '<span class="soft">nothing</span>'
        rows.append((text(finding.rule), watches, text(finding.text), fired))
    body = f"<p>Ran {text(ending)}.</p>" + card(
        "", table(("Rule", "Watches", "Fires when", "Verdict"), rows)
    )
    return Section("diagnostics", "Diagnostics", body)


def beside(records: Mapping[str, Run], verdicts: Sequence[Verdict]) -> Section:
    """Several runs beside each other."""
    first = [verdict.metric for verdict in verdicts]
    ordered = sorted(comparison.table(records), key=lambda row: row[0] not in first)
    rows = [
        (key(name), *("–" if value is None else shown(value) for value in values))
        for name, values in ordered
    ]
    head = ("Final metric", *map(text, records))
    wanted, others = rows[: len(first)] or rows[:12], rows[len(first) or 12 :]
    more = table(head, others, numbers=len(records))
    inside = table(head, wanted, numbers=len(records))
    inside += f"<details><summary>{len(others)} more</summary>{more}</details>" if others else ""
    drawn = comparison.panels(records, first)
    return _panels("comparison", "Comparison", drawn, card("", inside) + "<br>")


def changes(lines: Sequence[str], config: ConfigDict) -> Section:
    """The configuration against its task's default."""
    rows = []
    for line in lines:
        path, _, change = line.partition(": ")
        before, _, after = change.partition(" -> ")
        rows.append((key(path), f"<code>{text(before)}</code>", f"<code>{text(after)}</code>"))
    inside = table(("Field", "Default", "This run"), rows)
    whole = f"<details><summary>the whole configuration</summary><pre><code>{text(str(config))}"
    title = f"{len(rows)} fields differ from the default of task {config.task}"
    body = card(title, f"{inside}{whole}</code></pre></details>")
    return Section("config", "Configuration", body)


def environment(record: Run) -> Section:
    """What the run depends on besides its configuration."""
    run = dict(record.provenance)
    versions = run.pop("versions", {})
    command = run.pop("command", [])
    rows = [
        (text(name.replace("_", " ")), f"<code>{text(str(v))}</code>") for name, v in run.items()
    ]
    rows += [(text(name), f"<code>{text(str(value))}</code>") for name, value in versions.items()]
    line = " ".join(["python -m tvae.main", *command[1:]])
    rows.insert(0, ("command", f"<code>{text(line)}</code>"))
    return Section("environment", "Environment", card("", table(("", ""), rows)))
