"""The items of a domain as a trained model embeds them: measured once, as NumPy arrays."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.views import BALL, LATENT, Items
from tvae.geometry import poincare
from tvae.geometry.tree import Tree
from tvae.model import Model

MOST_ITEMS = 20_000
"""Items shown; of a larger set as many, evenly spread."""
PLANES = 3
"""Pairs of principal directions to choose from."""
PAIRS = 400
"""Pairs drawn for each level of the tree."""


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
    """Sampled pairs, ``(m,)`` each: positions among the items shown, sorted by their level."""

    i: np.ndarray
    j: np.ndarray
    level: np.ndarray


@dataclasses.dataclass(frozen=True)
class Shown:
    """The items that a report shows; the same in all embeddings.

    Attributes:
      items: all of them, as the domain describes them.
      index: of each item shown, ``(n,)``, increasing.
      level: of each item in the tree, ``(n,)``; all 0 without a tree.
      pairs: for the distances; None without a tree.
    """

    items: Items
    index: np.ndarray
    level: np.ndarray
    pairs: Pairs | None

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return int(self.level.max()) + 1


@dataclasses.dataclass(frozen=True)
class Embedding:
    """One embedding of the items, in a Poincaré ball or in Euclidean space.

    Attributes:
      name: such as "a".
      curvature: magnitude c of the ball; None for Euclidean latents.
      radius: distance of each item to the origin, ``(n,)``.
      planes: of principal directions 1 and 2, 3 and 4, and so on.
      pair_distance: of the sampled pairs, ``(m,)``; hyperbolic in a ball, Euclidean elsewhere.
      exact: whether each item decodes exactly, ``(n,)``; None where no decoder reads this space.
    """

    name: str
    curvature: float | None
    radius: np.ndarray
    planes: list[Plane]
    pair_distance: np.ndarray
    exact: np.ndarray | None

    @property
    def in_ball(self) -> bool:
        """Whether it lies in a Poincaré ball."""
        return self.curvature is not None


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


def sample_pairs(tree: Tree, index: np.ndarray, per_level: int = PAIRS) -> Pairs:
    """Random pairs of different items at each level of a tree, the same every time.

    Args:
      tree: of all items.
      index: the items to choose from, ``(n,)``.
      per_level: number of random items; each is paired with one item at every level where it has
        any.

    Returns:
      Positions in ``index`` and levels.
    """
    draw = np.random.default_rng(0)
    first = draw.integers(0, index.size, per_level)
    others = draw.permuted(np.tile(np.arange(index.size), (per_level, 1)), axis=1)
    levels = np.asarray(jax.jit(tree.pair_level)(index[first][:, None], index[others]))
    pairs = []
    for i, candidates, level in zip(first, others, levels, strict=True):
        candidates, level = candidates[candidates != i], level[candidates != i]
        found, at = np.unique(level, return_index=True)
        pairs.append(np.stack([np.full(found.size, i), candidates[at], found]))
    i, j, level = np.concatenate(pairs, axis=1)
    order = np.argsort(level, kind="stable")
    return Pairs(i[order], j[order], level[order])


def choose_items(items: Items) -> Shown:
    """The items to show, with their levels and sampled pairs."""
    index = np.asarray(items.spread(MOST_ITEMS))
    if items.tree is None:
        return Shown(items, index, np.zeros(index.size, int), None)
    level = np.asarray(items.tree.level(index))
    return Shown(items, index, level, sample_pairs(items.tree, index))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _measure(
    model: Model, items: Items, name: str, index: jax.Array, i: jax.Array, j: jax.Array
) -> dict[str, jax.Array]:
    """Radii, tangent vectors, distances and exactness of one embedding, in one program."""
    views, params = model.views, model.params
    x = items.inputs(index)
    space = BALL if name in views.embed else LATENT
    if space == BALL:
        points = views.embed[name](params, x)
        z, c = points.z, points.c
        found = {
            "radius": poincare.hyperbolic_radius(z, c=c),
            "tangent": poincare.log_map_origin(z, c=c),
            "distance": poincare.distance(z[i], z[j], c=c),
            "c": c,
        }
    else:
        z, _ = views.posteriors(params, x)[name]
        found = {
            "radius": jnp.linalg.norm(z, axis=-1),
            "tangent": z - z.mean(0, keepdims=True),
            "distance": jnp.linalg.norm(z[i] - z[j], axis=-1),
        }
    if name in views.decode.get(space, ()):
        found["exact"] = items.exact(views.decode[space][name](params, z), index)
    return found


def measure_all(model: Model) -> tuple[Shown | None, list[Embedding]]:
    """Measure the embeddings of a model: those in a ball, or else its Euclidean latents.

    Returns None and no embedding where the domain has no items.
    """
    views = model.views
    if views.items is None:
        return None, []
    shown = choose_items(views.items)
    names = tuple(views.embed) or tuple(
        jax.eval_shape(views.posteriors, model.params, views.items.inputs(jnp.zeros(1, int)))
    )
    return shown, [measure(model, name, shown) for name in names]


def measure(model: Model, name: str, shown: Shown) -> Embedding:
    """Measure the embedding of a ball or, where there is none, of an encoder's means."""
    nothing = np.zeros(0, int)
    i, j = (nothing, nothing) if shown.pairs is None else (shown.pairs.i, shown.pairs.j)
    arrays = map(jnp.asarray, (shown.index, i, j))
    found = jax.device_get(_measure(model, shown.items, name, *arrays))
    return Embedding(
        name=name,
        curvature=float(found["c"]) if "c" in found else None,
        radius=found["radius"],
        planes=principal_planes(found["tangent"].astype(float)),
        pair_distance=found["distance"],
        exact=found.get("exact"),
    )
