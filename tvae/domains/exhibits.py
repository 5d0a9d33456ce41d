"""Tables and plots that a kind of model adds to its report: values alone, drawn elsewhere."""

from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    """A table of texts.

    Attributes:
      title: heading.
      columns: names.
      rows: one text for each column.
      text: what a reader needs beside it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: str = ""


class Series(NamedTuple):
    """Points, or a line through points.

    Attributes:
      name: in the legend; "" for none.
      x: ``(n,)``.
      y: ``(n,)``.
      line: whether the points are joined.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    line: bool = False


class Plot(NamedTuple):
    """Points and lines in a plane.

    Attributes:
      title: heading.
      x_title: of the horizontal axis.
      y_title: of the vertical axis.
      series: in the order in which they are drawn.
      ordered: whether the series are steps of one quantity.
    """

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    ordered: bool = False


class Exhibit(NamedTuple):
    """A section of a report.

    Attributes:
      title: heading.
      text: one or two sentences.
      tables: shown first.
      plots: shown behind them.
    """

    title: str
    text: str
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
