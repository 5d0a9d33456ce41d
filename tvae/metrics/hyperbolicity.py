"""How near a metric space is to a tree: Gromov's four-point condition."""

from typing import NamedTuple

import numpy as np


class Hyperbolicity(NamedTuple):
    r"""Departure from a tree, as a share of the diameter; 0 for a tree, at most 1.

    Attributes:
      worst: :math:`2 \delta_{max} / D`.
      mean: :math:`2 \bar\delta / D`, over the quadruples.
    """

    worst: float
    mean: float


def four_point_delta(distance: np.ndarray, quadruple: np.ndarray) -> np.ndarray:
    r"""Half of what the largest of three sums of opposite distances exceeds the second by.

    .. math:: \delta = \tfrac12 (S_1 - S_2), \qquad S_1 \ge S_2 \ge S_3 \text{ of }
              d_{ab} + d_{cd},\; d_{ac} + d_{bd},\; d_{ad} + d_{bc}

    Args:
      distance: of all pairs of points, ``(n, n)``.
      quadruple: positions, int ``(m, 4)``.

    Returns:
      ``(m,)``, unit of the distances.

    Source: Gromov, *Hyperbolic Groups* (1987), by the four-point form.

    >>> square = np.asarray([[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]])
    >>> four_point_delta(square, np.asarray([[0, 1, 2, 3]])).tolist()  # a cycle of four
    [1.0]
    """
    a, b, c, d = quadruple.T
    sums = np.stack(
        [
            distance[a, b] + distance[c, d],
            distance[a, c] + distance[b, d],
            distance[a, d] + distance[b, c],
        ]
    )
    sums.sort(0)
    return 0.5 * (sums[2] - sums[1])


def hyperbolicity(distance: np.ndarray, *, quadruples: int, seed: int) -> Hyperbolicity:
    """Worst and mean departure of random quadruples of points, relative to the largest distance.

    Args:
      distance: of all pairs of points, ``(n, n)``.
      quadruples: how many are drawn; points of one may coincide, which departs by 0.
      seed: of the draw.

    >>> line = np.abs(np.arange(5)[:, None] - np.arange(5)[None, :])
    >>> hyperbolicity(line, quadruples=100, seed=0)
    Hyperbolicity(worst=0.0, mean=0.0)
    """
    drawn = np.random.default_rng(seed).integers(0, len(distance), (quadruples, 4))
    delta = four_point_delta(distance, drawn)
    diameter = max(float(distance.max(initial=0)), np.finfo(float).tiny)
    return Hyperbolicity(2.0 * float(delta.max()) / diameter, 2.0 * float(delta.mean()) / diameter)
