"""Which operations decode exactly, by valuation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tvae.reporting.embedding import Embedding
from tvae.reporting.figures import palette


def shares(embedding: Embedding) -> tuple[np.ndarray, np.ndarray]:
    """Operations of each valuation and those of them that decode, ``(levels,)`` each.

    Raises:
      ValueError: if no decoder reads this embedding.
    """
    if embedding.exact is None:
        raise ValueError(f"embedding {embedding.name!r}: no decoder reads it")
    count = np.bincount(embedding.valuation, minlength=embedding.levels)
    right = np.bincount(embedding.valuation, weights=embedding.exact, minlength=embedding.levels)
    return count, right.astype(int)


def to_plotly(embedding: Embedding) -> dict[str, Any]:
    """Bars of the share that decodes, with the number that does on them."""
    count, right = shares(embedding)
    data = {
        "type": "bar",
        "x": [str(level) for level in range(count.size)],
        "y": np.round(right / count, 5).tolist(),
        "text": [f"{number:,}" for number in right],
        "customdata": count.tolist(),
        "textposition": "outside",
        "textangle": 0,
        "textfont": {"size": 10},
        "constraintext": "none",
        "cliponaxis": False,
        "marker": {"color": palette.levels(count.size)},
        "hovertemplate": "valuation %{x}: %{y:.2%} (%{text} of %{customdata:,})<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "valuation"}, "type": "category"},
        "yaxis": {"title": {"text": "share decoded exactly"}, "range": [0, 1.09]},
        "showlegend": False,
    }
    return {"data": [data], "layout": layout}


def draw(embeddings: Sequence[Embedding]) -> Figure:
    """The same bars, embeddings side by side, as a figure to save."""
    figure = Figure(figsize=(6.0 * len(embeddings), 3.2), layout="constrained")
    for position, embedding in enumerate(embeddings):
        count, right = shares(embedding)
        axes = figure.add_subplot(1, len(embeddings), position + 1)
        axes.bar(np.arange(count.size), right / count, color=palette.levels(count.size))
        axes.set_title(
            f"{embedding.name}: {right.sum():,} of {count.sum():,} decode exactly",
            size=9,
            loc="left",
        )
        axes.set_xticks(np.arange(count.size))
        axes.set_xlabel("valuation", size=8)
        axes.set_ylabel("share decoded exactly", size=8)
        axes.set_ylim(0.0, 1.02)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
