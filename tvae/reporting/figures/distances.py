"""Distance in the embedding against 3-adic distance: is the tree there?"""

from tvae.reporting.embedding import Embedding
from tvae.reporting.figures.violins import Violins, by_class


def _power(exponent: int) -> str:
    """A power of 3 as plotly and people write it.

    >>> _power(0), _power(2)
    ('1', '1/9')
    """
    return "1" if exponent == 0 else f"1/{3**exponent}"


def violins(embedding: Embedding, title: str) -> Violins:
    """Distances of sampled pairs, a violin for each 3-adic distance, from far to near."""
    unit = "hyperbolic distance" if embedding.in_ball else "Euclidean distance of latents"
    n_digits = int(embedding.pair_valuation.max()) + 1
    return Violins(
        title=title,
        x_title="3-adic distance",
        y_title=unit,
        labels=[_power(exponent) for exponent in range(n_digits)],
        values=by_class(embedding.pair_distance, embedding.pair_valuation),
    )
