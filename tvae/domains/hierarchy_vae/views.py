"""Views of a VAE of a hierarchy: its items, their points, and places of new items."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from tvae.domains.hierarchy import stored
from tvae.domains.hierarchy.geometry import GEOMETRIES, Geometry
from tvae.domains.hierarchy.views import make_items
from tvae.domains.hierarchy_vae import evaluation
from tvae.domains.hierarchy_vae.codes import N_CLASSES
from tvae.domains.hierarchy_vae.features import NONE
from tvae.domains.hierarchy_vae.module import HierarchyVAE
from tvae.domains.hierarchy_vae.placement import Placing
from tvae.domains.hierarchy_vae.study import Study, make_study
from tvae.domains.hierarchy_vae.task import make_module
from tvae.domains.inputs import as_numbers
from tvae.domains.views import BALL, LATENT, Points, Posterior, Views
from tvae.engine.task import Metrics, Params
from tvae.errors import UserError
from tvae.geometry import poincare


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """The functions of a trained VAE, each with the parameters first.

    Attributes:
      study: the hierarchy, encoded.
      module: of the model.
      c: curvature magnitude.
      prior_scale: standard deviation of the prior, in units of length.
      exact_up_to: see :func:`tvae.domains.hierarchy_vae.evaluation.measure`.
    """

    study: Study
    module: HierarchyVAE
    c: float
    prior_scale: float
    exact_up_to: int

    @property
    def space(self) -> Geometry:
        """The geometry of the latent space."""
        return self.module.space

    @property
    def root(self) -> jax.Array:
        """Root of the curvature magnitude: lengths of curvature -1 are divided by it."""
        return jnp.sqrt(jnp.float32(self.c))

    def as_input(self, x: ArrayLike) -> jax.Array:
        """A caller's items ``(..., width)``, classes of digits or tokens."""
        given = as_numbers(x, "items")
        tokens, width = self.study.tokens, self.study.inputs.shape[1]
        low, high = (0, N_CLASSES) if tokens is None else (NONE, tokens.buckets)
        if given.shape[-1:] != (width,):
            raise UserError(f"items: expected an array (..., {width}), got {given.shape}")
        if not isinstance(given, jax.core.Tracer):
            numbers = np.asarray(given)
            if ((numbers < low) | (numbers >= high) | (numbers != np.floor(numbers))).any():
                raise UserError(f"items: expected integers in [{low}, {high})")
        return jnp.asarray(given, jnp.int32)

    def inputs(self, index: jax.Array) -> jax.Array:
        """Items of indices ``(...)``, as the encoder takes them."""
        return jnp.asarray(self.study.inputs)[index]

    def rows(self, params: Params, x: jax.Array) -> jax.Array:
        """Points in the coordinates of the geometry."""
        return self.module.bind({"params": params}).embed(x).row

    def encode(self, params: Params, x: jax.Array) -> Posterior:
        """Tangent vector at the origin, and log-variance of the one at the point."""
        embedded = self.module.bind({"params": params}).embed(x)
        mean = self.space.to_tangent(embedded.row) / self.root
        return Posterior(mean, embedded.logvar - 2.0 * jnp.log(self.root))

    def embed(self, params: Params, x: jax.Array) -> Points:
        """Points of the Poincaré ball of curvature -c, whatever the geometry."""
        placed = self.space.place(self.rows(params, x))
        return Points(placed.point / self.root, jnp.float32(self.c))

    def decode_ball(self, params: Params, z: jax.Array) -> jax.Array:
        """Digits of points of the ball, ``(..., n_slots, 4)`` logits."""
        tangent = 2.0 * poincare.log_map_origin(z * self.root, c=1.0)
        return self._digits(params, self.space.from_tangent(tangent))

    def decode_flat(self, params: Params, z: jax.Array) -> jax.Array:
        """Digits of points of Euclidean space, ``(..., n_slots, 4)`` logits."""
        return self._digits(params, z * self.root)

    def _digits(self, params: Params, row: jax.Array) -> jax.Array:
        return self.module.bind({"params": params}).decode(row).path

    def prior(self, params: Params, key: jax.Array, n: int) -> jax.Array:
        """Draws of the prior, as the decoder takes them."""
        del params
        v = self.prior_scale * jax.random.normal(key, (n, self.module.encoder.latent_dim))
        if not self.space.curved:
            return v
        return poincare.exp_map_origin(0.5 * self.root * v, c=1.0) / self.root

    def posteriors(self, params: Params, x: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        """The posterior in normal coordinates at the origin, over the prior's scale."""
        posterior = self.encode(params, x)
        scale = 2.0 * jnp.log(jnp.float32(self.prior_scale))
        return {"a": (posterior.mu_a / self.prior_scale, posterior.logvar_a - scale)}

    def distance(self, params: Params, i: jax.Array, j: jax.Array) -> jax.Array:
        """Distances of items of one shape, as accurate as the network's own coordinates."""
        x, y = (self.space.place(self.rows(params, self.inputs(k))) for k in (i, j))
        return jnp.where(i == j, 0.0, self.space.distance(x, y) / self.root)

    def nearest(self, params: Params, item: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
        """The ``k`` items nearest to one, nearest first, and their distances."""
        every = jax.lax.map(
            lambda x: self.rows(params, x),
            jnp.asarray(self.study.inputs),
            batch_size=evaluation.AT_ONCE,
        )
        placed = self.space.place(every)
        keys = self.space.key(jax.tree.map(lambda a: a[item][None], placed), placed)[0]
        own = jnp.arange(len(self.study.known)) == item
        _, found = jax.lax.top_k(jnp.where(own, -jnp.inf, -keys), k)
        return found, self.distance(params, jnp.full(k, item), found)

    def ancestors(self, item: int) -> np.ndarray:
        """Ancestors of an item by every path, ascending."""
        offset, ancestor = self.study.known.closure
        return ancestor[offset[item] : offset[item + 1]]

    def measure(self, params: Params, key: jax.Array, recorded: Mapping[str, Any]) -> Metrics:
        """The final evaluation; no figure of it depends on a key or on training."""
        del key, recorded
        c = jnp.float32(self.c)
        return evaluation.measure(self.study, self.module, params, c, exact_up_to=self.exact_up_to)


def make_views(config: ConfigDict) -> Views:
    """Views of a VAE of a hierarchy.

    Raises:
      UserError: if the hierarchy cannot be read, or does not fit the configuration.
    """
    study, model = make_study(config), config.model
    network = Network(
        study=study,
        module=make_module(config, study),
        c=model.curvature,
        prior_scale=model.prior_scale,
        exact_up_to=evaluation.exact_up_to(config),
    )
    curved = GEOMETRIES[model.geometry].curved
    items = dataclasses.replace(
        make_items(study.known), inputs=network.inputs, read=study.codes.read
    )
    item = (
        "classes of the digits of its path, 0 to 2, 3 where there is none"
        if study.tokens is None
        else "hashed tokens of its features, -1 where there is none"
    )
    return Views(
        latent_dim=model.latent_dim,
        input_shape=study.inputs.shape[1:],
        input_dtype=jnp.int32,
        about=(
            f"An item is {item}. A decoder's outputs `(n, slots, 4)` are logits of these classes "
            "of the digits."
        ),
        as_input=network.as_input,
        examples=lambda n: items.inputs(items.spread(n)),
        encode=network.encode,
        posteriors=network.posteriors,
        embed={"a": network.embed} if curved else {},
        decode=(
            {BALL: {"a": network.decode_ball}} if curved else {LATENT: {"a": network.decode_flat}}
        ),
        prior=network.prior,
        distance=network.distance,
        nearest=network.nearest,
        ancestors=network.ancestors,
        place=Placing(study, network.module, model.curvature).place,
        measure=network.measure,
        items=items,
        keep=lambda folder: stored.write_stored(study.known, folder / stored.FILE),
        module=network.module,
    )
