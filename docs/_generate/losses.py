"""Tables of the loss terms and of what they replace, from the registry."""

import pathlib
import runpy

from tvae.domains import weights
from tvae.losses import registry

REPLACED: dict[str, str] = runpy.run_path(str(pathlib.Path(__file__).with_name("replaced.py")))[
    "REPLACED"
]


def _terms() -> list[registry.Term]:
    """The library's own terms, those of the domains included."""
    from tvae.domains import registry as domains

    for name in domains.names():
        domains.get(name)
    found = registry.all_terms().values()
    return sorted(
        (t for t in found if t.function.__module__.startswith("tvae.")), key=lambda t: t.name
    )


def _link(term: registry.Term) -> str:
    function = term.function
    return f"{{py:func}}`{term.name} <{function.__module__}.{function.__name__}>`"


def _short(default: object) -> str:
    """A default as in Python, or the length of a table."""
    several = isinstance(default, tuple) and len(default) > 8
    return f"{len(default)} numbers" if several else repr(default)


def _options(term: registry.Term) -> str:
    rows = (
        f"`{name}` = {_short(field.default)}{' (traced)' if field.traced else ''}: {field.meaning}"
        for name, field in term.options.items()
    )
    return "; ".join(rows) or "none"


def terms() -> str:
    """All terms with inputs, options, unit and source."""
    lines = ["| term | inputs | options | unit | per |", "|---|---|---|---|---|"]
    for term in _terms():
        optional = (f"[{name}]" for name in term.optional)
        inputs = ", ".join((*term.inputs, *optional))
        per = "rows" if term.per == "item" else "batch"
        lines.append(f"| {_link(term)} | {inputs} | {_options(term)} | {term.unit} | {per} |")
    return "\n".join(lines)


def inputs() -> str:
    """The common inputs."""
    rows = (f"| `{name}` | {meaning} |" for name, meaning in registry.INPUTS.items())
    return "\n".join(["| input | what it is |", "|---|---|", *rows])


def schedules() -> str:
    """Kinds of schedules with their numbers."""
    return "; ".join(
        f"`{kind}` ({', '.join(numbers)})" for kind, (_, numbers) in weights.SCHEDULES.items()
    )


def originals() -> str:
    """Classes of the reference system, the functions in their place, and how they compare."""
    found: dict[str, list[str]] = {}
    status: dict[str, str] = {}
    for term in _terms():
        for name, kind in term.was.items():
            found.setdefault(name, []).append(_link(term))
            status[name] = kind
    rows = {name: f"{', '.join(links)} | {status[name]}" for name, links in found.items()}
    rows |= {name: f"{words} | replaced" for name, words in REPLACED.items() if name not in rows}
    lines = (f"| `{name}` | {row} |" for name, row in sorted(rows.items(), key=str))
    return "\n".join(["| class | here | status |", "|---|---|---|", *lines])
