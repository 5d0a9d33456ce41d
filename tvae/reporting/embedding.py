"""The items of a domain as a trained model embeds them: measured once, as NumPy arrays."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from tvae.domains.views import BALL, LATENT, Items
from tvae.geometry import poincare
from tvae.geometry.tree import Tree
from tvae.model import Model
from tvae.reporting.pictures import Measured, Pairs, Picture, make_pictures
from tvae.reporting.subtrees import Subtrees, find_subtrees

MOST_ITEMS = 20_000
"""Items shown; of a larger set as many, evenly spread."""
PAIRS = 400
"""Pairs drawn for each level of the tree."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """The items that a report shows; the same in all embeddings.

    Attributes:
      items: all of them, as the domain describes them.
      index: of each item shown, ``(n,)``, increasing.
      level: of each item in the tree, ``(n,)``; all 0 without a tree.
      pairs: for the distances; None without a tree.
      subtrees: nodes of the tree that the disk draws; None without a tree.
    """

    items: Items
    index: np.ndarray
    level: np.ndarray
    pairs: Pairs | None
    subtrees: Subtrees | None

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
      pictures: in the plane; empty for a latent space of one dimension.
      pair_distance: of the sampled pairs, ``(m,)``; hyperbolic in a ball, Euclidean elsewhere.
      exact: whether each item decodes exactly, ``(n,)``; None where no decoder reads this space.
    """

    name: str
    curvature: float | None
    radius: np.ndarray
    pictures: list[Picture]
    pair_distance: np.ndarray
    exact: np.ndarray | None

    @property
    def in_ball(self) -> bool:
        """Whether it lies in a Poincaré ball."""
        return self.curvature is not None


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
    # Of the items at a level the last in a random order is taken: the one that is written last.
    others = draw.permutation(index.size)
    levels = np.array(jax.jit(tree.pair_level)(index[first][:, None], index[others][None]))
    levels[others == first[:, None]] = tree.n_levels
    partner = np.full((per_level, tree.n_levels + 1), -1)
    partner[np.arange(per_level)[:, None], levels] = others
    level, row = np.nonzero(partner[:, :-1].T >= 0)
    return Pairs(first[row], partner[row, level], level)


def choose_items(items: Items) -> Shown:
    """The items to show, with their levels and sampled pairs."""
    index = np.asarray(items.spread(MOST_ITEMS))
    if items.tree is None:
        return Shown(items, index, np.zeros(index.size, int), None, None)
    level = np.asarray(jax.jit(items.tree.level)(index))
    subtrees = find_subtrees(items.tree, index, level)
    return Shown(items, index, level, sample_pairs(items.tree, index), subtrees)


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


def with_tree(items: Items, tree: Tree) -> Items:
    """The same items under another tree, of which nothing is known but its levels."""
    return dataclasses.replace(
        items,
        tree=tree,
        level_name="level",
        pair_name="level of the common ancestor",
        pair_label=str,
        node_label=lambda label, _: label,
    )


def measure_all(model: Model, items: Items | None = None) -> tuple[Shown | None, list[Embedding]]:
    """Measure the embeddings of a model: those in a ball, or else its Euclidean latents.

    Args:
      model: the model.
      items: its items, under another tree for instance; by default those of its views.

    Returns:
      None and no embedding where the domain has no items.
    """
    views = model.views
    items = views.items if items is None else items
    if items is None or views.items is None:
        return None, []
    shown = choose_items(items)
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
    c = float(found["c"]) if "c" in found else None
    measured = Measured(found["tangent"].astype(float), found["radius"].astype(float), c)
    return Embedding(
        name=name,
        curvature=c,
        radius=found["radius"],
        pictures=make_pictures(measured, shown.level, shown.pairs),
        pair_distance=found["distance"],
        exact=found.get("exact"),
    )
