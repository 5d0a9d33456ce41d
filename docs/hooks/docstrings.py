"""Griffe extension: the docstrings' roles and doctests as Markdown.

The sources are written for a reader of the source: ``:func:`name```, ``:math:`x```, ``.. math::``
and bare ``>>>`` examples. This turns them into links, formulas and code blocks.
"""

import re
import textwrap
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|data|mod):`(~?)([\w.]+)`")
_INLINE_MATH = re.compile(r":math:`([^`]+)`", re.DOTALL)
_MATH_BLOCK = re.compile(r"^( *)\.\. math:: (.*\n(?:\1 +\S.*\n)*)", re.MULTILINE)
_EXAMPLE = re.compile(r"^( *)>>> .*\n(?:\1\S.*\n)*", re.MULTILINE)


def _math_block(match: re.Match[str]) -> str:
    indent, body = match.groups()
    return f"{indent}$$\n{textwrap.indent(textwrap.dedent(body.lstrip()), indent)}{indent}$$\n"


def _example(match: re.Match[str]) -> str:
    indent = match.group(1)
    return f"{indent}```pycon\n{match.group(0)}{indent}```\n"


def _target(name: str, scope: griffe.Object) -> str | None:
    """Full name of what a docstring calls by a part of it; None for what has no entry.

    A full name that does not exist is returned as it is: the build then stops at the broken link.
    """
    full = name
    if not name.startswith("tvae."):
        first, _, rest = name.partition(".")
        try:
            full = scope.resolve(first) + (f".{rest}" if rest else "")
        except griffe.NameResolutionError:
            return None
    try:
        found = scope.modules_collection[full]
    except KeyError:
        return full
    return full if found.has_docstring else None


def to_markdown(text: str, scope: griffe.Object) -> str:
    """A docstring of the package as mkdocstrings reads it.

    Args:
      text: the docstring.
      scope: the object that it belongs to, in whose scope names are looked up.

    Returns:
      The same with links, formulas and fenced examples.
    """

    def link(match: re.Match[str]) -> str:
        short, name = match.groups()
        shown = name.rpartition(".")[2] if short else name
        target = _target(name, scope)
        return f"[`{shown}`][{target}]" if target else f"`{shown}`"

    text = _EXAMPLE.sub(_example, text + "\n")
    text = _MATH_BLOCK.sub(_math_block, text)
    text = _INLINE_MATH.sub(lambda match: f"${' '.join(match.group(1).split())}$", text)
    return _ROLE.sub(link, text).rstrip()


class Docstrings(griffe.Extension):
    """Rewrites every docstring once the whole package is loaded."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Walk all objects of the package."""
        pending: list[griffe.Object] = [pkg]
        while pending:
            scope = pending.pop()
            if scope.docstring:
                scope.docstring.value = to_markdown(scope.docstring.value, scope)
            members = scope.members.values()
            pending += [member for member in members if isinstance(member, griffe.Object)]
