"""The report: reads a run, measures its embedding once, writes one page and some pictures."""

import importlib.resources
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

from tvae.errors import UserError
from tvae.reporting import sections, summary
from tvae.reporting.contents import Contents, read
from tvae.reporting.figures import (
    curves,
    disk,
    distances,
    panels,
    radii,
    reconstruction,
    schedules,
    violins,
)
from tvae.reporting.sections import Section
from tvae.runs import files

PAGE, FIGURES = files.REPORT_FILE, files.FIGURES
_DPI = 120

_RADII = (
    "In a ball that carries the tree the radius falls with the valuation; a level without any "
    "spread is a bare shell."
)
_DISTANCES = (
    "400 random pairs for each 3-adic distance. In an embedding of the tree the distance falls "
    "from left to right, and the violins of neighbours do not overlap."
)


def write(folder: pathlib.Path, others: Sequence[pathlib.Path] = ()) -> pathlib.Path:
    """Write the report of a run into its folder.

    Args:
      folder: working directory of a run with at least one checkpoint.
      others: working directories of runs to compare it with.

    Returns:
      Path of ``report.html``; figures lie as PNG files in ``figures/`` beside it.

    Raises:
      UserError: if a folder holds no run, the run no checkpoint, or nothing can be written.
    """
    contents = read(folder, others)
    text = render(contents)
    try:
        _save(folder / FIGURES, pictures(contents))
        files.write_text(folder / PAGE, text)
    except OSError as error:
        raise UserError(f"workdir {folder}: cannot be written ({error.strerror})") from error
    return folder / PAGE


def render(contents: Contents) -> str:
    """The page, complete in itself: style, figures and plotly.js inside."""
    run = contents.run
    parts = _sections(contents)
    figures = {
        "plots": {name: plot for part in parts for name, plot in part.plots.items()},
        "disks": [disk.to_page(each) for each in contents.embeddings],
    }
    links = "".join(f'<li><a href="#{part.name}">{part.title}</a></li>' for part in parts)
    body = "".join(_in_page(part) for part in parts)
    head = summary.header(run, contents.verdicts, contents.ending)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{sections.text(run.config_name)} · tvae report</title>"
        f'<link rel="icon" href="data:,"><style>{_resource("page.css")}</style></head><body>'
        f"{head}<nav><ul>{links}</ul></nav><main>{body}</main>"
        "<footer>Written by <code>python -m tvae report</code>. Drag to zoom, double-click to "
        "reset, click a legend to hide a line.</footer>"
        f"<script>{get_plotlyjs()}</script>"
        f'<script id="figures" type="application/json">{_json(figures)}</script>'
        f"<script>{_resource('page.js')}</script></body></html>\n"
    )


def pictures(contents: Contents) -> dict[str, Figure]:
    """The figures of the page as matplotlib draws them, by file name."""
    run, embeddings = contents.run, contents.embeddings
    made = {
        "curves": panels.draw(_curves(contents), columns=3),
        "disk": disk.draw(embeddings),
        "radii": violins.draw([radii.violins(*pair) for pair in contents.titled]),
        "distances": violins.draw([distances.violins(*pair) for pair in contents.titled]),
    }
    decoded = [each for each in embeddings if each.exact is not None]
    if decoded:
        made["reconstruction"] = reconstruction.draw(decoded)
    if settings := schedules.panels(run):
        made["schedules"] = panels.draw(settings, columns=3)
    if schedules.gates(run)[0]:
        made["gates"] = schedules.draw_gates(run)
    return made


def _curves(contents: Contents) -> list[panels.Panel]:
    return curves.panels(contents.run, contents.findings, contents.ceiling)


def _sections(contents: Contents) -> list[Section]:
    run, embeddings, titled = contents.run, contents.embeddings, contents.titled
    compared = []
    if contents.compared:
        compared.append(sections.beside(contents.compared, contents.verdicts))
    return [
        summary.section(run, contents.verdicts, embeddings, contents.about),
        *compared,
        sections.curves(_curves(contents)),
        sections.distributions("radii", "Radii", _RADII, [radii.violins(*pair) for pair in titled]),
        sections.distributions(
            "distances", "Distances", _DISTANCES, [distances.violins(*pair) for pair in titled]
        ),
        sections.decoding(embeddings, [title for _, title in titled]),
        sections.settings(run),
        sections.diagnosis(contents.findings, contents.ending),
        sections.changes(contents.changes, contents.config),
        sections.environment(run),
    ]


def _in_page(part: Section) -> str:
    # The summary stands under the page's own title.
    heading = "" if part.name == "summary" else f"<h2>{part.title}</h2>"
    return f'<section id="{part.name}">{heading}{part.body}</section>'


def _resource(name: str) -> str:
    return (importlib.resources.files("tvae.reporting") / name).read_text("utf-8")


def _json(value: Any) -> str:
    """JSON that no browser takes for the end of its script."""
    return json.dumps(value, separators=(",", ":")).replace("</", "<\\/")


def _save(folder: pathlib.Path, figures: Mapping[str, Figure]) -> None:
    """Write each figure as a PNG file; a reader sees the old one or the new, never a part."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        with files.replacing(folder / f"{name}.png") as temporary:
            FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": None})
        figure.clear()
