"""The Poincaré disk: directions by tangent-space PCA at the origin, radii as they are.

The page gets the radius of each operation and, for each plane, its direction and the length of its
projection. It computes indices and digits itself, from the order of the points: by valuation, then
by index.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from tvae.reporting.embedding import Embedding
from tvae.reporting.figures import palette
from tvae.reporting.figures.encoding import quantised


def caption(embedding: Embedding, plane: int) -> str:
    """What the picture of a plane shows, and how much of the embedding it holds."""
    name, length = "Tangent-space PCA at the origin", "hyperbolic radius"
    if not embedding.in_ball:
        name, length = "PCA of the latent means", "distance from their centre"
    share = embedding.planes[plane].explained
    which = f"directions {2 * plane + 1} and {2 * plane + 2} hold {share:.1%}"
    circles = "; circles: its mean radius" if embedding.in_ball else ""
    return f"{name}: {which} of the squared {length}. Colour: valuation{circles}."


def to_page(embedding: Embedding) -> dict[str, Any]:
    """What page.js draws the disk from."""
    order = np.argsort(embedding.valuation, kind="stable")
    return {
        "curvature": embedding.curvature,
        "digits": embedding.levels - 1,
        "colours": palette.levels(embedding.levels),
        "radius": quantised(embedding.radius[order]),
        "planes": [
            {
                "angle": quantised(plane.angle[order]),
                "length": quantised(plane.length[order]),
                "caption": caption(embedding, position),
            }
            for position, plane in enumerate(embedding.planes)
        ],
        "circles": _mean_radii(embedding).round(4).tolist(),
    }


def _mean_radii(embedding: Embedding) -> np.ndarray:
    """Mean radius of each valuation."""
    total = np.bincount(embedding.valuation, weights=embedding.radius)
    return total / np.bincount(embedding.valuation)


def _in_disk(embedding: Embedding, radius: np.ndarray) -> np.ndarray:
    """Hyperbolic radius to radius in the unit disk."""
    return np.tanh(np.sqrt(embedding.curvature or 1.0) * radius / 2.0)


def positions(embedding: Embedding, plane: int) -> np.ndarray:
    """Where a picture puts each operation, ``(n, 2)``: in the unit disk for a ball."""
    angle, length, _ = embedding.planes[plane]
    if embedding.in_ball:
        length = _in_disk(embedding, embedding.radius)
    return length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def draw(embeddings: Sequence[Embedding]) -> Figure:
    """The first two planes of each embedding, as a figure to save."""
    shown = [(each, plane) for each in embeddings for plane in range(min(2, len(each.planes)))]
    rows = len(embeddings)
    figure = Figure(figsize=(12.0, 6.2 * rows), layout="constrained")
    for place, (embedding, plane) in enumerate(shown):
        axes = figure.add_subplot(rows, -(-len(shown) // rows), place + 1)
        points, colours = positions(embedding, plane), palette.levels(embedding.levels)
        for level, colour in enumerate(colours):
            x, y = points[embedding.valuation == level].T
            axes.scatter(x, y, s=1.5 + 2.5 * level, color=colour, lw=0, label=str(level))
        if embedding.in_ball:
            for radius in [1.0, *_in_disk(embedding, _mean_radii(embedding))]:
                axes.add_patch(Circle((0, 0), radius, fill=False, lw=0.4, color=palette.MARK))
        axes.set_aspect("equal")
        axes.axis("off")
        axes.set_title(caption(embedding, plane), size=8)
        axes.legend(title="valuation", fontsize=7, title_fontsize=7, frameon=False, markerscale=2)
    return figure
