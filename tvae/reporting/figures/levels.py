"""Figures with a column for each level of the tree: radii, distances of pairs, reconstruction."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tvae.reporting.embedding import Embedding, Shown
from tvae.reporting.figures import palette

_QUANTILES = 200  # of a class: a violin of its quantiles is that of the class
_FEW = 10  # values that are shown one by one
_STEPS = 41  # of an outline


@dataclasses.dataclass(frozen=True)
class Violins:
    """A distribution for each of a few ordered classes; ``values`` of each are ``(n,)``, n >= 1."""

    title: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    values: Sequence[np.ndarray]

    def to_json(self) -> dict[str, Any]:
        """The violins as ``charts.js`` takes them: outlines, or single values of a small class."""
        colours = palette.levels(len(self.labels))
        return {
            "kind": "violins",
            "x_title": self.x_title,
            "y_title": self.y_title,
            "labels": list(self.labels),
            "classes": [
                {
                    "low": _short(values.min()),
                    "high": _short(values.max()),
                    "middle": _short(np.median(values)),
                    "colour": colour,
                }
                | (
                    {"values": list(map(_short, values))}
                    if values.size < _FEW
                    else {"width": outline(values).round(3).tolist()}
                )
                for values, colour in zip(self.values, colours, strict=True)
            ],
        }


@dataclasses.dataclass(frozen=True)
class Shares:
    """How many of each level's items, ``count`` ``(levels,)``, have a property, as bars."""

    title: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    count: np.ndarray
    right: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The bars as ``charts.js`` takes them."""
        return {
            "kind": "shares",
            "x_title": self.x_title,
            "y_title": self.y_title,
            "labels": list(self.labels),
            "right": self.right.tolist(),
            "count": self.count.tolist(),
            "colours": palette.levels(self.count.size),
        }


def _short(value: float) -> float:
    """Five significant digits."""
    return float(f"{value:.5g}")


def outline(values: np.ndarray) -> np.ndarray:
    """Density of values at even steps from the least to the largest, over its maximum.

    Gaussian kernels of Scott's width, n^(-1/5) standard deviations.

    >>> outline(np.array([0.0, 0.9, 1.0, 1.1, 2.0]))[[0, 20, 40]].round(2).tolist()
    [0.41, 1.0, 0.41]
    """
    at = np.linspace(values.min(), values.max(), _STEPS)
    width = max(float(values.std()) * values.size**-0.2, 1e-12)
    density = np.exp(-0.5 * ((at[:, None] - values[None, :]) / width) ** 2).sum(1)
    return density / density.max()


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
