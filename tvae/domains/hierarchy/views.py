"""Views of a table: items, their points, distances and ancestors."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from tvae.domains.hierarchy import evaluation, link_prediction, source, stored
from tvae.domains.hierarchy.geometry import GEOMETRIES, Geometry, Placed
from tvae.domains.hierarchy.hierarchy import Hierarchy
from tvae.domains.hierarchy.links import read_links
from tvae.domains.hierarchy.task import POINTS, curvature
from tvae.domains.inputs import as_numbers
from tvae.domains.views import BALL, LATENT, Items, Points, Posterior, ScoredPairs, Views
from tvae.engine.task import Metrics, Params
from tvae.errors import UserError


def _as_index(known: Hierarchy, index: ArrayLike) -> jax.Array:
    """A caller's numbers of items."""
    given = as_numbers(index, "items")
    if isinstance(given, jax.core.Tracer):
        return jnp.asarray(given, jnp.int32)
    numbers = np.asarray(given)
    wrong = (numbers < 0) | (numbers >= len(known)) | (numbers != np.floor(numbers))
    if wrong.any():
        first = numbers.ravel()[wrong.ravel().argmax()]
        raise UserError(f"items: expected indices in [0, {len(known)}), got {first}")
    return jnp.asarray(numbers, jnp.int32)


def make_items(known: Hierarchy) -> Items:
    """The items of a hierarchy, numbered in preorder."""

    def columns(index: jax.Array) -> dict[str, jax.Array]:
        found = {
            "level": jnp.asarray(known.level)[index],
            "parent": jnp.asarray(known.parent)[index],
        }
        numbers = {
            name: column
            for name, column in known.features.items()
            if np.issubdtype(column.dtype, np.number)
        }
        return found | {name: jnp.asarray(column)[index] for name, column in numbers.items()}

    return Items(
        name="items",
        count=len(known),
        inputs=lambda index: jnp.asarray(index, jnp.int32)[..., None],
        as_index=lambda index: _as_index(known, index),
        read=lambda outputs: outputs[..., 0],
        columns=columns,
        labels=lambda index: [str(known.names[i]) for i in np.asarray(index).ravel()],
        label_name="name",
        tree=known.tree,
        level_name="depth",
        pair_name="depth of the common ancestor",
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The functions of a trained table, each with the parameters first.

    Attributes:
      known: the hierarchy.
      geometry: name of the space.
      c: curvature magnitude of a table that does not learn it.
      exact_up_to: see :func:`tvae.domains.hierarchy.evaluation.measure`.
      labelled: file of labelled pairs, which is measured where it is there; "" for none.
    """

    known: Hierarchy
    geometry: str
    c: float
    exact_up_to: int
    labelled: str = ""

    @property
    def space(self) -> Geometry:
        """The geometry of the table."""
        return GEOMETRIES[self.geometry]

    def curvature(self, params: Params) -> jax.Array:
        """Curvature magnitude, float32 scalar."""
        return curvature(params, {"model.curvature": jnp.float32(self.c)})

    def as_input(self, x: ArrayLike) -> jax.Array:
        """A caller's items ``(..., 1)``."""
        given = as_numbers(x, "items")
        if given.shape[-1:] != (1,):
            raise UserError(f"items: expected an array (..., 1) of indices, got {given.shape}")
        return _as_index(self.known, given)

    def encode(self, params: Params, x: jax.Array) -> Posterior:
        """Normal coordinates: direction times hyperbolic radius."""
        rows = self.space.to_tangent(params[POINTS][x[..., 0]])
        mean = rows / jnp.sqrt(self.curvature(params))
        return Posterior(mean, jnp.zeros_like(mean))

    def embed(self, params: Params, x: jax.Array) -> Points:
        """Points of the Poincaré ball of curvature -c, whatever the geometry."""
        c = self.curvature(params)
        return Points(self.space.place(params[POINTS][x[..., 0]]).point / jnp.sqrt(c), c)

    def decode_ball(self, params: Params, z: jax.Array) -> jax.Array:
        """The items nearest to points of the ball, int32 ``(..., 1)``."""
        unit = z * jnp.sqrt(self.curvature(params))
        return self._nearest_to(params, GEOMETRIES["poincare"].place(unit))

    def decode_flat(self, params: Params, z: jax.Array) -> jax.Array:
        """The items nearest to points of Euclidean space, int32 ``(..., 1)``."""
        return self._nearest_to(params, self.space.place(z))

    def _nearest_to(self, params: Params, placed: Placed) -> jax.Array:
        every = self.space.place(params[POINTS])

        def search(one: Placed) -> jax.Array:
            own = jax.tree.map(lambda a: a[None], one)
            return jnp.argmin(self.space.key(own, every)[0]).astype(jnp.int32)

        shape = placed.point.shape[:-1]
        rows = jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), placed)
        found = jax.lax.map(search, rows)
        return found.reshape(*shape, 1)

    def distance(self, params: Params, i: jax.Array, j: jax.Array) -> jax.Array:
        """Distances of items, which broadcast, as accurate as the table's own coordinates."""
        x, y = (self.space.place(params[POINTS][k]) for k in jnp.broadcast_arrays(i, j))
        apart = self.space.distance(x, y) / jnp.sqrt(self.curvature(params))
        return jnp.where(i == j, 0.0, apart)

    def nearest(self, params: Params, item: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
        """The ``k`` items nearest to one, nearest first, and their distances."""
        every = self.space.place(params[POINTS])
        keys = self.space.key(jax.tree.map(lambda a: a[item][None], every), every)[0]
        own = jnp.arange(len(self.known)) == item
        _, found = jax.lax.top_k(jnp.where(own, -jnp.inf, -keys), k)
        return found, self.distance(params, jnp.full(k, item), found)

    def ancestors(self, item: int) -> np.ndarray:
        """Ancestors of an item by every path, ascending."""
        offset, ancestor = self.known.closure
        return ancestor[offset[item] : offset[item + 1]]

    def measure(self, params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        """The final evaluation; no figure of it depends on a key or on training."""
        del key, recorded
        c, there = self.curvature(params), pathlib.Path(self.labelled).is_file()
        return evaluation.measure(
            self.known,
            self.geometry,
            params[POINTS],
            c,
            exact_up_to=self.exact_up_to,
            links=source.labelled_pairs(self.labelled, self.known) if there else None,
        )

    def score_pairs(
        self, params: Params, file: str | os.PathLike[str], recorded: Mapping[str, Any]
    ) -> ScoredPairs:
        """Link prediction for the pairs of a file, by the rule that the last evaluation chose.

        Raises:
          UserError: if the file cannot be read, or the model has no rule.
        """
        rule = link_prediction.rule_of(recorded)
        if rule is None:
            raise UserError(
                f"{file}: the model has no rule that tells true pairs; train with labelled pairs, "
                "config.evaluation.pairs"
            )
        links = read_links(file, self.known, labelled=None)
        relation = link_prediction.relate(self.geometry, params[POINTS], links)
        score = relation.score(rule.rise, rule.angle)
        true = link_prediction.predict(rule, relation)
        metrics = {"pairs": score.size, "threshold": rule.threshold}
        if links.label is not None:
            metrics |= link_prediction.agreement(true, links.label)._asdict()
        names = self.known.names
        return ScoredPairs(names[links.item], names[links.ancestor], score, true, metrics)


def make_views(config: ConfigDict) -> Views:
    """Views of a table: a curved one is shown in the Poincaré ball, a flat one by its latents.

    Raises:
      UserError: if the hierarchy cannot be read.
    """
    known, model = source.load(config.data), config.model
    measured = config.evaluation
    table = Table(known, model.geometry, model.curvature, measured.exact_up_to, measured.pairs)
    items = make_items(known)
    curved = table.space.curved
    return Views(
        latent_dim=model.latent_dim,
        input_shape=(1,),
        input_dtype=jnp.int32,
        about=(
            f"An item is its number, 0 to {len(known) - 1}, in preorder of the hierarchy. A "
            "decoder's outputs `(n, 1)` are the numbers of the items nearest to points."
        ),
        as_input=table.as_input,
        examples=lambda n: items.inputs(items.spread(n)),
        encode=table.encode,
        embed={"a": table.embed} if curved else {},
        decode={BALL: {"a": table.decode_ball}} if curved else {LATENT: {"a": table.decode_flat}},
        distance=table.distance,
        nearest=table.nearest,
        ancestors=table.ancestors,
        measure=table.measure,
        score_pairs=table.score_pairs,
        items=items,
        keep=lambda folder: stored.write_stored(known, folder / stored.FILE),
    )
