"""What pages write in double braces, so that no figure, flag or field is copied by hand.

``{{ figure FILE PATH FORMAT [min|max] }}``  a number of a JSON file; ``*`` in the path takes all
``{{ value FUNCTION FORMAT }}``              what a function of the package returns
``{{ doors }}``                              every command with its flags
``{{ metrics }}``                            every metric key
``{{ fields TASK }}``                        table of a task's fields
``{{ extras }}``, ``{{ layers }}``           tables from pyproject.toml
``{{ configs }}``, ``{{ checkpoints }}``, ``{{ experiments }}``, ``{{ notebooks }}``,
``{{ rooms }}``                              tables of the generated pages
"""

import ast
import functools
import html
import importlib
import json
import pathlib
import pkgutil
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags as absl_flags
from mkdocs.exceptions import PluginError

from tvae.__main__ import COMMANDS
from tvae.config import default
from tvae.domains import registry
from tvae.domains.dual_vae import evaluation as dual_vae
from tvae.domains.hyperbolic_vae import evaluation as hyperbolic_vae
from tvae.domains.operations.reporting import PUBLISHED, entries
from tvae.domains.operations.tree import TREE

REPOSITORY = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "docs/_generate"))
import fields  # noqa: E402 - beside the documentation, which is no package

KEYS = (*entries(TREE), *dual_vae.DEFINITIONS, *hyperbolic_vae.DEFINITIONS)
"""Metric keys without the suffix of an encoder."""
_MACRO = re.compile(r"\{\{ *(\w+)((?: +[^ }]+)*) *\}\}")
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


def figure(file: str, path: str, form: str, reduce: str = "min") -> str:
    """A number of a JSON file.

    Args:
      file: from the root of the repository.
      path: keys joined by dots, ``*`` for every key; metric keys hold slashes, no dots.
      form: format specification.
      reduce: "min" or "max", of the numbers that the path selects.

    Returns:
      The number as text.
    """
    choose = {"min": min, "max": max}[reduce]
    text = format(choose(_select(_json(file), path.split("."))), form)
    return text.replace("%", " %")


def value(name: str, form: str) -> str:
    """A ceiling of the tree of operations, or a constant, as text."""
    found = pkgutil.resolve_name(name)
    return format(found(TREE) if callable(found) else found, form)


def _flags(module: str) -> str:
    """Table of the flags that a door defines."""
    values = absl_flags.FlagValues()
    importlib.import_module(module).define_flags(values)
    rows = []
    for flag in values.flags_by_module_dict()[module]:
        shown = "" if flag.default in (None, False, "", []) else f"`{flag.default}`"
        meaning = html.escape(" ".join(flag.help.split())).replace("|", "&#124;")
        rows.append([f"`--{flag.name}`", shown, meaning])
    return _table(["flag", "default", "meaning"], rows)


def doors() -> str:
    """Every module that is run as a command: its docstring and its flags."""
    sections = []
    for name, (module, _) in COMMANDS.items():
        path = REPOSITORY / f"{module.replace('.', '/')}.py"
        # Command lines stand in docstrings as lines of their own.
        text = re.sub(r"^(python -m .*)$", r"    \1", _docstring(path), flags=re.MULTILINE)
        sections.append(f"## {name}\n\n{text}\n\n{_flags(module)}")
    return "\n\n".join(sections)


def _number(x: float | None) -> str:
    return "–" if x is None else f"{x:.5g}"


def _metric(key: str) -> str:
    """A section on a metric key: what it says, ceiling, the original's figure."""
    domains = map(registry.get, registry.names())
    found = (domain.define(key, default(domain.name)) for domain in domains)
    entry = next(each for each in found if each is not None)
    figures = {suffix: PUBLISHED.get(key + suffix) for suffix in ("", "_a", "_b")}
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
    for key in (*KEYS, *prior):
        sections.setdefault(key.split("/")[0], []).append(_metric(key))
    return "\n\n".join("\n\n".join([f"## {name}", *keys]) for name, keys in sections.items())


def extras() -> str:
    """Optional dependencies by the name to install them by."""
    optional = _pyproject()["project"]["optional-dependencies"]
    rows = [[f"`.[{name}]`", ", ".join(packages)] for name, packages in optional.items()]
    return _table(["extra", "installs"], rows)


def layers() -> str:
    """The layers of the package, from top to bottom."""
    contract = _pyproject()["tool"]["importlinter"]["contracts"][0]
    return "\n".join(f"1. {layer.replace(' | ', ', ')}" for layer in contract["layers"])


def configs() -> str:
    """The configurations and the first line of each."""
    paths = sorted((REPOSITORY / "configs").glob("*.py"))
    rows = [[f"[{path.stem}]({path.stem}.md)", _summary(path)] for path in paths]
    return _table(["config", "what it is"], rows)


def checkpoints() -> str:
    """The shipped parameters, by task and command."""
    rows = []
    for folder in sorted(card.parent for card in REPOSITORY.glob("checkpoints/*/metadata.json")):
        card = _json(f"checkpoints/{folder.name}/metadata.json")
        task = card["config"]["task"]
        rows.append([f"[{folder.name}]({folder.name}.md)", f"`{task}`", f"`{card['command']}`"])
    return _table(["checkpoint", "task", "made by"], rows)


def experiments() -> str:
    """The experiments: question, command and time."""
    rows = []
    for path in sorted((REPOSITORY / "experiments").glob("*/run.py")):
        name = path.parent.name
        time = _TIME.search(_docstring(path))
        takes = " ".join(time.group(1).split()) if time else "–"
        command = f"`python experiments/{name}/run.py`"
        rows.append([f"[{name}]({name}.md)", _summary(path), command, takes])
    return _table(["experiment", "what it does", "command", "time"], rows)


def notebooks() -> str:
    """The notebooks: title and first paragraph."""
    rows = []
    for path in sorted((REPOSITORY / "experiments" / "notebooks").glob("*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"])
        title, *paragraphs = first.split("\n\n")
        rows.append([f"[{title.lstrip('# ')}]({path.stem}.md)", paragraphs[0].replace("\n", " ")])
    return _table(["notebook", "what it shows"], rows)


def rooms() -> str:
    """The rooms of the package and the first line of each."""
    package = REPOSITORY / "tvae"
    paths = [*package.glob("*/__init__.py"), *package.glob("[!_]*.py")]
    named = {path.parent.name if path.stem == "__init__" else path.stem: path for path in paths}
    rows = [[f"[tvae.{n}]({n}.md)", _summary(path)] for n, path in sorted(named.items())]
    return _table(["room", "what lives there"], rows)


MACROS: dict[str, Callable[..., str]] = {
    "figure": figure,
    "value": value,
    "doors": doors,
    "metrics": metrics,
    "fields": fields.table,
    "extras": extras,
    "layers": layers,
    "configs": configs,
    "checkpoints": checkpoints,
    "experiments": experiments,
    "notebooks": notebooks,
    "rooms": rooms,
}


def expand(markdown: str) -> str:
    """Replace all macros of a page.

    Raises:
      PluginError: naming the macro that is unknown or fails.
    """

    def replace(match: re.Match[str]) -> str:
        name, arguments = match.group(1), match.group(2).split()
        try:
            return MACROS[name](*arguments)
        except (KeyError, TypeError, ValueError, AttributeError, ImportError, OSError) as error:
            raise PluginError(f"{match.group(0)}: {type(error).__name__}: {error}") from error

    return _MACRO.sub(replace, markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Expand a page's macros."""
    return expand(markdown)
