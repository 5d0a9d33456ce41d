"""Sphinx extension: pages that consist of files of the repository, written before each build.

One page for each file of ``configs/``, folder of ``checkpoints/`` and ``experiments/``, notebook,
and package of ``tvae``; ``docs/<section>.md`` lists them by a glob.
"""

import ast
import base64
import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

REPOSITORY = pathlib.Path(__file__).parents[2]
NOTEBOOKS = REPOSITORY / "experiments" / "notebooks"

Pages = dict[str, str | bytes]


def config_pages() -> Pages:
    """The docstring of each configuration, which holds its command and figures, and the file."""
    pages: Pages = {}
    for path in sorted((REPOSITORY / "configs").glob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        docstring, end = ast.get_docstring(tree), tree.body[0].end_lineno
        code = "\n".join(text.splitlines()[end:]).strip()
        pages[f"configs/{path.stem}.md"] = (
            f"# {path.stem}\n\n{docstring}\n\n"
            f"## The file\n\nWhat it leaves alone is on the page of [all fields](../fields.md).\n\n"
            f"```python\n{code}\n```\n"
        )
    return pages


def checkpoint_pages() -> Pages:
    """The model cards."""
    cards = sorted((REPOSITORY / "checkpoints").glob("*/README.md"))
    return {f"checkpoints/{card.parent.name}.md": card.read_text() for card in cards}


def _shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _range(values: list[Any]) -> str:
    low, high = (_shown(choose(values)) for choose in (min, max))
    return low if low == high else f"{low} to {high}"


def _result_rows(results: list[dict[str, Any]], name: str = "") -> Iterator[tuple[str, str]]:
    """Rows of a table: equal paths of several results beside each other as their range."""
    for key in results[0]:
        values = [result[key] for result in results if key in result]
        path = f"{name} / {key}" if name else key
        if isinstance(values[0], dict) and values[0] and all(map(str.isdigit, values[0])):
            yield from _result_rows([seed for value in values for seed in value.values()], name)
        elif isinstance(values[0], dict):
            yield from _result_rows(values, path)
        elif not isinstance(values[0], list) and key != "command":
            yield path, _range(values)


def result_tables(results: dict[str, Any]) -> str:
    """The numbers of a ``results.json``, over seeds their smallest and largest."""
    header = "value"
    if "seeds" in json.dumps(results):
        header = "smallest to largest over the seeds"
    if "seeds" in results:  # worst and spread are made of the seeds
        results = {key: results[key] for key in results if key not in ("worst", "spread")}
    rows = [f"| {name} | {value} |" for name, value in _result_rows([results])]
    tables = ["\n".join([f"| figure | {header} |", "|---|---|", *rows])]
    for name, entries in results.items():
        if isinstance(entries, list) and isinstance(entries[0], dict):
            lines = [entries[0], ["---"] * len(entries[0])]
            lines += [[_shown(value) for value in entry.values()] for entry in entries]
            tables += [f"### {name}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(tables)


def experiment_pages() -> Pages:
    """README, pictures and figures of each experiment, and what its script says of its cost."""
    pages: Pages = {}
    for folder in sorted(path.parent for path in REPOSITORY.glob("experiments/*/run.py")):
        parts = [(folder / "README.md").read_text()]
        for picture in sorted(folder.glob("*.png")):
            place = f"../../experiments/{folder.name}/{picture.name}"
            if f"]({picture.name})" in parts[0]:
                parts[0] = parts[0].replace(f"]({picture.name})", f"]({place})")
            else:
                parts.append(f"![{picture.stem}]({place})")
        docstring = ast.get_docstring(ast.parse((folder / "run.py").read_text())) or ""
        # Summary and command come first, and the README has both.
        parts += ["## The run", *docstring.split("\n\n")[2:]]
        if (folder / "results.json").exists():
            parts += [
                "## Figures",
                result_tables(json.loads((folder / "results.json").read_text())),
            ]
        pages[f"experiments/{folder.name}.md"] = "\n\n".join(parts)
    return pages


def _outputs(cell: dict[str, Any], picture: str, pages: Pages) -> Iterator[str]:
    """Outputs of a notebook's cell as Markdown; pictures go to ``pages``."""
    for number, output in enumerate(cell["outputs"]):
        data = output.get("data", {})
        if "image/png" in data:
            name = f"{picture}_{number}.png"
            pages[f"notebooks/{name}"] = base64.b64decode(data["image/png"])
            yield f"![output]({name})\n"
        elif text := "".join(output.get("text", data.get("text/plain", []))):
            yield f"```text\n{text.rstrip()}\n```\n"


def notebook_pages() -> Pages:
    """The committed notebooks with their outputs."""
    pages: Pages = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        parts = []
        for number, cell in enumerate(json.loads(path.read_text())["cells"]):
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(text + "\n")
            else:
                parts.append(f"```python\n{text}\n```\n")
                parts += _outputs(cell, f"{path.stem}_{number}", pages)
        pages[f"notebooks/{path.stem}.md"] = "\n".join(parts)
    return pages


INTERNAL = ("artifacts", "cli", "convert", "exports", "reporting", "runs")
"""Packages that only commands call: their modules are listed with their docstrings alone."""


def reference_pages() -> Pages:
    """One page for each package of ``tvae``, and one for the modules beside the packages."""
    pages: Pages = {}
    for folder in sorted(path.parent for path in (REPOSITORY / "tvae").rglob("__init__.py")):
        parts = folder.relative_to(REPOSITORY).parts
        name = ".".join(parts)
        members = "   :no-members:\n" if parts[1:2] and parts[1] in INTERNAL else ""
        # The package itself imports its public names.
        own = "   :imported-members:\n" if name == "tvae" else "   :no-members:\n"
        modules = [f"{name}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]
        text = [name, "=" * len(name), "", f".. automodule:: {name}\n{own}"]
        for module in modules:
            text += [module, "-" * len(module), "", f".. automodule:: {module}\n{members}"]
        pages[f"reference/{name}.rst"] = "\n".join(text)
    return pages


def write(app: Sphinx) -> None:
    """Write all pages below the source folder, in place of those of the build before."""
    makers = (config_pages, checkpoint_pages, experiment_pages, notebook_pages, reference_pages)
    for make in makers:
        pages = make()
        for folder in {name.split("/")[0] for name in pages}:
            shutil.rmtree(app.srcdir / folder, ignore_errors=True)
            (app.srcdir / folder).mkdir()
        for name, content in pages.items():
            data = content if isinstance(content, bytes) else content.encode()
            (app.srcdir / name).write_bytes(data)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages as soon as a build starts."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
