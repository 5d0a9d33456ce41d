"""Line plots over epochs: one description, drawn by plotly in the page and as PNG by matplotlib."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tvae.reporting.figures import palette
from tvae.reporting.figures.encoding import encode_array


class Line(NamedTuple):
    """A line of a panel: ``y`` over epochs ``x``, ``(n,)`` each.

    Attributes:
      name: in the legend.
      x: epochs.
      y: values.
      colour: as "#rrggbb".
      steps: whether a value holds until the next one.
      markers: whether each value is marked.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    steps: bool = False
    markers: bool = False


class Mark(NamedTuple):
    """A labelled line across a panel, at a position on its axis."""

    at: float
    text: str
    colour: str = palette.MARK


@dataclasses.dataclass(frozen=True)
class Panel:
    """A line plot over epochs.

    Attributes:
      title: heading.
      lines: at least one.
      log: whether the vertical axis is logarithmic.
      levels: horizontal marks, such as a ceiling.
      events: vertical marks, such as the best epoch.
      low: lower end of the vertical axis; None: chosen from the values.
      high: upper end of the vertical axis.
      epochs: upper end of the horizontal axis; None: chosen from the lines.
    """

    title: str
    lines: Sequence[Line]
    log: bool = False
    levels: Sequence[Mark] = ()
    events: Sequence[Mark] = ()
    low: float | None = None
    high: float | None = None
    epochs: float | None = None

    def to_plotly(self) -> dict[str, Any]:
        """The panel as plotly.js takes it: ``{"data", "layout"}``."""
        data = [
            {
                "type": "scatter",
                "mode": "lines+markers" if line.markers else "lines",
                "name": line.name,
                **_epochs(line.x),
                "y": encode_array(np.asarray(line.y, float)),
                "line": {
                    "color": line.colour, "width": 1.8, "shape": "hv" if line.steps else "linear",
                },
                "marker": {"size": 5},
                "hovertemplate": "%{y:.5g}",
            }
            for line in self.lines
        ]  # fmt: skip
        y_axis: dict[str, Any] = {"type": "log" if self.log else "linear"}
        if self.log:
            y_axis |= {"dtick": 1, "tickformat": "~g"}
        elif self.low is not None or self.high is not None:
            y_axis["range"] = [self.low, self.high]
        end = None if self.epochs is None else [0, 1.02 * self.epochs]
        marks = [("x", mark) for mark in self.events] + [("y", mark) for mark in self.levels]
        layout = {
            "hovermode": "x unified",
            "showlegend": len(self.lines) > 1,
            "xaxis": {"title": {"text": "epoch"}, "range": end},
            "yaxis": y_axis,
            "shapes": [_shape(mark, axis) for axis, mark in marks],
            "annotations": [_label(mark, axis, self) for axis, mark in marks],
        }
        return {"data": data, "layout": layout}

    def draw(self, axes: Axes) -> None:
        """Draw the panel into matplotlib axes."""
        for line in self.lines:
            axes.plot(
                line.x, line.y, label=line.name, color=line.colour, lw=1.4, ms=3,
                drawstyle="steps-post" if line.steps else "default",
                marker="o" if line.markers else "",
            )  # fmt: skip
        words: dict[str, Any] = {"size": 7, "va": "bottom"}
        for mark in self.levels:
            axes.axhline(mark.at, color=mark.colour, lw=0.9, ls="--")
            place = axes.get_yaxis_transform()
            axes.text(1, mark.at, mark.text, transform=place, c=mark.colour, ha="right", **words)
        for mark in self.events:
            axes.axvline(mark.at, color=mark.colour, lw=0.9, ls=":")
            place = axes.get_xaxis_transform()
            axes.text(mark.at, 1, mark.text, transform=place, c=mark.colour, ha="center", **words)
        if self.log:
            axes.set_yscale("log")
        elif self.low is not None or self.high is not None:
            axes.set_ylim(self.low, self.high)
        axes.set_title(self.title, size=9, loc="left", pad=11)
        axes.set_xlim(0, None if self.epochs is None else 1.02 * self.epochs)
        axes.set_xlabel("epoch", size=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25, lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        if len(self.lines) > 1:
            axes.legend(fontsize=6, frameon=False)


def draw_grid(panels: Sequence[Panel], *, columns: int = 3) -> Figure:
    """Panels in a grid, as a matplotlib figure."""
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.0 * columns, 2.9 * rows), layout="constrained")
    for position, panel in enumerate(panels):
        panel.draw(figure.add_subplot(rows, columns, position + 1))
    return figure


def _epochs(x: np.ndarray) -> dict[str, Any]:
    """Horizontal positions of a line; consecutive epochs take two numbers."""
    every = x.size > 1 and np.array_equal(x, x[0] + np.arange(x.size))
    return {"x0": float(x[0]), "dx": 1} if every else {"x": encode_array(np.asarray(x, float))}


def _shape(mark: Mark, axis: str) -> dict[str, Any]:
    """The line of a mark, across the panel."""
    other = "y" if axis == "x" else "x"
    return {
        "type": "line", f"{axis}0": mark.at, f"{axis}1": mark.at,
        f"{other}0": 0, f"{other}1": 1, f"{other}ref": f"{other} domain", "layer": "below",
        "line": {"color": mark.colour, "width": 1.2, "dash": "dot" if axis == "x" else "dash"},
    }  # fmt: skip


def _label(mark: Mark, axis: str, panel: Panel) -> dict[str, Any]:
    """The label of a mark: annotations take logarithms on logarithmic axes, shapes do not."""
    label = {"text": mark.text, "showarrow": False, "font": {"size": 10.5, "color": mark.colour}}
    if axis == "x":
        anchor = "right" if mark.at > 0.85 * (panel.epochs or math.inf) else "center"
        place = {"x": mark.at, "xanchor": anchor, "y": 1, "yref": "y domain", "yanchor": "bottom"}
    else:
        at = math.log10(mark.at) if panel.log else mark.at
        place = {"y": at, "x": 1, "xref": "x domain", "xanchor": "right", "yanchor": "bottom"}
    return label | place
