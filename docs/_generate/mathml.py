"""Sphinx extension: formulas as MathML in the HTML, so that a page needs no script or network."""

import re

from docutils import nodes
from latex2mathml import converter
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.writers.html5 import HTML5Translator

# The converter writes an unknown command as text.
_UNKNOWN = re.compile(r"<m\w+[^>]*>(\\[^<]*)</m")
# A function's name without brackets needs a space before its argument.
_FUNCTION = re.compile(r"(?<!<msub>)(<mi>(?:log|ln|sin|cos)</mi>)(?!<mo[^>]*>&#x00028;)")


def to_mathml(formula: str, *, display: str) -> str:
    r"""MathML of a LaTeX formula.

    Args:
      formula: LaTeX without its delimiters.
      display: "inline" or "block".

    Returns:
      A ``math`` element.

    Raises:
      SphinxError: for a command that the converter does not support.
    """
    mathml = converter.convert(formula, display=display)
    unknown = _UNKNOWN.search(mathml)
    if unknown:
        raise SphinxError(f"formula {formula!r}: unknown command {unknown.group(1)}")
    return _FUNCTION.sub(r'\1<mspace width="0.17em"/>', mathml)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(to_mathml(node.astext(), display="inline"))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(to_mathml(node.astext(), display="block"))
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer as ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
