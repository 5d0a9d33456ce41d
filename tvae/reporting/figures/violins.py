"""Violins: one distribution for each of a few ordered classes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tvae.reporting.figures import palette
from tvae.reporting.figures.encoding import typed

_QUANTILES = 200  # of a class: a violin of its quantiles is that of the class


@dataclasses.dataclass(frozen=True)
class Violins:
    """Distributions by class.

    Attributes:
      title: said above.
      x_title: what the classes are.
      y_title: what is distributed.
      labels: name of each class.
      values: of each class, ``(n,)``, n at least 1.
    """

    title: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    values: Sequence[np.ndarray]


def by_class(value: np.ndarray, class_of: np.ndarray) -> list[np.ndarray]:
    """The values of each class, sorted: at most so many evenly spaced quantiles of them."""
    order = np.lexsort((value, class_of))
    parts = np.split(value[order], np.flatnonzero(np.diff(class_of[order])) + 1)
    share = np.linspace(0.0, 1.0, _QUANTILES)
    return [np.quantile(part, share) if part.size > _QUANTILES else part for part in parts]


def to_plotly(violins: Violins) -> dict[str, Any]:
    """Violins as plotly.js takes them."""
    colours = palette.levels(len(violins.labels))
    data = [
        {
            "type": "violin",
            "name": label,
            "x0": label,
            "y": typed(values),
            "line": {"color": colour, "width": 1.4},
            "fillcolor": colour + "55",
            "points": "all" if values.size < 10 else False,
            "pointpos": 0,
            "jitter": 0,
            "marker": {"size": 5, "color": colour},
            "meanline": {"visible": True},
            "spanmode": "hard",
            "scalemode": "width",
            "width": 0.85,
            "hoveron": "points" if values.size < 10 else "violins",
            "hoverinfo": "y",
        }
        for label, values, colour in zip(violins.labels, violins.values, colours, strict=True)
    ]
    layout = {
        "showlegend": False,
        "xaxis": {"title": {"text": violins.x_title}, "type": "category"},
        "yaxis": {"title": {"text": violins.y_title}, "rangemode": "tozero"},
    }
    return {"data": data, "layout": layout}


def draw(many: Sequence[Violins]) -> Figure:
    """Violins side by side, as a figure to save."""
    figure = Figure(figsize=(6.0 * len(many), 3.8), layout="constrained")
    for position, violins in enumerate(many):
        axes = figure.add_subplot(1, len(many), position + 1)
        places = range(len(violins.labels))
        # A kernel density needs values that differ.
        wide = [p for p in places if np.ptp(violins.values[p]) > 0 and violins.values[p].size > 9]
        colours = palette.levels(len(places))
        bodies: Any = axes.violinplot(
            [violins.values[p] for p in wide], positions=wide, widths=0.85, showextrema=False
        )["bodies"]
        for body, place in zip(bodies, wide, strict=True):
            body.set(facecolor=colours[place], edgecolor=colours[place], alpha=0.5)
        for place in places:
            values = violins.values[place]
            axes.plot(place, values.mean(), "_", color=colours[place], ms=14)
            if values.size < 10:
                axes.plot(np.full(values.size, place), values, ".", color=colours[place], ms=5)
        axes.set_xticks(places, violins.labels)
        axes.set_title(violins.title, size=9, loc="left")
        axes.set_xlabel(violins.x_title, size=8)
        axes.set_ylabel(violins.y_title, size=8)
        axes.set_ylim(bottom=0.0)
        axes.tick_params(labelsize=7)
        axes.grid(axis="y", alpha=0.25, lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
