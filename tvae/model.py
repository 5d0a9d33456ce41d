"""The public model: encode, embed, decode, sample, find neighbours, measure.

A :class:`Model` is a JAX pytree whose leaves are the parameters: close over it, pass it through
``jit``, ``vmap`` or ``grad``, or go below it with ``model.params`` and ``model.apply``.
"""

import dataclasses
import difflib
import functools
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from tvae.domains.inputs import as_numbers, read_items, read_key, require_count
from tvae.domains.views import (
    BALL,
    Attribution,
    Items,
    Placement,
    Points,
    Posterior,
    Predictions,
    ScoredPairs,
    Views,
)
from tvae.engine import step
from tvae.engine.task import Params
from tvae.errors import UserError
from tvae.geometry import poincare
from tvae.metrics import neighbourhood
from tvae.runs import files, text

_QUERIES_AT_ONCE = 64  # of nearest(): 64 x 19,683 distances are 5 MB


@flax.struct.dataclass
class Draw:
    """Draws of a model's prior.

    Attributes:
      z: what the decoder read, ``(n, latent_dim)``: points of the ball or latents.
      outputs: of the decoder, as :meth:`Model.decode` returns them.
      index: the most probable items, int32 ``(n,)``, -1 for outputs that are not an item; None
        where the items are not a finite set.
    """

    z: jax.Array
    outputs: jax.Array
    index: jax.Array | None


class Nearest(NamedTuple):
    """The items nearest to some, nearest first.

    Attributes:
      neighbour: int32 ``(N, k)`` indices; never the item itself.
      distance: hyperbolic, float32 ``(N, k)``.
    """

    neighbour: jax.Array
    distance: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Description:
    """The static part of a :class:`Model`; compared by identity.

    Attributes:
      path: the checkpoint's folder.
      views: the functions of the model.
      config: its configuration, complete.
      card: the checkpoint's own record: ``command``, ``run``, ``metrics``, as far as known.
      digest: of the parameters that were loaded, which the card is about.
    """

    path: pathlib.Path
    views: Views
    config: ConfigDict
    card: Mapping[str, Any]
    digest: str


@flax.struct.dataclass(eq=False)
class Model:
    """A trained model; see :func:`tvae.load`. Compared by identity.

    Attributes:
      params: parameter tree of float32 arrays, the leaves of this pytree.
      description: everything static.
    """

    params: Params
    description: Description = flax.struct.field(pytree_node=False)

    def __repr__(self) -> str:
        """Task, size and place instead of arrays."""
        numbers = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        return f"Model(task={self.task!r}, {numbers:,} parameters, {self.path})"

    @property
    def path(self) -> pathlib.Path:
        """The checkpoint's folder."""
        return self.description.path

    @property
    def task(self) -> str:
        """Name of the domain, such as ``"dual_vae"`` or ``"hyperbolic_vae"``."""
        return self.config.task

    @property
    def config(self) -> ConfigDict:
        """Its configuration, complete.

        That of a converted checkpoint describes the model; its fields of training are defaults.
        """
        return self.description.config

    @property
    def card(self) -> Mapping[str, Any]:
        """The checkpoint's own record; ``card["metrics"]`` is its model card's table."""
        return self.description.card

    @property
    def views(self) -> Views:
        """The functions of the model, each of which takes the parameters first."""
        return self.description.views

    @property
    def module(self) -> nn.Module:
        """The Flax module; its methods run by :meth:`apply`.

        Raises:
          UserError: if the functions of this domain do without a module.
        """
        if self.views.module is None:
            raise UserError(f"a model of task {self.task} has no Flax module")
        return self.views.module

    @property
    def apply(self) -> Any:
        """``module.apply``, such as ``model.apply({"params": model.params}, z, method="decode")``.

        ``model.params`` may be replaced by parameters with a gradient or a batch axis.
        """
        return self.module.apply

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one item as the encoder takes it, such as ``(9,)`` of an operation."""
        return self.views.input_shape

    @property
    def items(self) -> Items:
        """The finite set of all items.

        Raises:
          UserError: if the items of this domain are not a finite set.
        """
        if self.views.items is None:
            raise UserError(f"the items of domain {self.task} are not a finite set")
        return self.views.items

    @property
    def n_items(self) -> int:
        """Size of the set of all items, such as 19,683 operations; see :attr:`items`."""
        return self.items.count

    @property
    def latent_dim(self) -> int:
        """Dimension of latents and of the ball."""
        return self.views.latent_dim

    @property
    def embeddings(self) -> tuple[str, ...]:
        """Names that :meth:`embed` takes: ``("a", "b")``, ``("a",)``, or ``()`` without a ball."""
        return tuple(self.views.embed)

    @property
    def decoders(self) -> dict[str, tuple[str, ...]]:
        """Names that :meth:`decode` takes, by space; the first space is its default."""
        return {space: tuple(names) for space, names in self.views.decode.items()}

    @property
    def space(self) -> str:
        """What :meth:`decode` reads by default: ``"ball"`` or ``"latent"``."""
        return self.views.space

    def as_input(
        self,
        x: ArrayLike | None = None,
        *,
        index: ArrayLike | None = None,
        inputs: ArrayLike | None = None,
    ) -> jax.Array:
        """Items as the encoder takes them, from exactly one of the three arguments.

        Where the items are a finite set, integers ``x`` of rank 0 or 1 are indices, and all other
        arrays are items, such as digits. Under ``vmap`` a row of digits has rank 1: so integers of
        shape :attr:`input_shape` are refused, which could be either. Give ``inputs`` there.

        Args:
          x: N items, as the domain takes them, or their indices.
          index: indices of items, int ``(N,)`` or ``()``.
          inputs: items ``(..., *input_shape)``, such as digits, integers or floats.

        Raises:
          UserError: if none or several are given, or if they are not items.
        """
        return read_items(self.views, x=x, index=index, inputs=inputs)

    def encode(
        self,
        x: ArrayLike | None = None,
        *,
        index: ArrayLike | None = None,
        inputs: ArrayLike | None = None,
    ) -> Posterior:
        """Posterior parameters of items.

        Args:
          x: N items, or their indices; see :meth:`as_input`.
          index: indices, in place of ``x``.
          inputs: items, in place of ``x``.

        Returns:
          ``mu_a, logvar_a, mu_b, logvar_b``, each ``(N, latent_dim)``; those of B are None where
          the model has one encoder.

        Raises:
          UserError: if these are not items.
        """
        return _encode(self, self.as_input(x, index=index, inputs=inputs))

    def embed(
        self,
        x: ArrayLike | None = None,
        which: str = "a",
        *,
        index: ArrayLike | None = None,
        inputs: ArrayLike | None = None,
    ) -> jax.Array:
        """Points of the Poincaré ball, from the means.

        Args:
          x: N items, or their indices; see :meth:`as_input`.
          which: of :attr:`embeddings`.
          index: indices, in place of ``x``.
          inputs: items, in place of ``x``.

        Returns:
          float32 ``(N, latent_dim)``, points of the ball of curvature ``-curvature(which)``.

        Raises:
          UserError: if these are not items or the model has no such embedding.
        """
        _choose(self.views.embed, which, "embedding", self)
        return _embed(self, self.as_input(x, index=index, inputs=inputs), which).z

    def predict(self, x: Any) -> Predictions:
        """Predicted quantities of items with intervals; ``views.labels`` names the columns.

        Args:
          x: N items as the domain takes them, such as aligned sequences.

        Returns:
          ``value`` ``(N, labels)``; ``low`` and ``high`` ``(levels, N, labels)``, levels as in
          ``views.levels``.

        Raises:
          UserError: if these are not items, or models of this domain predict nothing.
        """
        if self.views.predict is None:
            raise UserError(f"predict: a model of task {self.task} predicts no labels")
        return _predict(self, self.views.as_input(x))

    def explain(self, x: Any) -> Attribution:
        """What each number of an item adds to its predictions; ``views.features`` names them.

        Args:
          x: N items as for :meth:`predict`.

        Returns:
          ``parts`` ``(labels, N, features)`` and ``start`` ``(labels,)``, on the scale on which the
          labels are learnt. Their sum is the prediction: exactly of a linear model, to the error of
          an integral of six points of others.

        Raises:
          UserError: as :meth:`predict`.
        """
        if self.views.explain is None:
            raise UserError(f"explain: a model of task {self.task} predicts no labels")
        x = self.views.as_input(x)
        return _explain(self, x.reshape(-1, *self.input_shape))

    def curvature(self, which: str = "a") -> jax.Array:
        """Curvature magnitude c of an embedding's ball, a float32 scalar.

        Raises:
          UserError: if the model has no such embedding.
        """
        _choose(self.views.embed, which, "embedding", self)
        return _curvature(self, which)

    def decode(self, z: ArrayLike, which: str = "a", *, space: str | None = None) -> jax.Array:
        """Outputs of a decoder, such as logits of operations.

        Args:
          z: ``(N, latent_dim)``: points of the ball if ``space`` is ``"ball"``, latents such as
            ``encode(x).mu_a`` if it is ``"latent"``.
          which: decoder, of ``decoders[space]``.
          space: of :attr:`decoders`; by default what the model's own forward pass decodes from:
            the ball in v6 and v5.12, latents in v5.5 and v5.11.

        Returns:
          ``(N, ...)``, of an operation logits ``(N, 9, 3)``; ``items.read`` finds the most probable
          items.

        Raises:
          UserError: if the model has no such decoder, ``z`` has another dimension or, outside of
            transformations, is not finite or not in the ball.
        """
        space = self.space if space is None else space
        by_space = _choose(self.views.decode, space, "decoder's space", self)
        _choose(by_space, which, f"decoder of the {space}", self)
        known = as_numbers(z, "decode")
        if known.shape[-1:] != (self.latent_dim,):
            raise UserError(f"decode: expected (..., {self.latent_dim}), got {known.shape}")
        points = jnp.asarray(known, jnp.float32)
        self._refuse_outside(points, space)
        return _decode(self, points, which, space)

    def _refuse_outside(self, z: jax.Array, space: str) -> None:
        """Refuse numbers that are not finite, and points outside the ball; not traced ones."""
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((z, self.params))):
            return
        if not np.isfinite(z).all():
            raise UserError("decode: expected finite numbers")
        if space == BALL and self.embeddings:
            radius = float(self.curvature(self.embeddings[0])) ** -0.5
            largest = float(np.max(np.linalg.norm(z, axis=-1), initial=0.0))
            if largest >= radius:
                raise UserError(
                    f"decode: expected points of the ball, of norm < {radius:.6g}, got "
                    f"{largest:.6g}"
                )

    def sample(self, key: jax.Array | int, n: int, which: str = "a") -> Draw:
        """Decode ``n`` (static) draws of the prior by a decoder of the default space.

        Args:
          key: from ``jax.random.key``, or a seed.
          n: number of draws, at least 1.
          which: decoder, of ``decoders[space]``.

        Raises:
          UserError: if the model has no such decoder, or ``key`` or ``n`` is something else.
        """
        _choose(self.views.decode[self.space], which, f"decoder of the {self.space}", self)
        require_count("sample", "n", n, 1)
        return _sample(self, read_key(key, "sample"), n, which)

    def nearest(self, index: ArrayLike, k: int, which: str = "a") -> Nearest:
        """The items nearest to some, by hyperbolic distance over the whole set.

        Args:
          index: int ``(N,)`` or ``()``.
          k: neighbours of each (static).
          which: of :attr:`embeddings`.

        Raises:
          UserError: if ``index`` or ``k`` is out of range, the model has no such embedding, or the
            items are not a finite set.
        """
        known = self.items.as_index(index)
        if self.views.nearest is None:
            _choose(self.views.embed, which, "embedding", self)
        require_count("nearest", "k", k, 1, self.n_items - 1)
        return _nearest(self, known, k, which)

    def find(self, name: str) -> int:
        """Index of the item with this label, such as the name of a node.

        Raises:
          UserError: naming the nearest labels if there is none, or if the items are not a finite
            set.
        """
        labels = self.items.labels(jnp.arange(self.n_items))
        if name not in labels:
            near = difflib.get_close_matches(str(name), labels, n=3)
            hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
            raise UserError(f"{self.items.name}: none is labelled {name!r}{hint}")
        return labels.index(name)

    def distance(self, i: ArrayLike, j: ArrayLike, which: str = "a") -> jax.Array:
        """Hyperbolic distances of items, in the model's own coordinates where it has such.

        Args:
          i: indices; broadcast with ``j``.
          j: indices.
          which: of :attr:`embeddings`.

        Returns:
          float32; of a model in Euclidean space Euclidean distances.

        Raises:
          UserError: if these are not indices, or the model has no such embedding.
        """
        i, j = jnp.broadcast_arrays(self.items.as_index(i), self.items.as_index(j))
        if self.views.distance is None:
            _choose(self.views.embed, which, "embedding", self)
        return _distance(self, i, j, which)

    def lineage(self, item: int) -> list[int]:
        """Items from the root to one along primary parents.

        Raises:
          UserError: if ``item`` is not an index, or items of this domain are not above each other.
        """
        above, tree = self._ancestors(item), self.items.tree
        if tree is None:
            raise UserError(f"the items of domain {self.task} have no tree")
        if not len(above):  # the root
            return [int(item)]
        return [int(tree.ancestor(item, level)) for level in range(int(tree.level(item)) + 1)]

    def place(self, items: Any, k: int = 5) -> Placement:
        """Place new items in a hierarchy, without training.

        Args:
          items: as the model's encoder takes them: a list of dictionaries of features; or a list of
            paths, each a list of names from the root down, the last of which may be new.
          k: nearest items that training saw (static).

        Returns:
          Points, nearest items and predicted ancestors.

        Raises:
          UserError: if the items are something else, or this model cannot place new ones.
        """
        if self.views.place is None:
            raise UserError(f"a model of task {self.task} has no places for new items")
        require_count("place", "k", k, 1)
        return self.views.place(self.params, items, k)

    def is_a(self, item: int, ancestor: int) -> bool:
        """Whether an item is below another, or is it, by any of its paths.

        Raises:
          UserError: as :meth:`lineage`.
        """
        known = int(self.items.as_index(ancestor))
        return known == item or known in self._ancestors(item)

    def score_pairs(self, file: str | os.PathLike[str]) -> ScoredPairs:
        """Is one item above another? The model's answer for the pairs of a file.

        Args:
          file: CSV, TSV or Parquet with the columns child, parent and, where they are to be
            compared, label: 1 or 0.

        Raises:
          UserError: if the file cannot be read, the model was trained without labelled pairs
            (``config.evaluation.pairs``), or items of this domain are not above each other.
        """
        if self.views.score_pairs is None:
            raise UserError(f"the items of domain {self.task} are not above each other")
        return self.views.score_pairs(self.params, os.fspath(file), self.card.get("metrics", {}))

    def _ancestors(self, item: int) -> np.ndarray:
        """The items above one."""
        known = int(self.items.as_index(item))
        if self.views.ancestors is None:
            raise UserError(f"the items of domain {self.task} are not above each other")
        return self.views.ancestors(known)

    def save(self, folder: str | os.PathLike[str]) -> pathlib.Path:
        """Write the model for :func:`tvae.load`: parameters, configuration, card and kept data.

        The card's metrics are left out where the parameters are not those that were loaded.

        Args:
          folder: must not exist, or be empty.

        Returns:
          Its absolute path.

        Raises:
          UserError: if the folder holds something or cannot be written.
        """
        from tvae.runs import archive, parameters  # Orbax takes seconds to import

        target = pathlib.Path(folder).expanduser().absolute()
        kept = archive.digest(self.params) == self.description.digest
        card = dict(self.card) if kept else dict(self.card) | {"metrics": {}}
        parameters.save_params(target, self.params, card, self.views.keep)
        return target

    def metrics(self) -> dict[str, Any]:
        """The final evaluation of the domain, from the parameters.

        The same figures as at the end of training (prior draws use the same key), without those
        that the parameters do not determine: ``val/*`` and ``train/*``. The coupled figures of v5.5
        need the permeability ``eval/rho`` of the last epoch and are left out where it is not
        recorded; those of the split's parts, where the weights were trained on another split.
        Takes seconds, most of them compiling: not for ``jit``.
        """
        key = step.purpose_key(jax.random.key(self.config.seed), step.Purpose.FINAL_EVALUATE)
        measured = self.views.measure(self.params, key, self.card.get("metrics", {}))
        return files.to_plain(jax.device_get(measured))


def _choose(choices: Mapping[str, Any], name: str, kind: str, model: Model) -> Any:
    """The entry of that name."""
    if not choices:
        raise UserError(f"{kind}: a model of task {model.task} has none")
    if not isinstance(name, str) or name not in choices:
        known = ", ".join(map(repr, choices))
        raise UserError(
            f"{kind}: expected one of {known} for task {model.task}, got {text.short(name)}"
        )
    return choices[name]


@jax.jit
def _encode(model: Model, x: jax.Array) -> Posterior:
    return model.views.encode(model.params, x)


@jax.jit
def _predict(model: Model, x: jax.Array) -> Predictions:
    ask: Any = model.views.predict
    return ask(model.params, x)


@jax.jit
def _explain(model: Model, x: jax.Array) -> Attribution:
    ask: Any = model.views.explain
    return ask(model.params, x)


@functools.partial(jax.jit, static_argnums=2)
def _embed(model: Model, x: jax.Array, which: str) -> Points:
    return model.views.embed[which](model.params, x)


@functools.partial(jax.jit, static_argnums=1)
def _curvature(model: Model, which: str) -> jax.Array:
    # Alone, so that the compiler drops the network that leads to the points.
    return model.views.embed[which](model.params, model.views.examples(1)[0]).c


@functools.partial(jax.jit, static_argnums=(2, 3))
def _decode(model: Model, z: jax.Array, which: str, space: str) -> jax.Array:
    return model.views.decode[space][which](model.params, z)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _sample(model: Model, key: jax.Array, n: int, which: str) -> Draw:
    z = model.views.prior(model.params, key, n)
    outputs = _decode(model, z, which, model.space)
    items = model.views.items
    return Draw(z=z, outputs=outputs, index=None if items is None else items.read(outputs))


@functools.partial(jax.jit, static_argnums=(2, 3))
def _nearest(model: Model, index: jax.Array, k: int, which: str) -> Nearest:
    own = model.views.nearest
    if own is not None:

        def ask(query: jax.Array) -> Nearest:
            return Nearest(*own(model.params, query, k))

        if index.ndim == 0:
            return ask(index)
        return jax.lax.map(ask, index, batch_size=_QUERIES_AT_ONCE)
    points = _embed(model, model.items.inputs(jnp.arange(model.n_items)), which)

    def search(query: jax.Array) -> Nearest:
        found = neighbourhood.nearest_neighbours(points.z, query[None], c=points.c, k=k)
        return Nearest(found.neighbour[0], found.distance[0])

    if index.ndim == 0:
        return search(index)
    return jax.lax.map(search, index, batch_size=_QUERIES_AT_ONCE)


@functools.partial(jax.jit, static_argnums=3)
def _distance(model: Model, i: jax.Array, j: jax.Array, which: str) -> jax.Array:
    if model.views.distance is not None:
        return model.views.distance(model.params, i, j)
    x, y = (_embed(model, model.items.inputs(k), which) for k in (i, j))
    return poincare.distance(x.z, y.z, c=x.c)
