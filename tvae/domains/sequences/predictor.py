"""Predictions of trained models: of one part for new rows, and of all rows by other folds' models.

All functions are pure in the parameters and traceable.
"""

import dataclasses
import functools

import flax.struct
import jax
import jax.numpy as jnp

from tvae.domains.sequences import closed_form
from tvae.domains.sequences.closed_form import Sizes
from tvae.domains.sequences.network import (
    Network,
    Reading,
    deviation,
    input_scale,
    mean_below,
    scale_inputs,
)
from tvae.engine.task import Params

_NO_CAP = 1e6


@flax.struct.dataclass
class HeldOut:
    """Predictions of all rows by models of the other folds, ``(n, d)`` each.

    Attributes:
      prediction: of what the configuration predicts with.
      linear: of ridge regression.
      process: of the second stage; None without one.
      network: of the networks' average; None without any.
    """

    prediction: jax.Array
    linear: jax.Array
    process: jax.Array | None
    network: jax.Array | None


@dataclasses.dataclass(frozen=True)
class Predictor:
    """What predicts.

    Attributes:
      sizes: of the table.
      kind: of :data:`tvae.domains.sequences.config.KINDS`.
      members: networks of each part.
      module: one network.
      likelihood: whether the networks learn a distribution of values that end at a bound.
    """

    sizes: Sizes
    kind: str
    members: int
    module: Network
    likelihood: bool = True

    @property
    def has_process(self) -> bool:
        """Whether the second stage is fitted."""
        return self.kind in ("gaussian_process", "average")

    @property
    def has_network(self) -> bool:
        """Whether there are networks."""
        return self.kind in ("network", "average")

    @property
    def networks(self) -> int:
        """Number of networks."""
        return self.sizes.parts * self.members

    @functools.cached_property
    def part_of_network(self) -> jax.Array:
        """The part of each network, int32; the members of a part are neighbours."""
        return jnp.repeat(jnp.arange(self.sizes.parts), self.members)

    def of_part(
        self, params: Params, part: jax.Array | int, features: jax.Array, least: jax.Array
    ) -> jax.Array:
        """Predictions ``(n, d)`` of rows by the models of a part.

        Args:
          params: of the model.
          part: 0 to K; K is fitted to all rows.
          features: ``(n, f)``.
          least: smallest standard deviation of a network.
        """
        linear = closed_form.linear_of(closed_form.part_of(params["solved"], part), features)
        process = closed_form.predict(params, part, features)[1] if self.has_process else None
        network = self.network(params, part, features, least) if self.has_network else None
        return self._combine(linear, process, network)

    def _combine(
        self, linear: jax.Array, process: jax.Array | None, network: jax.Array | None
    ) -> jax.Array:
        """The prediction of the kind."""
        found = [x for x in (process, network) if x is not None]
        return sum(found[1:], found[0]) / len(found) if found else linear

    def network(
        self, params: Params, part: jax.Array | int, features: jax.Array, least: jax.Array
    ) -> jax.Array:
        """Mean predictions ``(n, d)`` of a part's networks.

        Of a label whose values end at a bound, the mean of values reported as the bound from there
        on.
        """
        own = closed_form.part_of(params["solved"], part)
        linear = closed_form.linear_of(own, features)
        scale = input_scale(own)
        table = params["table"]
        bounded = (table["censored"] > 0) & (table["fold"] != part)[:, None]
        cap = jnp.where(bounded.any(0), own["high"], _NO_CAP)[None, :]

        def one(network: Params) -> jax.Array:
            found = self.run(scale_inputs(network, scale), features)
            mean = linear + found.residual
            if not self.likelihood:
                return jnp.minimum(mean, cap)
            return mean_below(mean, deviation(found.deviation, least), cap)

        return jax.vmap(one)(self._networks(params, part)).mean(0)

    def run(self, network: Params, x: jax.Array, dropout_key: jax.Array | None = None) -> Reading:
        """What a network makes of rows; with a key dropout acts."""
        rngs = {} if dropout_key is None else {"dropout": dropout_key}
        bound = self.module.bind({"params": network}, rngs=rngs)
        return bound(x, dropout_key is not None)

    def _networks(self, params: Params, part: jax.Array | int) -> Params:
        """Parameters of a part's networks, leading with members."""
        return jax.tree.map(
            lambda leaf: leaf.reshape(self.sizes.parts, self.members, *leaf.shape[1:])[part],
            params["network"],
        )

    def read(self, params: Params, features: jax.Array) -> Reading:
        """What the first network of all rows makes of some.

        Without networks the hidden features are the standardised linear predictions.
        """
        own = closed_form.part_of(params["solved"], self.sizes.folds)
        if not self.has_network:
            flat = features.reshape(-1, features.shape[-1])
            z = closed_form.standardise(own, closed_form.linear_of(own, flat))
            z = z.reshape(*features.shape[:-1], -1)
            return Reading(z, jnp.zeros_like(z), jnp.zeros_like(z))
        return self.run(scale_inputs(self._first(params), input_scale(own)), features)

    def _first(self, params: Params) -> Params:
        """Parameters of the first network of all rows."""
        return jax.tree.map(lambda leaf: leaf[0], self._networks(params, self.sizes.folds))

    def decode(self, params: Params, latent: jax.Array) -> jax.Array:
        """Logits of features that the first network decodes, where it has latents.

        Of hidden features what it adds to the linear predictions; without networks these
        themselves.
        """
        if not self.has_network:
            own = closed_form.part_of(params["solved"], self.sizes.folds)
            shift = jnp.broadcast_to(own["centre"], latent.shape)
            return shift + latent * jnp.broadcast_to(jnp.maximum(own["spread"], 1e-3), latent.shape)
        return self.module.bind({"params": self._first(params)}).decode(latent)

    @property
    def has_latents(self) -> bool:
        """Whether networks have a posterior and a decoder."""
        return self.has_network and self.module.latent != "none"

    @property
    def latent_dim(self) -> int:
        """Dimension of the latents."""
        if self.has_latents:
            return self.module.latent_dim
        return self.module.widths[-1] if self.has_network else self.sizes.labels

    def held_out(self, params: Params, least: jax.Array | float) -> HeldOut:
        """Predictions of all rows by models that did not see their folds."""
        table, solved = params["table"], params["solved"]
        own = table["fold"].astype(jnp.int32)
        least = jnp.asarray(least, jnp.float32)

        def of_own(values: jax.Array) -> jax.Array:
            return jnp.take_along_axis(values, own[None, :, None], axis=0)[0]

        parts = jnp.arange(self.sizes.folds)
        linear = of_own(
            jax.lax.map(
                lambda part: closed_form.linear_of(
                    closed_form.part_of(solved, part), table["features"]
                ),
                parts,
            )
        )
        process = solved["held_out"] if self.has_process else None
        network = None
        if self.has_network:
            network = of_own(
                jax.lax.map(
                    lambda part: self.network(params, part, table["features"], least), parts
                )
            )
        return HeldOut(self._combine(linear, process, network), linear, process, network)
