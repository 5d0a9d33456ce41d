"""Pictures of an embedding in the plane, each with figures of how much it hides."""

from typing import NamedTuple

import numpy as np

from tvae.reporting import layout
from tvae.reporting.subtrees import Subtrees

PLANES = 2
"""Pairs of principal directions to choose from."""


class Fidelity(NamedTuple):
    """How far distances in a plane agree with those of the embedding.

    Attributes:
      distances: Spearman correlation of both distances, over random pairs of items.
      triplets: of an item and two others at different levels of the tree with it, the share where
        the one nearer in the tree is nearer in the plane; None without a tree.
    """

    distances: float
    triplets: float | None


class Picture(NamedTuple):
    """Items in the plane, in polar coordinates around the origin.

    Attributes:
      name: on its button.
      method: how the directions were found, in a few words.
      angle: radians, ``(n,)``.
      length: distance to the origin, ``(n,)``: hyperbolic for a ball, Euclidean elsewhere.
      keeps_radius: whether ``length`` is the distance to the origin in all dimensions.
      fidelity: agreement of its distances with those of the embedding.
    """

    name: str
    method: str
    angle: np.ndarray
    length: np.ndarray
    keeps_radius: bool
    fidelity: Fidelity


class Plane(NamedTuple):
    """Projection of n items to two principal directions of the tangent space, polar coordinates.

    Attributes:
      angle: radians, ``(n,)``.
      length: ``(n,)``.
      explained: share of the squared length of all items that lies in the plane.
    """

    angle: np.ndarray
    length: np.ndarray
    explained: float


class Pairs(NamedTuple):
    """Sampled pairs, ``(m,)`` each: positions among the items shown, sorted by their level.

    Every item that is a first end has one partner at each level where it has any.
    """

    i: np.ndarray
    j: np.ndarray
    level: np.ndarray


class Measured(NamedTuple):
    """An embedding's items as vectors, from which its pictures are made.

    Attributes:
      direction: tangent vectors at the origin, or Euclidean latents around their mean, ``(n, d)``.
      radius: distance to the origin, ``(n,)``.
      curvature: magnitude of the ball's; None for Euclidean latents.
    """

    direction: np.ndarray
    radius: np.ndarray
    curvature: float | None


def principal_planes(tangent: np.ndarray) -> list[Plane]:
    """Principal planes of vectors ``(n, d)`` through the origin, the one that explains most first.

    Not centred: the ball's origin is the root of the tree. At most ``PLANES``; none for d = 1.
    """
    power, direction = np.linalg.eigh(tangent.T @ tangent)
    power, direction = power[::-1], direction[:, ::-1]
    # The sign of an eigenvector is free: the largest entry is made positive, so that two machines
    # draw one picture.
    direction = direction * np.sign(direction[np.abs(direction).argmax(0), np.arange(power.size)])
    planes = []
    for first in range(0, min(2 * PLANES, power.size - 1), 2):
        x, y = (tangent @ direction[:, first : first + 2]).T
        share = float(power[first : first + 2].sum()) / max(float(power.sum()), 1e-30)
        planes.append(Plane(np.arctan2(y, x), np.hypot(x, y), share))
    return planes


def make_pictures(found: Measured, level: np.ndarray, pairs: Pairs | None) -> list[Picture]:
    """All pictures of an embedding: the layout by distances, then tangent-space PCA.

    Args:
      found: the embedding.
      level: of each item, ``(n,)``.
      pairs: at the levels of the tree; None without one.
    """
    planes = principal_planes(found.direction)
    ball, d = found.curvature is not None, found.direction.shape[1]
    sides: list[tuple[str, str, np.ndarray, np.ndarray, bool]] = []
    if ball and d > 2:
        angle = layout.plane_angles(_points(found), _units(found, found.radius), level)
        method = "Layout by hyperbolic distances in all dimensions"
        sides.append(("Layout", method, angle, found.radius, True))
    for k, plane in enumerate(planes):
        name = f"PC {2 * k + 1}–{2 * k + 2}"
        method = f"{'Tangent-space PCA at the origin' if ball else 'PCA of the latent means'}: "
        method += f"directions {2 * k + 1} and {2 * k + 2} hold {plane.explained:.1%} of the "
        method += f"squared {'hyperbolic radius' if ball else 'distance from their centre'}"
        length = found.radius if ball else plane.length
        sides.append((name, method, plane.angle, length, ball))
        if ball and k == 0:
            # A vector of length l at the origin ends at hyperbolic radius 2 l.
            name, method = f"{name} projected", f"{method}; radii are those of the projection"
            sides.append((name, method, plane.angle, 2.0 * plane.length, False))
    random = np.random.default_rng(0).integers(0, level.size, (2, min(10_000, level.size**2)))
    apart = _apart(found, *random)
    return [
        Picture(*side, _fidelity(_flat(found, *side[2:4]), apart, random, pairs)) for side in sides
    ]


def _flat(found: Measured, angle: np.ndarray, length: np.ndarray) -> Measured:
    """A picture as an embedding in two dimensions."""
    direction = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Measured(direction, length, found.curvature)


def _units(found: Measured, length: np.ndarray) -> np.ndarray:
    """Lengths in units of the ball's curvature."""
    return np.sqrt(found.curvature or 1.0) * length


def _points(found: Measured) -> np.ndarray:
    """Items on the unit hyperboloid."""
    return layout.hyperboloid(found.direction, _units(found, found.radius))


def _apart(found: Measured, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """A number that grows with the distance of pairs: cosh of it, or its square where Euclidean."""
    if found.curvature is None:
        return ((found.direction[i] - found.direction[j]) ** 2).sum(1)
    x = _points(found)
    return x[i, 0] * x[j, 0] - (x[i, 1:] * x[j, 1:]).sum(1)


def _fidelity(
    flat: Measured, apart: np.ndarray, random: np.ndarray, pairs: Pairs | None
) -> Fidelity:
    """The figures of a picture, from random pairs and from those of the tree."""
    here = _apart(flat, *random)
    triplets = None
    if pairs is not None:
        triplets = order_by_tree(_apart(flat, pairs.i, pairs.j), pairs)
    return Fidelity(spearman(here, apart), triplets)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of numbers without ties; 0 where one of them is constant.

    >>> spearman(np.array([1.0, 2.0, 9.0]), np.array([0.1, 0.2, 0.3]))
    1.0
    """
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    ranks = np.stack([np.argsort(np.argsort(values)) for values in (x, y)])
    return round(float(np.ravel(np.corrcoef(ranks))[1]), 6)


def order_by_tree(apart: np.ndarray, pairs: Pairs) -> float | None:
    """Share of triplets in which the partner of the deeper level is the nearer one.

    Args:
      apart: distance of each pair, ``(m,)``.
      pairs: the pairs; None is returned if no item has partners at two levels.
    """
    items, row = np.unique(pairs.i, return_inverse=True)
    table = np.full((items.size, int(pairs.level.max()) + 1), np.nan)
    table[row, pairs.level] = apart
    right = total = 0
    for level in range(table.shape[1] - 1):
        further, nearer = table[:, level : level + 1], table[:, level + 1 :]
        right += int((further > nearer).sum())
        total += int((~np.isnan(further + nearer)).sum())
    return right / total if total else None


def positions(picture: Picture, curvature: float | None) -> np.ndarray:
    """Items in the unit disk, ``(n, 2)``: the Poincaré disk for a ball, else scaled to fit."""
    if curvature is None:
        radius = picture.length / max(float(picture.length.max()), 1e-30)
    else:
        radius = np.tanh(np.sqrt(curvature) * picture.length / 2.0)
    return radius[:, None] * np.stack([np.cos(picture.angle), np.sin(picture.angle)], axis=1)


def node_positions(picture: Picture, curvature: float | None, tree: Subtrees) -> np.ndarray:
    """Positions of the nodes, ``(k, 2)``: their own items', or the centres of the items below.

    The centre is the hyperbolic centroid, or the mean where there is no ball.
    """
    flat = positions(picture, curvature)
    return np.where(tree.own[:, None] >= 0, flat[tree.own], _centres(flat, curvature, tree))


def _centres(flat: np.ndarray, curvature: float | None, tree: Subtrees) -> np.ndarray:
    if curvature is None:
        return tree.sums(flat) / tree.sums(np.ones(len(flat)))[:, None]
    # The centroid of points on the hyperboloid is their sum, scaled back onto it.
    gap = np.maximum(1.0 - (flat**2).sum(1, keepdims=True), 1e-12)
    total = tree.sums(np.concatenate([(2.0 - gap) / gap, 2.0 * flat / gap], axis=1))
    norm = np.sqrt(total[:, 0] ** 2 - (total[:, 1:] ** 2).sum(1))
    return total[:, 1:] / (norm + total[:, 0])[:, None]
