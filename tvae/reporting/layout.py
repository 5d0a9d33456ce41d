r"""A layout of hyperbolic points in the hyperbolic plane, by their distances in all dimensions.

Every item keeps its hyperbolic radius; only the direction is sought. Landmarks, a sample of every
level, are put around the circle in the order in which average linkage joins them; from there their
angles minimise the stress

.. math:: \sum_{ij} (d_2(y_i, y_j) - d(x_i, x_j))^2, \quad
          \cosh d_2 = \cosh\rho_i \cosh\rho_j - \sinh\rho_i \sinh\rho_j \cos(\theta_i - \theta_j).

Each level keeps its order but for the last steps: minima of the stress alone let clusters cross.
The other items take the mean direction of their nearest landmarks.

Source: Walter and Ritter, *On Interactive Visualization of High-dimensional Data using the
Hyperbolic Plane* (KDD 2002), for the stress; Guo, Guo and Yu, *CO-SNE: Dimensionality Reduction and
Visualization for Hyperbolic Data* (CVPR 2022), for keeping distances to the origin, here exactly
instead of by a penalty. The order and the landmarks are this library's.
"""

import numpy as np

LANDMARKS = 300
_EVENNESS = 0.4  # landmarks of a level in proportion to this power of its number of items
_STEPS = 200
_ORDERED = 150  # steps in which each level keeps its order; those after them are short
_NEAREST = 6
_BLOCK = 2048  # items that are placed at once
_RATE, _MOMENTUM, _SCALING = 0.1, 0.9, 0.99  # of Adam, in radians
_LEAST_COSH = 1e-5  # above 1, where the derivative of arcosh is infinite


def hyperboloid(direction: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Points ``(n, d + 1)`` of the unit hyperboloid, time first.

    Args:
      direction: vectors ``(n, d)`` of any length; that of a zero vector is free.
      radius: distance to the origin in units of the curvature, ``(n,)``.
    """
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    unit = direction / np.maximum(length, 1e-30)
    return np.concatenate([np.cosh(radius)[:, None], np.sinh(radius)[:, None] * unit], axis=1)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Hyperbolic distance of every point of the hyperboloid to every other, ``(n, m)`` float32.

    >>> origin, point = hyperboloid(np.eye(2)[:1], np.array([0.0])), np.array([[5 / 3, 0.0, 4 / 3]])
    >>> round(float(distances(origin, point)[0, 0]), 4)
    1.0986
    """
    cosh = np.outer(x[:, 0], y[:, 0]) - x[:, 1:] @ y[:, 1:].T
    return _arcosh(cosh.astype(np.float32))[0]


def _arcosh(cosh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of cosh, and sinh of it."""
    cosh = np.maximum(cosh, 1.0 + _LEAST_COSH)
    sinh = np.sqrt(cosh * cosh - 1.0)
    return np.log(cosh + sinh), sinh


def plane_angles(points: np.ndarray, radius: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The angle of every item in the plane, radians ``(n,)``.

    Args:
      points: of the unit hyperboloid, ``(n, d + 1)``.
      radius: their distances to the origin, ``(n,)``.
      level: of each item, ``(n,)``; all equal without a tree.
    """
    chosen = _landmarks(level)
    apart = distances(points[chosen], points[chosen])
    np.fill_diagonal(apart, 0.0)
    order = linkage_order(apart)
    angle = _fit(apart, radius[chosen].astype(np.float32), order, level[chosen][order])
    placed = _place(points, points[chosen], angle)
    placed[chosen] = angle
    return placed


def _landmarks(level: np.ndarray) -> np.ndarray:
    """Positions of the landmarks: some items of every level, drawn at random, always the same."""
    draw = np.random.default_rng(0)
    count = np.bincount(level)
    share = count**_EVENNESS * (count > 0)
    take = np.minimum(count, np.ceil(LANDMARKS * share / share.sum()).astype(int))
    shuffled = draw.permutation(level.size)
    by_level = shuffled[np.argsort(level[shuffled], kind="stable")]
    starts = np.cumsum(count) - count
    return np.concatenate([by_level[a : a + n] for a, n in zip(starts, take, strict=True)])


def linkage_order(apart: np.ndarray) -> np.ndarray:
    """Items in the order of average linkage, ``(n,)``, each pair of clusters by its nearest ends.

    >>> x = np.array([0.0, 9.0, 1.0, 8.0])
    >>> linkage_order(np.abs(x[:, None] - x)).tolist()
    [0, 2, 3, 1]
    """
    n = len(apart)
    mean = apart.astype(np.float64)
    np.fill_diagonal(mean, np.inf)
    size = np.ones(n)
    order = [[k] for k in range(n)]
    for _ in range(n - 1):
        i, j = sorted(divmod(int(np.argmin(mean)), n))
        order[i] = _join(order[i], order[j], apart)
        mean[i] = (size[i] * mean[i] + size[j] * mean[j]) / (size[i] + size[j])
        mean[:, i] = mean[i]
        mean[i, i] = mean[j] = mean[:, j] = np.inf
        size[i] += size[j]
    return np.asarray(order[0])


def _join(a: list[int], b: list[int], apart: np.ndarray) -> list[int]:
    """Two runs of items as one, turned so that the ends that meet are nearest."""
    turns = [
        (apart[a[-1], b[0]], a + b),
        (apart[a[-1], b[-1]], a + b[::-1]),
        (apart[a[0], b[0]], a[::-1] + b),
        (apart[a[0], b[-1]], b + a),
    ]
    return min(turns, key=lambda turn: turn[0])[1]


def _fit(apart: np.ndarray, radius: np.ndarray, order: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Angles of least stress by Adam from even spacing; each level keeps its circular order.

    ``level`` is that of the items in this order.
    """
    rows = [order[level == each] for each in np.unique(level)]
    cosh = np.outer(np.cosh(radius), np.cosh(radius))
    sinh = np.outer(np.sinh(radius), np.sinh(radius))
    n = radius.size
    angle = np.empty(n, np.float32)
    angle[order] = 2.0 * np.pi * np.arange(n) / n
    first, second = np.zeros_like(angle), np.zeros_like(angle)
    for step in range(_STEPS):
        c, s = np.cos(angle), np.sin(angle)
        here, slope = _arcosh(cosh - sinh * (np.outer(c, c) + np.outer(s, s)))
        turn = np.outer(s, c) - np.outer(c, s)
        gradient = ((here - apart) * sinh * turn / slope).sum(1)
        first = _MOMENTUM * first + (1 - _MOMENTUM) * gradient
        second = _SCALING * second + (1 - _SCALING) * gradient**2
        angle -= _RATE * (1 - step / _STEPS) * first / (np.sqrt(second) + 1e-8)
        for row in rows if step < _ORDERED else ():
            angle[row] = np.sort(angle[row])
    return angle


def _place(points: np.ndarray, landmarks: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Mean direction of the nearest landmarks, which weigh less the further away they are."""
    if len(points) > _BLOCK:  # all distances at once took 200 MB
        parts = np.array_split(points, -(-len(points) // _BLOCK))
        return np.concatenate([_place(part, landmarks, angle) for part in parts])
    apart = distances(points, landmarks)
    k = min(_NEAREST, angle.size) - 1
    near = np.argpartition(apart, k, axis=1)[:, : k + 1]
    here = np.take_along_axis(apart, near, axis=1)
    weight = np.maximum(1.0 - (here / here.max(1, keepdims=True)) ** 2, 1e-3) ** 2
    x, y = ((weight * wave(angle)[near]).sum(1) for wave in (np.cos, np.sin))
    return np.arctan2(y, x)
