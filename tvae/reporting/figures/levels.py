"""Figures with a column for each level of the tree: radii, distances of pairs, reconstruction."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tvae.reporting.embedding import Embedding, Shown
from tvae.reporting.figures import palette
from tvae.reporting.figures.encoding import encode_array

_QUANTILES = 200  # of a class: a violin of its quantiles is that of the class


@dataclasses.dataclass(frozen=True)
class Violins:
    """A distribution for each of a few ordered classes; ``values`` of each are ``(n,)``, n >= 1."""

    title: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    values: Sequence[np.ndarray]

    def to_plotly(self) -> dict[str, Any]:
        """The violins as plotly.js takes them."""
        colours = palette.levels(len(self.labels))
        data = [
            {
                "type": "violin",
                "name": label,
                "x0": label,
                "y": encode_array(values),
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
            for label, values, colour in zip(self.labels, self.values, colours, strict=True)
        ]
        layout = {
            "showlegend": False,
            "xaxis": {"title": {"text": self.x_title}, "type": "category"},
            "yaxis": {"title": {"text": self.y_title}, "rangemode": "tozero"},
        }
        return {"data": data, "layout": layout}


@dataclasses.dataclass(frozen=True)
class Shares:
    """How many of each level's items, ``count`` ``(levels,)``, have a property, as bars."""

    title: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    count: np.ndarray
    right: np.ndarray

    def to_plotly(self) -> dict[str, Any]:
        """Bars of the shares, with the number of items above them."""
        data = {
            "type": "bar",
            "x": self.labels,
            "y": np.round(self.right / self.count, 5).tolist(),
            "text": [f"{number:,}" for number in self.right],
            "customdata": self.count.tolist(),
            "textposition": "outside",
            "textangle": 0,
            "textfont": {"size": 10},
            "constraintext": "none",
            "cliponaxis": False,
            "marker": {"color": palette.levels(self.count.size)},
            "hovertemplate": self.x_title
            + " %{x}: %{y:.2%} (%{text} of %{customdata:,})<extra></extra>",
        }
        layout = {
            "xaxis": {"title": {"text": self.x_title}, "type": "category"},
            "yaxis": {"title": {"text": self.y_title}, "range": [0, 1.09]},
            "showlegend": False,
        }
        return {"data": [data], "layout": layout}


def by_class(value: np.ndarray, class_of: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """The classes that occur, and the sorted values of each, or 200 quantiles of them."""
    order = np.lexsort((value, class_of))
    classes, first = np.unique(class_of[order], return_index=True)
    parts = np.split(value[order], first[1:])
    share = np.linspace(0.0, 1.0, _QUANTILES)
    short = [np.quantile(part, share) if part.size > _QUANTILES else part for part in parts]
    return classes.tolist(), short


def radii(shown: Shown, embedding: Embedding, title: str) -> Violins:
    """Distances of the items to the origin, by level."""
    unit = "hyperbolic radius" if embedding.in_ball else "Euclidean norm of the latent"
    levels, values = by_class(embedding.radius, shown.level)
    return Violins(title, shown.items.level_name, unit, [str(level) for level in levels], values)


def distances(shown: Shown, embedding: Embedding, title: str) -> Violins:
    """Distances of the sampled pairs, by the level of their common ancestor.

    Raises:
      ValueError: if the items have no tree.
    """
    if shown.pairs is None:
        raise ValueError("these items have no tree")
    unit = "hyperbolic distance" if embedding.in_ball else "Euclidean distance of latents"
    levels, values = by_class(embedding.pair_distance, shown.pairs.level)
    labels = [shown.items.pair_label(level) for level in levels]
    return Violins(title, shown.items.pair_name, unit, labels, values)


def reconstruction(shown: Shown, embedding: Embedding, title: str) -> Shares:
    """Shares of the items that decode exactly, by level.

    Raises:
      ValueError: if no decoder reads this embedding.
    """
    if embedding.exact is None:
        raise ValueError(f"embedding {embedding.name!r}: no decoder reads it")
    count = np.bincount(shown.level)
    right = np.bincount(shown.level, weights=embedding.exact).astype(int)
    levels = np.flatnonzero(count)
    labels = [str(level) for level in levels]
    level = shown.items.level_name
    return Shares(title, level, "share decoded exactly", labels, count[levels], right[levels])
