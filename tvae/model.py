"""The public model: encode, embed, decode, sample, find neighbours, measure.

:func:`tvae.load` makes a :class:`Model` of a checkpoint. It is a JAX pytree whose leaves are the
parameters: close over it, pass it through ``jit``, ``vmap`` or ``grad``, or go below it with
``model.params`` and ``model.apply``. Nothing in it changes.

Operations are indices ``(N,)`` or digits -1, 0, +1 ``(N, n_digits)``; see
:func:`tvae.domains.operations.data.as_values` for what else counts as either.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from tvae.description import Description
from tvae.domains.operations.data import as_indices, as_values
from tvae.domains.views import Points, Posterior
from tvae.engine import step
from tvae.engine.task import Params
from tvae.errors import UserError
from tvae.geometry import padic as ternary
from tvae.metrics import neighbourhood
from tvae.runs import log as writers

_QUERIES_AT_ONCE = 64  # of nearest(): 64 x 19,683 distances are 5 MB


@flax.struct.dataclass
class Draw:
    """Draws of a model's prior.

    Attributes:
      z: what the decoder read, ``(n, latent_dim)``: points of the ball or latents.
      logits: ``(n, n_digits, 3)``.
      index: the operation of the most probable digits, int32 ``(n,)``.
    """

    z: jax.Array
    logits: jax.Array
    index: jax.Array


class Nearest(NamedTuple):
    """The operations nearest to some, nearest first.

    Attributes:
      neighbour: int32 ``(N, k)`` indices; never the operation itself.
      distance: hyperbolic, float32 ``(N, k)``.
    """

    neighbour: jax.Array
    distance: jax.Array


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
        return f"Model(task={self.task!r}, {numbers:,} parameters, {self.description.path})"

    @property
    def task(self) -> str:
        """Name of the task: ``"dual_vae"``, ``"projected_vae"`` or ``"hyperbolic_vae"``."""
        return self.description.task

    @property
    def config(self) -> ConfigDict | None:
        """The configuration it was trained with; None for converted checkpoints."""
        return self.description.config

    @property
    def card(self) -> Mapping[str, Any]:
        """What the checkpoint says of itself; ``card["metrics"]`` is its model card's table."""
        return self.description.card

    @property
    def module(self) -> nn.Module:
        """The Flax module."""
        return self.description.module

    @property
    def apply(self) -> Any:
        """The module's: ``model.apply({"params": model.params}, ..., method="...")``."""
        return self.module.apply

    @property
    def n_digits(self) -> int:
        """Digits of an operation."""
        return self.description.views.input_shape[0]

    @property
    def n_operations(self) -> int:
        """Size of the space, ``3 ** n_digits``."""
        return ternary.count(n_digits=self.n_digits)

    @property
    def latent_dim(self) -> int:
        """Dimension of latents and of the ball."""
        return self.description.views.latent_dim

    @property
    def embeddings(self) -> tuple[str, ...]:
        """Names that :meth:`embed` takes: ``("a", "b")``, ``("a",)``, or ``()`` without a ball."""
        return tuple(self.description.views.embed)

    @property
    def decoders(self) -> dict[str, tuple[str, ...]]:
        """Names that :meth:`decode` takes, by space; the first space is its default."""
        return {space: tuple(names) for space, names in self.description.views.decode.items()}

    @property
    def space(self) -> str:
        """What :meth:`decode` reads by default: ``"ball"`` or ``"latent"``."""
        return self.description.views.space

    def encode(self, x: ArrayLike) -> Posterior:
        """Posterior parameters of operations.

        Args:
          x: operations, ``(N,)`` indices or ``(N, n_digits)`` digits.

        Returns:
          ``mu_a, logvar_a, mu_b, logvar_b``, each ``(N, latent_dim)``; those of B are None where
          the model has one encoder.

        Raises:
          UserError: if ``x`` is no operation.
        """
        return _encode(self, as_values(x, n_digits=self.n_digits))

    def embed(self, x: ArrayLike, which: str = "a") -> jax.Array:
        """Points of the Poincaré ball, from the means.

        Args:
          x: operations, ``(N,)`` indices or ``(N, n_digits)`` digits.
          which: of :attr:`embeddings`.

        Returns:
          float32 ``(N, latent_dim)``, points of the ball of curvature ``-curvature(which)``.

        Raises:
          UserError: if ``x`` is no operation or the model has no such embedding.
        """
        return _embed(self, as_values(x, n_digits=self.n_digits), which).z

    def curvature(self, which: str = "a") -> jax.Array:
        """Curvature magnitude c of an embedding's ball, a float32 scalar."""
        return _embed(self, jnp.zeros(self.n_digits), which).c

    def decode(self, z: ArrayLike, which: str = "a", *, space: str | None = None) -> jax.Array:
        """Logits of operations.

        Args:
          z: ``(N, latent_dim)``: points of the ball if ``space`` is ``"ball"``, latents such as
            ``encode(x).mu_a`` if it is ``"latent"``.
          which: decoder, of ``decoders[space]``.
          space: of :attr:`decoders`; by default what the model's own forward pass decodes from:
            the ball in v6 and v5.12, latents in v5.5 and v5.11.

        Returns:
          ``(N, n_digits, 3)``; the most probable class of each, minus 1, is the digit.

        Raises:
          UserError: if the model has no such decoder or ``z`` has another dimension.
        """
        z = jnp.asarray(z, jnp.float32)
        if z.shape[-1:] != (self.latent_dim,):
            raise UserError(f"decode: expected (..., {self.latent_dim}), got {z.shape}")
        return _decode(self, z, which, self.space if space is None else space)

    def sample(self, key: jax.Array, n: int, which: str = "a") -> Draw:
        """Decode draws of the prior.

        Args:
          key: typed PRNG key.
          n: number of draws (static).
          which: decoder, of ``decoders[space]`` of the default space.

        Returns:
          The draws, their logits and the most probable operations.

        Raises:
          UserError: if the model has no such decoder.
        """
        return _sample(self, key, n, which)

    def nearest(self, index: ArrayLike, k: int, which: str = "a") -> Nearest:
        """The operations nearest to some, by hyperbolic distance over the whole space.

        Args:
          index: int ``(N,)`` or ``()``.
          k: neighbours of each (static).
          which: of :attr:`embeddings`.

        Returns:
          Their indices and hyperbolic distances, ``(N, k)`` each, nearest first.

        Raises:
          UserError: if ``index`` or ``k`` is out of range or the model has no such embedding.
        """
        index = as_indices(index, n_digits=self.n_digits)
        if not 1 <= k < self.n_operations:
            raise UserError(f"nearest: expected k in [1, {self.n_operations - 1}], got {k}")
        return _nearest(self, index, k, which)

    def metrics(self) -> dict[str, Any]:
        """The task's final evaluation, from deterministic means over all operations.

        The same figures as at the end of training (prior draws use the same key), without those
        that parameters do not tell: ``val/*`` and ``train/*``. The coupled figures of v5.5 need the
        permeability ``eval/rho`` of the last epoch and are left out where it is not recorded.

        Returns:
          Metric key, see :mod:`tvae.metrics.definitions`, -> number or list of numbers. Takes
          seconds, most of them compiling: not for ``jit``.
        """
        seed = 0 if self.config is None else self.config.seed
        key = step.purpose_key(jax.random.key(seed), step.Purpose.FINAL_EVALUATE)
        views = self.description.views
        measured = views.measure(self.params, key, self.description.recorded)
        return writers.to_plain(jax.device_get(measured))


def _choose(choices: Mapping[str, Any], name: str, what: str, model: Model) -> Any:
    """The entry of that name."""
    if not choices:
        raise UserError(f"{what}: a model of task {model.task} has none, it has no ball")
    if name not in choices:
        known = ", ".join(map(repr, choices))
        raise UserError(f"{what}: expected one of {known} for task {model.task}, got {name!r}")
    return choices[name]


@jax.jit
def _encode(model: Model, x: jax.Array) -> Posterior:
    return model.description.views.encode(model.params, x)


@functools.partial(jax.jit, static_argnums=2)
def _embed(model: Model, x: jax.Array, which: str) -> Points:
    views = model.description.views
    return _choose(views.embed, which, "embedding", model)(model.params, x)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _decode(model: Model, z: jax.Array, which: str, space: str) -> jax.Array:
    by_space = _choose(model.description.views.decode, space, "decoder's space", model)
    return _choose(by_space, which, f"decoder of the {space}", model)(model.params, z)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _sample(model: Model, key: jax.Array, n: int, which: str) -> Draw:
    z = model.description.views.prior(model.params, key, n)
    logits = _decode(model, z, which, model.space)
    return Draw(z=z, logits=logits, index=ternary.index_of(jnp.argmax(logits, -1)))


@functools.partial(jax.jit, static_argnums=(2, 3))
def _nearest(model: Model, index: jax.Array, k: int, which: str) -> Nearest:
    everything = ternary.values(jnp.arange(model.n_operations), n_digits=model.n_digits)
    points = _embed(model, everything, which)

    def search(query: jax.Array) -> Nearest:
        found = neighbourhood.nearest_neighbours(points.z, query[None], c=points.c, k=k)
        return Nearest(found.neighbour[0], found.distance[0])

    if index.ndim == 0:
        return search(index)
    return jax.lax.map(search, index, batch_size=_QUERIES_AT_ONCE)
