"""Pictures for notebooks: ``tvae.plot.disk(model)``.

Drawing as an image needs matplotlib, of the extra ``tvae[report]``; the interactive picture does
not. Neither is imported before it is needed.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from tvae.domains.views import Items
from tvae.errors import UserError
from tvae.geometry import poincare
from tvae.geometry.tree import Tree
from tvae.model import Model
from tvae.reporting import contents, embedding
from tvae.reporting.embedding import Embedding
from tvae.reporting.figures.disk import Disk
from tvae.reporting.pictures import Measured, make_pictures


def disk(
    model: Model | ArrayLike,
    tree: Tree | None = None,
    *,
    labels: Sequence[str] | None = None,
    curvature: float = 1.0,
) -> Disk:
    """Draw an embedding in the Poincaré disk, with the tree over it.

    The last line of a notebook's cell shows it: move the pointer over a point to read it, click one
    to bring it to the centre, search by index or label. ``disk(...).save("disk.png")`` writes an
    image, ``.figure()`` returns a matplotlib figure.

    Args:
      model: a model with a finite set of items, or points ``(n, d)`` of a Poincaré ball, d >= 2.
      tree: over the items; by default the model's own. Without a tree there are no edges.
      labels: a short text for each point; by default its number. Not for a model.
      curvature: magnitude c of the ball that holds the points. Not for a model.

    Returns:
      The disk of all embeddings of the model, or of the points.

    Raises:
      UserError: if the model has no finite set of items, a point lies outside the ball, or numbers
        of points, items of the tree and labels differ.

    >>> from tvae.geometry.tree import TableTree
    >>> points = [[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.7, 0.2], [0.7, -0.2]]
    >>> drawn = disk(points, TableTree([-1, 0, 0, 1, 1]), labels=["root", "b", "c", "d", "e"])
    >>> drawn.node_labels(), [picture.name for picture in drawn.embeddings[0].pictures]
    (['root', 'b', 'c', 'd', 'e'], ['PC 1–2', 'PC 1–2 projected'])
    """
    if isinstance(model, Model):
        return _of_model(model, tree)
    points = np.asarray(model, float)
    if points.ndim != 2 or points.shape[1] < 2 or len(points) < 2:
        raise UserError(f"points: expected (n, d) with n, d >= 2, got {points.shape}")
    outside = ~(np.linalg.norm(points, axis=1) * np.sqrt(curvature) < 1.0)
    if outside.any():
        first = int(outside.argmax())
        raise UserError(f"points[{first}]: lies outside the ball of curvature -{curvature:g}")
    return _of_points(points, tree, labels, curvature)


def _of_model(model: Model, tree: Tree | None) -> Disk:
    """The disk of all embeddings of a model."""
    items = model.items
    if tree is not None:
        if tree.n_leaves != items.count:
            raise UserError(f"tree: expected {items.count} items, got {tree.n_leaves}")
        items = embedding.with_tree(items, tree)
    shown, found = embedding.measure_all(model, items)
    drawn = contents.make_disk(shown, found)
    if drawn is None:
        raise UserError(f"a model of task {model.task} has no plane to draw: one latent dimension")
    return drawn


def _of_points(
    points: np.ndarray, tree: Tree | None, labels: Sequence[str] | None, c: float
) -> Disk:
    """The disk of points of a ball."""
    n = len(points)
    for name, count in (("tree", tree and tree.n_leaves), ("labels", labels and len(labels))):
        if count is not None and count != n:
            raise UserError(f"{name}: expected {n} items, one a point, got {count}")
    texts = [str(k) for k in range(n)] if labels is None else list(labels)
    shown = embedding.choose_items(_items(texts, tree))
    z = jnp.asarray(points[shown.index], jnp.float32)
    radius = np.asarray(poincare.hyperbolic_radius(z, c=c), float)
    tangent = np.asarray(poincare.log_map_origin(z, c=c), float)
    apart = np.zeros(0)
    if shown.pairs is not None:
        apart = np.asarray(poincare.distance(z[shown.pairs.i], z[shown.pairs.j], c=c))
    found = Measured(tangent, radius, c)
    pictures = make_pictures(found, shown.level, shown.pairs)
    return Disk(shown, [Embedding("points", c, radius, pictures, apart, None)], ["Points"])


def _items(labels: list[str], tree: Tree | None) -> Items:
    """Points as a set of items that are read by their numbers only."""

    def no_decoder(_: Any) -> jax.Array:
        raise UserError("points alone have no decoder")

    return Items(
        name="points",
        count=len(labels),
        inputs=jnp.asarray,
        as_index=jnp.asarray,
        read=no_decoder,
        columns=lambda _: {},
        labels=lambda index: [labels[k] for k in np.asarray(index).tolist()],
        tree=tree,
    )
