"""Panels: line plots as values, drawn by plotly in the page and by matplotlib in the files."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvae.reporting.figures import palette
from tvae.reporting.figures.encoding import typed


class Line(NamedTuple):
    """A line of a panel.

    Attributes:
      name: in the legend.
      x: ``(n,)``.
      y: ``(n,)``.
      colour: as "#rrggbb".
      steps: whether the value holds until the next one.
      markers: whether each value is marked.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    steps: bool = False
    markers: bool = False


class Mark(NamedTuple):
    """A line across a panel, with a word on it.

    Attributes:
      at: where it crosses its axis.
      text: said beside it.
      colour: as "#rrggbb".
    """

    at: float
    text: str
    colour: str = palette.MARK


@dataclasses.dataclass(frozen=True)
class Panel:
    """A line plot over epochs.

    Attributes:
      title: said above it.
      lines: at least one.
      log: whether the value's axis is logarithmic.
      levels: horizontal marks, such as a ceiling.
      events: vertical marks, such as the best epoch.
      low: lower end of the value's axis; None lets it follow the values.
      high: upper end.
      epochs: upper end of the axis of epochs; None lets it follow the lines.
    """

    title: str
    lines: Sequence[Line]
    log: bool = False
    levels: Sequence[Mark] = ()
    events: Sequence[Mark] = ()
    low: float | None = None
    high: float | None = None
    epochs: float | None = None


def to_plotly(panel: Panel) -> dict[str, Any]:
    """A panel as plotly.js takes it: ``{"data", "layout"}``."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers" if line.markers else "lines",
            "name": line.name,
            **_epochs(line.x),
            "y": typed(line.y),
            "line": {"color": line.colour, "width": 1.8, "shape": "hv" if line.steps else "linear"},
            "marker": {"size": 5},
            "hovertemplate": "%{y:.5g}",
        }
        for line in panel.lines
    ]
    y_axis: dict[str, Any] = {"type": "log" if panel.log else "linear"}
    if panel.log:
        y_axis |= {"dtick": 1, "tickformat": "~g"}
    elif panel.low is not None or panel.high is not None:
        y_axis["range"] = [panel.low, panel.high]
    layout = {
        "hovermode": "x unified",
        "showlegend": len(panel.lines) > 1,
        "xaxis": {
            "title": {"text": "epoch"},
            "range": None if panel.epochs is None else [0, 1.02 * panel.epochs],
        },
        "yaxis": y_axis,
        "shapes": [_shape(mark, "x") for mark in panel.events]
        + [_shape(mark, "y") for mark in panel.levels],
        "annotations": [_words(mark, "x", panel) for mark in panel.events]
        + [_words(mark, "y", panel) for mark in panel.levels],
    }
    return {"data": data, "layout": layout}


def _epochs(x: np.ndarray) -> dict[str, Any]:
    """The epochs of a line; those of every epoch are said in two numbers."""
    every = x.size > 1 and np.array_equal(x, x[0] + np.arange(x.size))
    return {"x0": float(x[0]), "dx": 1} if every else {"x": typed(x)}


def _shape(mark: Mark, axis: str) -> dict[str, Any]:
    """A line across the panel at a value of one axis."""
    other = "y" if axis == "x" else "x"
    return {
        "type": "line",
        f"{axis}0": mark.at,
        f"{axis}1": mark.at,
        f"{other}0": 0,
        f"{other}1": 1,
        f"{other}ref": f"{other} domain",
        "line": {"color": mark.colour, "width": 1.2, "dash": "dot" if axis == "x" else "dash"},
        "layer": "below",
    }


def _words(mark: Mark, axis: str, panel: Panel) -> dict[str, Any]:
    """The word on such a line: annotations take logarithms on logarithmic axes, shapes do not."""
    words = {"text": mark.text, "showarrow": False, "font": {"size": 10.5, "color": mark.colour}}
    if axis == "x":
        anchor = "right" if mark.at > 0.85 * (panel.epochs or math.inf) else "center"
        place = {"x": mark.at, "xanchor": anchor, "y": 1, "yref": "y domain", "yanchor": "bottom"}
    else:
        at = math.log10(mark.at) if panel.log else mark.at
        place = {"y": at, "x": 1, "xref": "x domain", "xanchor": "right", "yanchor": "bottom"}
    return words | place


def to_axes(panel: Panel, axes: Axes) -> None:
    """Draw a panel into matplotlib axes."""
    for line in panel.lines:
        style = "steps-post" if line.steps else "default"
        marker = "o" if line.markers else ""
        axes.plot(
            line.x,
            line.y,
            label=line.name,
            color=line.colour,
            lw=1.4,
            drawstyle=style,
            marker=marker,
            ms=3,
        )
    for mark in panel.levels:
        axes.axhline(mark.at, color=mark.colour, lw=0.9, ls="--")
        axes.text(
            1.0, mark.at, mark.text, transform=axes.get_yaxis_transform(), size=7,
            color=mark.colour, ha="right", va="bottom",
        )  # fmt: skip
    for mark in panel.events:
        axes.axvline(mark.at, color=mark.colour, lw=0.9, ls=":")
        axes.text(
            mark.at, 1.0, mark.text, transform=axes.get_xaxis_transform(), size=7,
            color=mark.colour, ha="center", va="bottom",
        )  # fmt: skip
    if panel.log:
        axes.set_yscale("log")
    elif panel.low is not None or panel.high is not None:
        axes.set_ylim(panel.low, panel.high)
    axes.set_title(panel.title, size=9, loc="left", pad=11)
    axes.set_xlim(0, None if panel.epochs is None else 1.02 * panel.epochs)
    axes.set_xlabel("epoch", size=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.lines) > 1:
        axes.legend(fontsize=6, frameon=False)


def draw(panels: Sequence[Panel], *, columns: int = 2) -> Figure:
    """Panels in a grid, as a figure to save."""
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.0 * columns, 2.9 * rows), layout="constrained")
    for position, panel in enumerate(panels):
        to_axes(panel, figure.add_subplot(rows, columns, position + 1))
    return figure
