"""Formulas as MathML, written when the site is built: a page needs neither a script nor a network.

arithmatex marks the formulas; this replaces each mark.
"""

import html
import re
from typing import Any

from latex2mathml import converter
from mkdocs.exceptions import PluginError

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# What the converter does not know it writes as text.
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
      PluginError: for a command that the converter does not know.
    """
    mathml = converter.convert(formula, display=display)
    unknown = _UNKNOWN.search(mathml)
    if unknown:
        raise PluginError(f"formula {formula!r}: unknown command {unknown.group(1)}")
    return _FUNCTION.sub(r'\1<mspace width="0.17em"/>', mathml)


def on_page_content(content: str, **_: Any) -> str:
    """Replace the formulas of a page."""

    def replace(match: re.Match[str]) -> str:
        display = "inline" if match.group(1) == "span" else "block"
        return to_mathml(html.unescape(match.group(2)).strip(), display=display)

    return _FORMULA.sub(replace, content)
