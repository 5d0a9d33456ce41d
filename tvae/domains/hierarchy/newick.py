"""Newick trees: ``((lion,tiger)cat,dog)mammal;``."""

import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from tvae.domains.hierarchy.hierarchy import Hierarchy, from_parents
from tvae.domains.hierarchy.tables import refuse, repeated
from tvae.errors import UserError

# Quoted labels may hold any sign; '' is a quotation mark inside. Comments stand in brackets.
_TOKEN = re.compile(r"\s*('(?:[^']|'')*'|\[[^\]]*\]|[(),;]|:[^(),;\[]*|[^\s(),;:\[']+)")


def read_newick(path: str | os.PathLike[str]) -> Hierarchy:
    """The first tree of a Newick file; lengths and comments are left out.

    Nodes without a label are named by their number, ``node 0`` being the root.

    Raises:
      UserError: naming the line of what is not Newick, or a label that is there twice.
    """
    file = pathlib.Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from error
    if not text.strip():
        raise UserError(f"{file}: expected a tree such as ((a,b)c,d)e; got an empty file")
    tree = _Tree()
    for line, sign in _tokens(file, text):
        if fault := tree.take(sign, line):
            raise UserError(f"{file}:{line}: {fault}")
    if tree.current != 0:
        raise UserError(f"{file}: expected as many ')' as '('")
    labels = [name or f"node {i}" for i, name in enumerate(tree.names)]
    twice = repeated(np.asarray(labels))
    refuse(file, np.asarray(tree.lines), twice, lambda k: f"label {labels[k]!r} is there already")
    return from_parents(labels, tree.parent)


def _tokens(file: pathlib.Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and sign of each token up to the semicolon."""
    at, line, sign = 0, 1, ""
    while sign != ";":
        token = _TOKEN.match(text, at)
        if token is None:
            rest = text[at:].strip()[:20]
            got = repr(rest) if rest else "the end of the file without ';'"
            raise UserError(f"{file}:{line}: expected a tree in Newick format, got {got}")
        line += text.count("\n", at, token.end())
        at, sign = token.end(), token[1]
        yield line, sign


class _Tree:
    """A tree that grows token by token; node 0 is the root."""

    def __init__(self) -> None:
        self.names, self.parent, self.lines, self.current = [""], [-1], [0], 0

    def take(self, sign: str, line: int) -> str:
        """Take a token; what is wrong with it, or ""."""
        if sign == "(":
            self._grow(self.current)
        elif sign in ",)":
            above = self.parent[self.current]
            if above < 0:
                return f"{sign!r} outside of all '('"
            self.current = above
            if sign == ",":
                self._grow(above)
        elif sign[0] not in "[:;":
            if self.names[self.current]:
                return f"a second label {sign!r} of one node"
            quoted = sign[0] == "'"
            self.lines[self.current] = line
            self.names[self.current] = sign[1:-1].replace("''", "'") if quoted else sign
        return ""

    def _grow(self, above: int) -> None:
        self.names.append("")
        self.parent.append(above)
        self.lines.append(0)
        self.current = len(self.names) - 1
