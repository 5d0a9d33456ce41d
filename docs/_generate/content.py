"""Sphinx extension: the written pages are Jinja2 templates, and these are their functions.

No figure, flag or field is copied by hand: ``{{ figure("EXPERIMENT", "PATH", ".2f") }}`` is a
number of its ``results.json``, ``{{ value("MODULE.FUNCTION", ".2f") }}`` the result of a function
of the package, and the other functions return tables.
"""

import ast
import functools
import html
import importlib
import inspect
import json
import math
import pathlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import fields
import jinja2
import losses
from absl import flags as absl_flags
from sphinx.application import Sphinx
from sphinx.errors import SphinxError

from tvae.__main__ import COMMANDS
from tvae.config import default
from tvae.domains import registry
from tvae.domains.domain import SHARED_DEFINITIONS
from tvae.domains.dual_vae import evaluation as dual_vae
from tvae.domains.hyperbolic_vae import evaluation as hyperbolic_vae
from tvae.domains.operations.reporting import PUBLISHED, entries
from tvae.domains.operations.tree import TREE

REPOSITORY = pathlib.Path(__file__).parents[2]
KEYS = (*entries(TREE), *dual_vae.DEFINITIONS, *hyperbolic_vae.DEFINITIONS, *SHARED_DEFINITIONS)
"""Metric keys without the suffix of an encoder."""
_TIME = re.compile(r"[Tt]akes (about [\w\s]+?) on two")


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@functools.cache
def _json(file: str) -> Any:
    return json.loads((REPOSITORY / file).read_text())


@functools.cache
def _pyproject() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def _docstring(path: pathlib.Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _summary(path: pathlib.Path) -> str:
    return " ".join(_docstring(path).partition("\n\n")[0].split())


def _select(value: Any, steps: list[str]) -> Iterator[Any]:
    """Entries of nested dictionaries along a path; ``*`` branches."""
    if not steps:
        yield value
        return
    for key in value if steps[0] == "*" else steps[:1]:
        yield from _select(value[key], steps[1:])


def figure(experiment: str, path: str, form: str, reduce: str = "min") -> str:
    """A number of an experiment's ``results.json``.

    Args:
      experiment: its folder.
      path: keys joined by dots, ``*`` for every key; metric keys hold slashes, no dots.
      form: format specification.
      reduce: "min" or "max", of the numbers that the path selects.

    Returns:
      The number as text.
    """
    choose = {"min": min, "max": max}[reduce]
    results = _json(f"experiments/{experiment}/results.json")
    return format(choose(_select(results, path.split("."))), form).replace("%", " %")


def pivot(experiment: str, path: str, *, rows: str, columns: str, value: str, form: str) -> str:
    """A list of an experiment's ``results.json`` as a table of two of its keys.

    Args:
      experiment: its folder.
      path: key of the list.
      rows: key whose values make the rows.
      columns: key whose values make the columns.
      value: key of the cells; where entries differ in further keys, the smallest of them.
      form: format specification of a cell.
    """
    found = _json(f"experiments/{experiment}/results.json")[path]
    across = dict.fromkeys(entry[columns] for entry in found)
    cells: dict[Any, dict[Any, float]] = {}
    for entry in found:
        row = cells.setdefault(entry[rows], {})
        row[entry[columns]] = min(entry[value], row.get(entry[columns], math.inf))
    lines = [
        [f"{name}", *(format(row[key], form) for key in across)] for name, row in cells.items()
    ]
    return _table([f"{rows} / {columns}", *map(str, across)], lines)


def value(name: str, form: str) -> str:
    """A ceiling of the tree of operations, or a constant, as text."""
    found = pkgutil.resolve_name(name)
    return format(found(TREE) if callable(found) else found, form)


def _flags(module: str) -> str:
    """Table of the flags that a command defines."""
    values = absl_flags.FlagValues()
    importlib.import_module(module).define_flags(values)
    rows = []
    for flag in values.flags_by_module_dict()[module]:
        shown = "" if flag.default in (None, False, "", []) else f"`{flag.default}`"
        meaning = html.escape(" ".join(flag.help.split())).replace("|", "&#124;")
        rows.append([f"`--{flag.name}`", shown, meaning])
    return _table(["flag", "default", "meaning"], rows)


def commands() -> str:
    """Every command: its docstring and its flags."""
    sections = []
    for name, (module, _) in COMMANDS.items():
        text = _docstring(REPOSITORY / f"{module.replace('.', '/')}.py")
        # Command lines stand in docstrings as lines of their own.
        text = re.sub(r"^(python -m .*)$", r"    \1", text, flags=re.MULTILINE)
        sections.append(f"## {name}\n\n{text}\n\n{_flags(module)}")
    return "\n\n".join(sections)


def _number(x: float | None) -> str:
    return "–" if x is None else f"{x:.5g}"


def _metric(key: str) -> str:
    """A section on a metric key: definition, ceiling, published figures."""
    domains = map(registry.get, registry.names())
    found = (domain.define(key, default(domain.name)) for domain in domains)
    entry = next(each for each in found if each is not None)
    known = {name: x for figures in PUBLISHED.values() for name, x in figures.items()}
    figures = {suffix: known.get(key + suffix) for suffix in ("", "_a", "_b")}
    published = ", ".join(
        f"{_number(x)} ({suffix[1:].upper()})" if suffix else _number(x)
        for suffix, x in figures.items()
        if x is not None
    )
    table = _table(
        ["measured on", "better", "ceiling", "published"],
        [[entry.measured_on, entry.better, _number(entry.ceiling), published or "–"]],
    )
    text = f"{entry.text[0].upper()}{entry.text[1:]}."
    return f"### {key}\n\n{text}\n\n{table}\n\n{entry.note}"


def metrics() -> str:
    """All metric keys by prefix."""
    rules = ("195k", "argmax_50k")
    prior = [f"eval/prior_coverage_{rule}_{of}" for rule in rules for of in ("a", "b", "uniform")]
    sections: dict[str, list[str]] = {}
    for key in (*dict.fromkeys(KEYS), *prior):
        sections.setdefault(key.split("/")[0], []).append(_metric(key))
    return "\n\n".join("\n\n".join([f"## {name}", *keys]) for name, keys in sections.items())


def extras() -> str:
    """Optional dependencies by the name to install them by."""
    optional = _pyproject()["project"]["optional-dependencies"]
    rows = [[f"`.[{name}]`", ", ".join(packages)] for name, packages in optional.items()]
    return _table(["extra", "installs"], rows)


def tested_versions() -> str:
    """Versions that the tests pass on, and the figures of seed 0 beside the range of five seeds."""
    found = _json("experiments/versions/results.json")["environments"]
    packages, *configs = next(iter(found.values())).keys()
    rows = [
        [f"`{name}`", *(each[packages][name] for each in found.values()), ""]
        for name in next(iter(found.values()))[packages]
    ]
    for config in configs:
        for key in next(iter(found.values()))[config]:
            measured = [f"{each[config][key]:.5g}" for each in found.values()]
            ends = [figure(config, f"seeds.*.{key}", ".5g", end) for end in ("min", "max")]
            rows.append([f"`{config}` `{key}`", *measured, " to ".join(ends)])
    return _table(["", *(f"Python {name}" for name in found), "seeds 0 to 4"], rows)


def layers() -> str:
    """The layers of the package, from top to bottom."""
    contract = _pyproject()["tool"]["importlinter"]["contracts"][0]
    return "\n".join(f"1. {layer.replace(' | ', ', ')}" for layer in contract["layers"])


def configs() -> str:
    """The configurations and the first line of each."""
    paths = sorted((REPOSITORY / "configs").glob("*.py"))
    rows = [[f"[{path.stem}](configs/{path.stem}.md)", _summary(path)] for path in paths]
    return _table(["config", "what it is"], rows)


def checkpoints() -> str:
    """The shipped parameters, by task and command."""
    rows = []
    for folder in sorted(card.parent for card in REPOSITORY.glob("checkpoints/*/metadata.json")):
        card = _json(f"checkpoints/{folder.name}/metadata.json")
        task = card["config"]["task"]
        rows.append(
            [f"[{folder.name}](checkpoints/{folder.name}.md)", f"`{task}`", f"`{card['command']}`"]
        )
    return _table(["checkpoint", "task", "made by"], rows)


def experiments() -> str:
    """The experiments: question, command and time."""
    rows = []
    for path in sorted((REPOSITORY / "experiments").glob("*/run.py")):
        name = path.parent.name
        time = _TIME.search(_docstring(path))
        takes = " ".join(time.group(1).split()) if time else "–"
        command = f"`python experiments/{name}/run.py`"
        rows.append([f"[{name}](experiments/{name}.md)", _summary(path), command, takes])
    return _table(["experiment", "what it does", "command", "time"], rows)


def notebooks() -> str:
    """The notebooks: title and first paragraph."""
    rows = []
    for path in sorted((REPOSITORY / "experiments" / "notebooks").glob("*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"])
        title, *paragraphs = first.split("\n\n")
        rows.append(
            [f"[{title.lstrip('# ')}](notebooks/{path.stem}.md)", paragraphs[0].replace("\n", " ")]
        )
    return _table(["notebook", "what it shows"], rows)


def names(*paths: str) -> str:
    """Functions, classes and modules, each with the first sentence of its docstring.

    Args:
      paths: dotted, as the reference has them.

    Returns:
      A table; the names are links.
    """
    rows = []
    for path in paths:
        text = inspect.getdoc(pkgutil.resolve_name(path)) or ""
        first = " ".join(text.partition("\n\n")[0].split())
        first = re.sub(r":math:`([^`]*)`", r"$\1$", first)
        first = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", first).replace("``", "`")
        label = ".".join(path.split(".")[-2:])
        # A bar ends a cell of the table, in a formula too.
        first = first.replace(r"\|", r"\Vert ").replace("|", r"\|")
        rows.append([f"{{py:obj}}`{label} <{path}>`", first])
    return _table(["name", "what it is"], rows)


_ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
_ENVIRONMENT.globals = {
    "figure": figure,
    "pivot": pivot,
    "value": value,
    "commands": commands,
    "metrics": metrics,
    "fields": fields.table,
    "terms": losses.terms,
    "inputs": losses.inputs,
    "schedules": losses.schedules,
    "originals": losses.originals,
    "extras": extras,
    "tested_versions": tested_versions,
    "layers": layers,
    "names": names,
    "configs": configs,
    "checkpoints": checkpoints,
    "experiments": experiments,
    "notebooks": notebooks,
}


def expand(markdown: str, page: str) -> str:
    """Render a page.

    Args:
      markdown: its source.
      page: its name, for the message.

    Raises:
      SphinxError: if a function is unknown or fails.
    """
    try:
        return _ENVIRONMENT.from_string(markdown).render()
    except (
        jinja2.TemplateError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ImportError,
        OSError,
    ) as error:
        raise SphinxError(f"{page}: {type(error).__name__}: {error}") from error


def _on_source_read(_: Sphinx, name: str, source: list[str]) -> None:
    """Render the written pages; the generated ones, in folders, hold the repository's own text."""
    if name.split("/")[0] in ("how_to", "ideas", name):
        source[0] = expand(source[0], name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Render pages as they are read."""
    app.connect("source-read", _on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
