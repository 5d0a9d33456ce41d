"""The report of a run: one page that needs nothing else, and two figures as PNG files."""

import importlib.resources
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

from tvae.errors import UserError
from tvae.reporting import comparison, embedding
from tvae.reporting.contents import Contents, read_contents
from tvae.reporting.figures import curves, disk, levels, panels, schedules
from tvae.reporting.figures.levels import Shares, Violins
from tvae.reporting.figures.panels import Panel
from tvae.reporting.figures.schedules import Gates
from tvae.runs import files

PAGE, FIGURES = files.REPORT_FILE, files.FIGURES
_TITLES = {
    "summary": "Summary",
    "comparison": "Comparison",
    "curves": "Curves",
    "radii": "Radii",
    "distances": "Distances",
    "reconstruction": "Reconstruction",
    "schedules": "Schedules and gates",
    "diagnostics": "Diagnostics",
    "config": "Configuration",
    "environment": "Environment",
}
_WORD_ENDS = re.compile(r"(?<=_)(?=[a-z]{3})")  # not before the suffix of an encoder


class Plot(NamedTuple):
    """A figure of the page.

    Attributes:
      name: of the element in which page.js draws it.
      title: heading.
      figure: its description; None where there is nothing to draw.
    """

    name: str
    title: str
    figure: Panel | Violins | Shares | Gates | None


def write_report(folder: pathlib.Path, others: Sequence[pathlib.Path] = ()) -> pathlib.Path:
    """Write the report of a run into its folder.

    Args:
      folder: working directory of a run with at least one checkpoint.
      others: working directories of runs to compare it with.

    Returns:
      Path of ``report.html``; ``figures/`` beside it holds the curves and the embeddings as PNG.

    Raises:
      UserError: if a folder does not hold a run, the run does not have a checkpoint, or the folder
        cannot be written.
    """
    contents = read_contents(folder, others)
    drawn = describe_figures(contents)
    text = render(contents, drawn)
    lines = [plot.figure for plot in drawn["curves"] if isinstance(plot.figure, Panel)]
    pictures = {"curves": panels.draw_grid(lines)}
    if contents.shown is not None:
        pictures["disk"] = disk.draw_disks(contents.shown, contents.embeddings)
    try:
        _save_pictures(folder / FIGURES, pictures)
        files.write_text(folder / PAGE, text)
    except OSError as error:
        raise UserError(f"workdir {folder}: cannot be written ({error.strerror})") from error
    return folder / PAGE


def describe_figures(contents: Contents) -> dict[str, list[Plot]]:
    """The figures of the page by section, or "gates"; a section without an entry is left out."""
    run, groups = contents.run, contents.domain.curves
    lines = curves.make_panels(run, groups, contents.findings, contents.ceiling)
    drawn = {
        "curves": _number("curves", lines),
        "schedules": _number("schedules", schedules.make_panels(run)),
    }
    if contents.compared:
        first = [verdict.metric for verdict in contents.verdicts]
        beside = comparison.make_panels(contents.compared, groups, first)
        drawn["comparison"] = _number("comparison", beside)
    if gates := schedules.read_gates(run):
        drawn["gates"] = [Plot("gates", "Gates", gates)]
    if shown := contents.shown:
        titled = [(each, contents.title(each)) for each in contents.embeddings]
        drawn["reconstruction"] = [
            Plot(
                f"reconstruction-{each.name}",
                title,
                None if each.exact is None else levels.reconstruction(shown, each, title),
            )
            for each, title in titled
        ]
        if shown.pairs is not None:
            drawn["radii"] = _number("radii", [levels.radii(shown, *pair) for pair in titled])
            far = [levels.distances(shown, *pair) for pair in titled]
            drawn["distances"] = _number("distances", far)
    return drawn


def _number(section: str, figures: Iterable[Panel | Violins]) -> list[Plot]:
    """Figures of a section, named by their positions."""
    return [Plot(f"{section}-{k}", figure.title, figure) for k, figure in enumerate(figures)]


def render(contents: Contents, drawn: Mapping[str, Sequence[Plot]]) -> str:
    """The page with style, scripts, figures and plotly.js inside."""
    optional = {"comparison", "radii", "distances", "reconstruction"} - drawn.keys()
    plots = {
        plot.name: plot.figure.to_plotly()
        for group in drawn.values()
        for plot in group
        if plot.figure is not None
    }
    shown = contents.shown
    # A latent space of one dimension has no plane to draw.
    disks = [each for each in contents.embeddings if shown is not None and each.planes]
    figures = {
        "plots": plots,
        "items": disk.encode_items(shown) if shown is not None and disks else None,
        "disks": [disk.encode_disk(shown, each) for each in disks if shown is not None],
    }
    first = [verdict.metric for verdict in contents.verdicts]
    n_planes = len(disks[0].planes) if disks else 0
    template = _environment().get_template("page.html")
    return template.render(
        contents=contents,
        run=contents.run,
        drawn=drawn,
        disks=disks,
        planes=[f"PC {2 * k + 1}–{2 * k + 2}" for k in range(n_planes)],
        pairs_per_level=embedding.PAIRS,
        compared_metrics=comparison.make_rows(contents.compared, first),
        constants=schedules.constants(contents.run),
        sections={name: title for name, title in _TITLES.items() if name not in optional},
        figures=figures,
        style=_resource("page.css"),
        script=_resource("page.js"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - a script of plotly's own package
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tvae.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"key": _breakable, "number": format_value}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    return environment


def format_value(value: Any) -> str:
    """A metric's value in at most five significant digits.

    >>> format_value(0.83205029), format_value([1, 2]), format_value(float("nan"))
    ('0.83205', '2 values', 'nan')
    """
    if value is None:
        return "–"
    return f"{len(value)} values" if isinstance(value, list) else f"{value:.5g}"


def _breakable(name: str) -> Markup:
    """A metric key or field whose line may break after its words."""
    words = Markup("<wbr>").join(_WORD_ENDS.split(name))
    return Markup('<span class="key">{}</span>').format(words)


def _resource(name: str) -> Markup:
    """A style sheet or script of the package, which is not escaped."""
    text = (importlib.resources.files("tvae.reporting") / "templates" / name).read_text("utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


def _save_pictures(folder: pathlib.Path, figures: Mapping[str, Figure]) -> None:
    """Write each figure as a PNG file; a reader sees the old one or the new, never a part."""
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        with files.replacing(folder / f"{name}.png") as temporary:
            FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": None})
        figure.clear()
