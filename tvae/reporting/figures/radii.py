"""Radius by valuation: is the tree's depth the ball's radius?"""

from tvae.reporting.embedding import Embedding
from tvae.reporting.figures.violins import Violins, by_class


def violins(embedding: Embedding, title: str) -> Violins:
    """Radii of an embedding, a violin for each valuation."""
    unit = "hyperbolic radius" if embedding.in_ball else "Euclidean norm of the latent"
    return Violins(
        title=title,
        x_title="valuation",
        y_title=unit,
        labels=[str(level) for level in range(embedding.levels)],
        values=by_class(embedding.radius, embedding.valuation),
    )
