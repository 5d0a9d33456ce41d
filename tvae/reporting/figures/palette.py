"""Colours of the report, readable for the colour-blind and on light and dark ground."""

import numpy as np

# Eight hues that stay apart under the common colour deficiencies (after Okabe and Ito, 2008),
# reordered and toned so that none vanishes on white or on near-black.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8f7ee0", "#8a8f98")
MARK = "#8a8f98"  # of lines that belong to no series
GOOD, BAD = "#009e73", "#d55e00"

# Dark to bright along viridis (Smith and van der Walt), without its darkest end.
_SEQUENCE = ("#5c489e", "#3e67a0", "#2a8292", "#1fa187", "#4ac16d", "#a0d439", "#eccd26")


def levels(n: int) -> list[str]:
    """One colour for each of ``n`` ordered levels, from dark to bright.

    >>> levels(2)
    ['#5c489e', '#eccd26']
    """
    anchors = np.asarray([list(bytes.fromhex(colour[1:])) for colour in _SEQUENCE], float)
    position = np.linspace(0, len(anchors) - 1, n)
    rgb = [np.interp(position, np.arange(len(anchors)), channel) for channel in anchors.T]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.rint(rgb).astype(int).T]


def line(position: int) -> str:
    """The colour of a line by its position among others; they repeat after eight."""
    return LINES[position % len(LINES)]


def branch(position: int) -> str:
    """The colour of a branch by its position among others; grey after the hues."""
    return LINES[min(position, len(LINES) - 1)]


def shade(colour: str, position: int) -> str:
    """One of three shades of a colour, so that neighbouring parts of a branch differ.

    >>> [shade("#0072b2", k) for k in range(3)]
    ['#0072b2', '#4c9cc9', '#005686']
    """
    toward, share = ((0, 0.0), (255, 0.3), (0, 0.25))[position % 3]
    rgb = [round((1 - share) * channel + share * toward) for channel in bytes.fromhex(colour[1:])]
    return f"#{rgb[0]:02x}{rgb[1]:02x}{rgb[2]:02x}"
