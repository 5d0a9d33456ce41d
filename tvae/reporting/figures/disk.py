"""The disk: items in the plane with the tree over them, as one description.

The page and a notebook draw it in the browser (``disk.js``), :meth:`Disk.figure` by matplotlib.
"""

import dataclasses
import html
import json
import math
import os
import pathlib
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from tvae.errors import UserError, needs_extra
from tvae.reporting import pictures
from tvae.reporting.embedding import Embedding, Shown
from tvae.reporting.figures import palette, resources
from tvae.reporting.figures.encoding import encode_array, quantise
from tvae.reporting.pictures import Picture
from tvae.runs import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("branch", "level")
_HEIGHT = 860  # pixels in a notebook
_ARC = 24  # points of an edge
_MOST_NAMED = 7  # branches
_LABEL_ANGLE, _LABEL_GAP = 1.95, 0.035  # of the rings' numbers
_TEXT, _RING = "#444444", "#c4c7cc"


@dataclasses.dataclass(frozen=True)
class Disk:
    """Embeddings of the same items in the plane; a notebook shows it as it is.

    Attributes:
      shown: the items with their tree.
      embeddings: at least one, each with at least one picture.
      titles: heading of each embedding.
    """

    shown: Shown
    embeddings: Sequence[Embedding]
    titles: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """The description that ``disk.js`` draws; items are sorted by level, then by index."""
        shown = self.shown
        order = np.argsort(shown.level, kind="stable")
        index = shown.index[order]
        labels = shown.items.labels(jnp.asarray(index))
        found: dict[str, Any] = {
            "index": encode_array(index),
            # One string: a list would take two more quotation marks an item.
            "labels": "\n".join(labels),
            "name": shown.items.name,
            "label_name": shown.items.label_name,
            "level_name": "" if shown.subtrees is None else shown.items.level_name,
            "sizes": np.bincount(shown.level).tolist(),
            "colours": palette.levels(shown.n_levels),
            "tree": None,
        }
        if (tree := shown.subtrees) is not None:
            found["tree"] = {
                "node_of": encode_array(tree.node_of[order]),
                "parent": tree.parent.tolist(),
                "depth": tree.depth.tolist(),
                "colour": tree.colour,
                "label": self.node_labels(),
                "size": tree.sums(np.ones(order.size)).astype(int).tolist(),
                "branches": tree.branches[: len(palette.LINES)],
            }
        return {"items": found, "disks": [self._encode(k, order) for k in range(len(self.titles))]}

    def _encode(self, which: int, order: np.ndarray) -> dict[str, Any]:
        """An embedding as ``disk.js`` takes it."""
        embedding, tree = self.embeddings[which], self.shown.subtrees
        c = embedding.curvature
        return {
            "title": self.titles[which],
            "curvature": c,
            "radius": quantise(embedding.radius[order]),
            "rings": self.rings(embedding).round(4).tolist(),
            "pictures": [
                {
                    "name": picture.name,
                    "caption": caption(self.shown, embedding, picture),
                    "angle": quantise(picture.angle[order]),
                    "length": None if picture.keeps_radius else quantise(picture.length[order]),
                    "nodes": []
                    if tree is None
                    else pictures.node_positions(picture, c, tree).round(4).ravel().tolist(),
                }
                for picture in embedding.pictures
            ],
        }

    def node_labels(self) -> list[str]:
        """Text of each node of the tree that is drawn."""
        tree, items = self.shown.subtrees, self.shown.items
        if tree is None:
            return []
        labels = items.labels(jnp.asarray(self.shown.index[tree.member]))
        return list(map(items.node_label, labels, tree.depth.tolist()))

    def rings(self, embedding: Embedding) -> np.ndarray:
        """Mean distance to the origin of each level, ``(levels,)``; 0 for a level without items."""
        total = np.bincount(self.shown.level, weights=embedding.radius)
        return total / np.maximum(np.bincount(self.shown.level), 1)

    def figure(
        self, colours: Sequence[str] = COLOURS, *, which: int = 0, picture: int = 0
    ) -> "Figure":
        """The disk as a matplotlib figure, once for each way to colour it.

        Args:
          colours: of "branch" and "level".
          which: position of the embedding.
          picture: position among its pictures, such as 0 for the layout of a ball.

        Raises:
          UserError: if there is no such colour, embedding or picture, or no matplotlib.
        """
        with needs_extra("report", "an image of the disk"):
            from matplotlib.figure import Figure

        self._check(colours, which, picture)
        embedding = self.embeddings[which]
        chosen = embedding.pictures[picture]
        if self.shown.subtrees is None:
            colours = ("level",)
        figure = Figure(figsize=(6.4 * len(colours), 7.3))
        for place, colour in enumerate(colours):
            axes = figure.add_axes((place / len(colours), 0.1, 1 / len(colours), 0.88))
            self._draw(axes, embedding, chosen, colour)
        text = f"{self.titles[which]}. {caption(self.shown, embedding, chosen)}"
        wrapped = textwrap.fill(text, 100 * len(colours))
        figure.text(0.02, 0.015, wrapped, size=8.5, color=_TEXT, va="bottom")
        return figure

    def _check(self, colours: Sequence[str], which: int, picture: int) -> None:
        if unknown := [colour for colour in colours if colour not in COLOURS]:
            raise UserError(f"colours: expected some of {COLOURS}, got {unknown[0]!r}")
        if not 0 <= which < len(self.embeddings):
            raise UserError(f"which: expected 0 to {len(self.embeddings) - 1}, got {which}")
        if not 0 <= picture < (n := len(self.embeddings[which].pictures)):
            raise UserError(f"picture: expected 0 to {n - 1}, got {picture}")

    def _draw(self, axes: "Axes", embedding: Embedding, picture: Picture, colour: str) -> None:
        """Rings, edges, items and legend."""
        self._draw_rings(axes, embedding, picture)
        if self.shown.subtrees is not None:
            self._draw_tree(axes, embedding, picture, colour)
        self._draw_items(axes, pictures.positions(picture, embedding.curvature), colour)
        axes.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.03), aspect="equal")
        axes.axis("off")

    def _draw_rings(self, axes: "Axes", embedding: Embedding, picture: Picture) -> None:
        """The edge of the disk, and the mean radius of each level with its number."""
        from matplotlib.patches import Circle

        c = embedding.curvature
        if c is None:
            return
        axes.add_patch(Circle((0, 0), 1.0, fill=False, lw=0.9, color=_TEXT))
        if not picture.keeps_radius or self.shown.subtrees is None:
            return
        last = 2.0
        for level, radius in enumerate(np.tanh(np.sqrt(c) * self.rings(embedding) / 2.0)):
            axes.add_patch(Circle((0, 0), radius, fill=False, lw=0.6, color=_RING))
            if last - radius > _LABEL_GAP:
                x, y = radius * math.cos(_LABEL_ANGLE), radius * math.sin(_LABEL_ANGLE)
                box = {"facecolor": "white", "lw": 0, "pad": 0.6}
                centred: dict[str, Any] = {"ha": "center", "va": "center"}
                axes.text(x, y, str(level), fontsize=7, color=palette.MARK, bbox=box, **centred)
                last = radius

    def _draw_tree(self, axes: "Axes", embedding: Embedding, picture: Picture, colour: str) -> None:
        """Edges, the root, and the names of the branches; the legend names the colours."""
        from matplotlib.collections import LineCollection

        tree, c = self.shown.subtrees, embedding.curvature
        if tree is None:
            return
        nodes = pictures.node_positions(picture, c, tree)
        arcs = _edges(nodes[tree.parent[1:]], nodes[1:], ball=c is not None)
        hues = tree.colour[1:] if colour == "branch" else [palette.MARK] * len(arcs)
        width = np.maximum(2.6 * 0.68 ** (tree.depth[1:] - 1), 0.35)
        axes.add_collection(LineCollection(list(arcs), colors=hues, linewidths=width, alpha=0.75))
        axes.plot(*nodes[0], "o", ms=5, color=_TEXT)
        axes.annotate("root", nodes[0], (6, -3), textcoords="offset points", size=8, color=_TEXT)
        labels = self.node_labels()
        named = {str(k): hue for k, hue in enumerate(palette.levels(self.shown.n_levels))}
        title = self.shown.items.level_name
        if colour == "branch":
            title = f"branch ({self.shown.items.label_name})"
            named = {labels[k]: tree.colour[k] for k in tree.branches[:_MOST_NAMED]}
            for k in tree.branches[:_MOST_NAMED]:
                place: dict[str, Any] = {"textcoords": "offset points", "size": 9, "weight": "bold"}
                axes.annotate(labels[k], nodes[k], (4, 5), color=tree.colour[k], **place)
        for name, hue in named.items():
            axes.plot([], [], "o", ms=6, c=hue, label=name)
        small = {"fontsize": 8, "title_fontsize": 8, "frameon": False, "borderaxespad": 0.0}
        axes.legend(title=title, loc="upper left", handletextpad=0.1, **small)

    def _draw_items(self, axes: "Axes", flat: np.ndarray, colour: str) -> None:
        """The items, deep levels larger and above the others."""
        shown, tree = self.shown, self.shown.subtrees
        hues = np.asarray(palette.levels(shown.n_levels))[shown.level]
        if colour == "branch" and tree is not None:
            hues = np.asarray(tree.colour)[tree.node_of]
        for level in np.unique(shown.level):
            size = 1.4 + 3.4 * (level / max(shown.n_levels - 1, 1)) ** 1.2
            for hue in np.unique(hues[shown.level == level]):
                x, y = flat[(shown.level == level) & (hues == hue)].T
                axes.plot(x, y, "o", ms=size, mew=0, color=hue, zorder=3)

    def to_html(self) -> str:
        """A page that holds the disk alone and needs no network."""
        return resources.disk_page(json.dumps(self.to_json(), separators=(",", ":")))

    def _repr_html_(self) -> str:
        """The disk in a notebook."""
        page = html.escape(self.to_html())
        style = f"width:100%;max-width:760px;height:{_HEIGHT}px;border:0"
        return f'<iframe srcdoc="{page}" style="{style}" title="embedding"></iframe>'

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write the disk, by the ending of the name: ``.html``, or an image of matplotlib's.

        Args:
          path: such as ``disk.png``, ``disk.svg`` or ``disk.html``.
          **options: of :meth:`figure`.

        Raises:
          UserError: see :meth:`figure`.
        """
        target = pathlib.Path(path)
        if target.suffix == ".html":
            files.write_text(target, self.to_html())
        else:
            figure = self.figure(**options)
            with files.replacing(target) as temporary:
                figure.savefig(temporary, dpi=110, format=target.suffix[1:])


def caption(shown: Shown, embedding: Embedding, picture: Picture) -> str:
    """The meaning of a picture, and how much it hides."""
    text = f"{picture.method}. "
    if embedding.curvature is not None and picture.keeps_radius:
        text += "Radii are true, directions are not. "
    kept, triplets = picture.fidelity
    text += f"Rank correlation of distances here and in all dimensions {kept:.2f}"
    if triplets is not None and shown.pairs is not None:
        whole = pictures.order_by_tree(embedding.pair_distance, shown.pairs)
        text += f"; of two {shown.items.name} the one nearer in the tree is nearer here in "
        text += f"{triplets:.0%} of cases" + ("" if whole is None else f", there in {whole:.0%}")
    text += "."
    if shown.subtrees is None:
        return text
    rings = embedding.curvature is not None and picture.keeps_radius
    text += f" Circles: mean radius of each {shown.items.level_name}." if rings else ""
    if shown.subtrees.own[0] >= 0:
        return f"{text} Lines are the edges of the tree."
    return f"{text} Lines join the centre of each subtree to those of its parts."


def _edges(start: np.ndarray, end: np.ndarray, *, ball: bool) -> np.ndarray:
    """Geodesics of the unit disk between points ``(k, 2)``, or straight lines: ``(k, n, 2)``."""
    t = np.linspace(0.0, 1.0, _ARC)[None, :]
    a, b = (ends[:, :1] + 1j * ends[:, 1:] for ends in (start, end))
    if not ball:
        way = a + t * (b - a)
    else:
        # Moved to the origin by a Möbius translation, a geodesic is a straight line.
        there = (b - a) / (1.0 - a.conj() * b)
        size = np.abs(there)
        part = np.tanh(t * np.arctanh(np.minimum(size, 1 - 1e-9))) * there / np.maximum(size, 1e-12)
        way = (part + a) / (1.0 + a.conj() * part)
    return np.stack([way.real, way.imag], axis=-1)
