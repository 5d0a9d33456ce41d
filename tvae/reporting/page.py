"""Pages that need nothing else: the report of a run, and a comparison of several."""

import contextlib
import importlib.util
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from ml_collections import ConfigDict

from tvae.errors import UserError
from tvae.reporting import comparison, embedding, listing
from tvae.reporting.comparison import Compared
from tvae.reporting.contents import Contents, read_contents
from tvae.reporting.figures import curves, levels, resources, scatter, schedules
from tvae.reporting.figures.disk import Disk
from tvae.reporting.figures.levels import Shares, Violins
from tvae.reporting.figures.panels import Panel
from tvae.reporting.figures.schedules import Gates
from tvae.reporting.objective import term_rows
from tvae.runs import files

PAGE, FIGURES = files.REPORT_FILE, files.FIGURES
_TITLES = {
    "summary": "Summary",
    "curves": "Curves",
    "objective": "Objective",
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
      name: of the element in which it is drawn.
      title: heading.
      figure: its description; None where there is nothing to draw.
      text: what a reader needs beside the figure, or in place of it.
    """

    name: str
    title: str
    figure: Panel | Violins | Shares | Gates | None
    text: str = ""


def write_report(folder: pathlib.Path) -> pathlib.Path:
    """Write the report of a run into its folder.

    Args:
      folder: working directory of a run with at least one checkpoint.

    Returns:
      Path of ``report.html``; where matplotlib is installed, ``figures/`` beside it holds the
      embeddings as PNG.

    Raises:
      UserError: if the folder does not hold a run, the run does not have a checkpoint, or the
        folder cannot be written.
    """
    contents = read_contents(folder)
    drawn = describe_figures(contents)
    with _writing(folder):
        files.write_text(folder / PAGE, render(contents, drawn))
        if contents.disk is not None and importlib.util.find_spec("matplotlib") is not None:
            _save_pictures(folder / FIGURES, contents.disk)
    return folder / PAGE


def write_comparison(
    folders: Sequence[pathlib.Path], output: pathlib.Path | None = None
) -> pathlib.Path:
    """Write a page on several runs; their own reports stay as they are.

    Args:
      folders: working directories, the first of which gets the page.
      output: file to write instead.

    Returns:
      Path of the page, ``comparison.html`` in the first folder without ``output``.

    Raises:
      UserError: if a folder does not hold a run or is given twice, the output is the report of a
        run, or it cannot be written.
    """
    target = folders[0] / files.COMPARISON_FILE if output is None else output
    if target.name == PAGE and (target.parent / files.CONFIG_FILE).exists():
        raise UserError(f"--output: {target} is the run's own report")
    text = render_comparison(comparison.read_runs(folders))
    with _writing(target.parent):
        files.write_text(target, text)
    return target


@contextlib.contextmanager
def _writing(folder: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"workdir {folder}: cannot be written ({error.strerror})") from error


def describe_figures(contents: Contents) -> dict[str, list[Plot]]:
    """The figures of the page by section, or "gates"; a section without an entry is left out."""
    run, groups = contents.run, contents.domain.curves
    lines = curves.make_panels(
        run, groups, contents.findings, contents.ceiling, alarm=not contents.passed
    )
    drawn = {
        "curves": _number("curves", lines),
        "schedules": _number("schedules", schedules.make_panels(run)),
    }
    if gates := schedules.read_gates(run):
        text = "All parameter groups are trained in every epoch." if gates.always_open else ""
        drawn["gates"] = [Plot("gates", "Gates", None if text else gates, text)]
    if shown := contents.shown:
        titled = [(each, contents.title(each)) for each in contents.embeddings]
        drawn["reconstruction"] = [_reconstruction(contents, *pair) for pair in titled]
        if shown.pairs is not None:
            drawn["radii"] = _number("radii", [levels.radii(shown, *pair) for pair in titled])
            far = [levels.distances(shown, *pair) for pair in titled]
            drawn["distances"] = _number("distances", far)
    return drawn


def _reconstruction(contents: Contents, each: embedding.Embedding, title: str) -> Plot:
    """Shares of the items that decode, drawn only where some do not."""
    name, shown = f"reconstruction-{each.name}", contents.shown
    if each.exact is None or shown is None:
        return Plot(name, title, None, "No decoder reads this embedding.")
    count, right = each.exact.size, int(each.exact.sum())
    items = shown.items.name
    if right == count:
        return Plot(name, title, None, f"All {count:,} {items} decode exactly.")
    text = f"{right:,} of {count:,} {items} decode exactly."
    return Plot(name, title, levels.reconstruction(shown, each, title), text)


def _number(section: str, figures: Iterable[Panel | Violins]) -> list[Plot]:
    """Figures of a section, named by their positions."""
    return [Plot(f"{section}-{k}", figure.title, figure) for k, figure in enumerate(figures)]


def _described(drawn: Mapping[str, Sequence[Plot]], disks: Sequence[Disk]) -> dict[str, Any]:
    """What the scripts of a page draw."""
    plots = {
        plot.name: plot.figure.to_json()
        for group in drawn.values()
        for plot in group
        if plot.figure is not None
    }
    return {"plots": plots, "disks": [disk.to_json() for disk in disks]}


def render(contents: Contents, drawn: Mapping[str, Sequence[Plot]]) -> str:
    """The report with style, scripts and figures inside."""
    optional = {"radii", "distances", "reconstruction"} - drawn.keys()
    disk, run = contents.disk, contents.run
    terms = term_rows(run.last_row, contents.config.get("objective", ConfigDict()).to_dict())
    optional |= set() if terms else {"objective"}
    return _render(
        "page.html",
        _described(drawn, [] if disk is None else [disk]),
        contents=contents,
        run=run,
        drawn=drawn,
        disk=disk,
        terms=terms,
        load_line=f"model = tvae.load({_shortest(run.folder)!r})",
        quantities=listing.once(run.final, contents.define),
        pairs_per_level=embedding.PAIRS,
        still=curves.constants(run, contents.domain.curves),
        constants=schedules.constants(run),
        sections=_sections(contents, optional),
    )


def _sections(contents: Contents, absent: Set[str]) -> dict[str, str]:
    """Anchors and titles; the domain's own sections follow the summary."""
    first, *others = ((name, title) for name, title in _TITLES.items() if name not in absent)
    own = ((name, exhibit.title) for name, exhibit in contents.exhibits.items())
    return dict([first, *own, *others])


def render_comparison(runs: Sequence[Compared]) -> str:
    """The comparison with style, scripts and figures inside."""
    drawn = {"curves": _number("curves", comparison.make_panels(runs))}
    disks = [(each.label, each.disk) for each in runs if each.disk is not None]
    return _render(
        "comparison.html",
        _described(drawn, [disk for _, disk in disks]),
        runs=runs,
        rows=comparison.make_rows(runs),
        differences=comparison.make_differences(runs),
        disk_labels=[label for label, _ in disks],
        drawn=drawn,
    )


def _shortest(folder: pathlib.Path) -> str:
    """The path from the working directory if it lies below it, or else the whole."""
    here = pathlib.Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def _render(template: str, figures: Mapping[str, Any], **values: Any) -> str:
    scripts = ("base.js", "charts.js", "disk.js", "page.js")
    return (
        make_environment()
        .get_template(template)
        .render(
            **values,
            figures=figures,
            style=_resource("page.css"),
            script=Markup("\n").join(map(_resource, scripts)),
        )
    )


def make_environment() -> jinja2.Environment:
    """Where the templates of all pages come from; what is inserted is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tvae.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"key": _breakable, "number": format_value, "scatter": scatter.draw}
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
    return Markup(resources.read(name))  # noqa: S704 - a file of this package


def _save_pictures(folder: pathlib.Path, disk: Disk) -> None:
    """Write each embedding as a PNG file."""
    folder.mkdir(exist_ok=True)
    several = len(disk.embeddings) > 1
    for which, each in enumerate(disk.embeddings):
        disk.save(folder / (f"disk_{each.name}.png" if several else "disk.png"), which=which)
