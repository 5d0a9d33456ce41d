"""The Poincaré disk: directions by tangent-space PCA at the origin, radii as they are."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from tvae.reporting.embedding import Embedding, Shown
from tvae.reporting.figures import palette
from tvae.reporting.figures.encoding import encode_array, quantise


def caption(shown: Shown, embedding: Embedding, plane: int) -> str:
    """Meaning of a plane's picture, and the share of the embedding that the plane explains."""
    name, length = "Tangent-space PCA at the origin", "hyperbolic radius"
    if not embedding.in_ball:
        name, length = "PCA of the latent means", "distance from their centre"
    share = embedding.planes[plane].explained
    which = f"directions {2 * plane + 1} and {2 * plane + 2} hold {share:.1%}"
    text = f"{name}: {which} of the squared {length}."
    if shown.items.tree is None:
        return text
    circles = "; circles: its mean radius" if embedding.in_ball else ""
    return f"{text} Colour: {shown.items.level_name}{circles}."


def encode_items(shown: Shown) -> dict[str, Any]:
    """The items as page.js takes them, sorted by level, then by index."""
    order = np.argsort(shown.level, kind="stable")
    index = shown.index[order]
    return {
        "index": encode_array(index),
        # One string: a list would take two more quotation marks an item.
        "labels": "\n".join(shown.items.labels(jnp.asarray(index))),
        "label_name": shown.items.label_name,
        "level_name": "" if shown.items.tree is None else shown.items.level_name,
        "sizes": np.bincount(shown.level).tolist(),
        "colours": palette.levels(shown.n_levels),
    }


def encode_disk(shown: Shown, embedding: Embedding) -> dict[str, Any]:
    """An embedding as page.js takes it, with the items in the order of :func:`encode_items`."""
    order = np.argsort(shown.level, kind="stable")
    return {
        "curvature": embedding.curvature,
        "radius": quantise(embedding.radius[order]),
        "planes": [
            {
                "angle": quantise(plane.angle[order]),
                "length": quantise(plane.length[order]),
                "caption": caption(shown, embedding, position),
            }
            for position, plane in enumerate(embedding.planes)
        ],
        "circles": _mean_radii(shown, embedding).round(4).tolist(),
    }


def _mean_radii(shown: Shown, embedding: Embedding) -> np.ndarray:
    """Mean radius of each level; 0 for a level without items."""
    total = np.bincount(shown.level, weights=embedding.radius)
    return total / np.maximum(np.bincount(shown.level), 1)


def _in_disk(embedding: Embedding, radius: np.ndarray) -> np.ndarray:
    """Hyperbolic radius to radius in the unit disk."""
    return np.tanh(np.sqrt(embedding.curvature or 1.0) * radius / 2.0)


def positions(embedding: Embedding, plane: int) -> np.ndarray:
    """Positions of the items in a picture, ``(n, 2)``: in the unit disk for a ball."""
    angle, length, _ = embedding.planes[plane]
    if embedding.in_ball:
        length = _in_disk(embedding, embedding.radius)
    return length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def draw_disks(shown: Shown, embeddings: Sequence[Embedding]) -> Figure:
    """The first two planes of each embedding, as a matplotlib figure."""
    pictures = [(each, plane) for each in embeddings for plane in range(min(2, len(each.planes)))]
    rows = len(embeddings)
    figure = Figure(figsize=(12.0, 6.2 * rows), layout="constrained")
    for place, (embedding, plane) in enumerate(pictures):
        axes = figure.add_subplot(rows, -(-len(pictures) // rows), place + 1)
        points, colours = positions(embedding, plane), palette.levels(shown.n_levels)
        for level, colour in enumerate(colours):
            x, y = points[shown.level == level].T
            axes.scatter(x, y, s=1.5 + 2.5 * level, color=colour, lw=0, label=str(level))
        if embedding.in_ball:
            for radius in [1.0, *_in_disk(embedding, _mean_radii(shown, embedding))]:
                axes.add_patch(Circle((0, 0), radius, fill=False, lw=0.4, color=palette.MARK))
        axes.set_aspect("equal")
        axes.axis("off")
        axes.set_title(caption(shown, embedding, plane), size=8)
        if shown.items.tree is not None:
            small = {"fontsize": 7, "title_fontsize": 7, "frameon": False, "markerscale": 2}
            axes.legend(title=shown.items.level_name, **small)
    return figure
