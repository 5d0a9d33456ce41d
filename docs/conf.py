"""Sphinx configuration: ``sphinx-build -W -b html docs OUT``.

Pages are Jinja2 templates: ``_generate/content.py`` holds the functions that they may call, so that
no figure, flag or field is copied by hand. ``_generate/pages.py`` writes the pages that consist of
files of the repository.
"""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent / "_generate")]

import pages  # noqa: E402 - of the folder just added

project = "tvae"
author = copyright = "The tvae developers"  # noqa: A001 - Sphinx's name
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
    "pages",
    "content",
]
exclude_patterns = ["_generate"]
nitpicky = True
# Other packages and the members of internal ones have no entry here; any other name must have one.
nitpick_ignore_regex = [
    ("py:.*", r"(?!tvae\.).*|tvae\.(" + "|".join(pages.INTERNAL) + r")\..+"),
    ("py:class", r"tvae\.losses\.(registry\.Function|memory\.Tree)"),  # type variables
]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# A public name such as tvae.UserError has two entries.
suppress_warnings = ["ref.python"]

napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
autodoc_use_type_comments = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "tvae"
html_static_path = ["_static"]
html_css_files = ["extra.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
toc_object_entries = False  # they make the navigation of every page slow
html_use_index = False
html_domain_indices = False
