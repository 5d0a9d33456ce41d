"""Tables of the configuration's fields: default, range and, from the comments, the meaning."""

import inspect
import re
from types import ModuleType

from tvae import config as config_lib
from tvae.domains import registry
from tvae.engine import config as engine

# "config.loss = loss = ConfigDict()", "stop.drop = drop = ConfigDict()", "a = config.vae_a".
_SECTION = re.compile(r"^ +(\w+)\.(\w+) = (\w+) = ConfigDict|^ +(\w+) = (\w+)\.(\w+)$")
_FIELD = re.compile(r"^ +(\w+)((?:\.\w+)+) = .*?(?:  # (.*))?$")
_COMMENT = re.compile(r"^ +# (.*)$")


def comments(module: ModuleType) -> dict[str, str]:
    """Path of a field to the comment behind it, or to the one above its group.

    Args:
      module: of ``tvae.config``, whose lines read ``section.field = value  # meaning, unit``.
    """
    sections, found, above = {"config": "config"}, {}, ""
    for line in inspect.getsource(module).splitlines():
        if match := _COMMENT.match(line):
            above = f"{above} {match.group(1)}".strip()
            continue
        if match := _SECTION.match(line):
            outer, inner, name, short, long, part = match.groups()
            if (outer or long) in sections:
                sections[name or short] = f"{sections[outer or long]}.{inner or part}"
        if (match := _FIELD.match(line)) and match.group(1) in sections:
            section, name, behind = match.groups()
            path = (sections[section] + name).removeprefix("config.")
            found.setdefault(path, behind or above)
        else:
            above = ""
    return found


def table(task: str) -> str:
    """Fields of a task: its own, and the shared ones whose default it changes.

    Args:
      task: the name of a domain, or "engine" for the shared fields.
    """
    general = dict(config_lib.leaves(engine.fields()))
    if task == "engine":
        defaults, checks, meaning = general, engine.CHECKS, comments(engine)
    else:
        defaults = dict(config_lib.leaves(config_lib.default(task)))
        checks = config_lib.checks(task)
        meaning = comments(registry.get(task).config) | comments(engine)
        defaults = {path: x for path, x in defaults.items() if general.get(path) != x}
        del defaults["task"]
    rows = ["| field | default | expected | meaning |", "|---|---|---|---|"]
    for path, default in defaults.items():
        expected = checks[path].expectation if path in checks else type(default).__name__
        rows.append(f"| `{path}` | `{default!r}` | {expected} | {meaning[path]} |")
    return "\n".join(rows)
