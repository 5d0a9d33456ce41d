"""A VAE over a curved or a flat space: features or a path in, a path and ancestors out."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from tvae.domains.hierarchy.geometry import GEOMETRIES, Geometry
from tvae.domains.hierarchy_vae.codes import ABSENT, N_CLASSES
from tvae.domains.hierarchy_vae.features import NONE
from tvae.geometry import numerics
from tvae.models.encoders import Encoder
from tvae.models.layers import Flag, Linear, hidden_layers


@flax.struct.dataclass
class Embedded:
    """The posterior of items.

    Attributes:
      row: centre, in the coordinates of the geometry, ``(..., latent_dim)``.
      logvar: log-variance of the tangent vector there, in units of the space of curvature -1.
      features: what the encoder read, ``(..., width)``.
    """

    row: jax.Array
    logvar: jax.Array
    features: jax.Array


@flax.struct.dataclass
class Decoded:
    """Unnormalised log-probabilities.

    Attributes:
      path: of the digits, ``(..., n_slots, 4)``.
      lineage: of the ancestors on all levels, ``(..., n_classes)``.
    """

    path: jax.Array
    lineage: jax.Array


@flax.struct.dataclass
class Passed:
    """A forward pass.

    Attributes:
      embedded: the posteriors.
      noise: tangent vectors that made the samples, ``(..., latent_dim)``.
      sample: in the coordinates of the geometry, ``(..., latent_dim)``.
      decoded: of the samples.
    """

    embedded: Embedded
    noise: jax.Array
    sample: jax.Array
    decoded: Decoded


class TokenBag(nn.Module):
    """Sum of the vectors of a set of tokens over the root of their number.

    Attributes:
      buckets: number of different tokens.
      width: of the vectors.
      dropout: share of tokens left out in training.
    """

    buckets: int
    width: int
    dropout: jax.Array | float = 0.0

    @nn.compact
    def __call__(self, tokens: jax.Array, train: Flag = False) -> jax.Array:
        """Map int ``(..., most)`` to ``(..., width)``; :data:`NONE` is no token."""
        table = self.param("table", nn.initializers.normal(0.1), (self.buckets, self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        kept = tokens != NONE
        if train is not False:
            drawn = jax.random.uniform(self.make_rng("dropout"), tokens.shape)
            kept &= (drawn >= self.dropout) | ~jnp.asarray(train)
        weight = kept.astype(table.dtype)
        total = (table[jnp.maximum(tokens, 0)] * weight[..., None]).sum(-2)
        root = jnp.sqrt(jnp.maximum(weight.sum(-1, keepdims=True), 1.0))
        return total / root + jnp.broadcast_to(bias, total.shape)


class Heads(nn.Module):
    """Decoder of a tangent vector at the origin: digits of the path, and ancestors.

    Attributes:
      n_slots: digits of a path.
      n_classes: ancestors of all levels; 0 for none.
      widths: hidden widths.
    """

    n_slots: int
    n_classes: int
    widths: tuple[int, ...] = (256,)

    @nn.compact
    def __call__(self, v: jax.Array) -> Decoded:
        """Map ``(..., latent_dim)`` to :class:`Decoded`."""
        h = hidden_layers(v, self.widths, activation=nn.silu)
        path = Linear(N_CLASSES * self.n_slots, name="path")(h)
        lineage = Linear(self.n_classes, name="lineage")(h) if self.n_classes else h[..., :0]
        return Decoded(path.reshape(*v.shape[:-1], self.n_slots, N_CLASSES), lineage)


class HierarchyVAE(nn.Module):
    r"""Encoder, exponential map at the origin, noise in the tangent space there, decoder.

    .. math:: x = \exp_0(r\,\mu / \|\mu\|), \quad r = R \tanh(\|\mu\| / R), \quad
              y = \exp_x(P_{0 \to x} v), \quad \text{logits} = D(\log_0 y)

    In Euclidean space :math:`x = \mu` and :math:`y = x + v`.

    Attributes:
      geometry: name of the space.
      encoder: its heads are the tangent vector at the origin and the posterior's log-variance.
      decoder: of tangent vectors at the origin.
      bag: of tokens, where these are the encoder's inputs; None where paths are.
      max_radius: R, hyperbolic radius for curvature -1.
      direct: linear map from the encoder's inputs to the ancestors, beside the decoder; or None.
    """

    geometry: str
    encoder: Encoder
    decoder: Heads
    bag: TokenBag | None = None
    max_radius: float = 10.0
    direct: Linear | None = None

    @property
    def space(self) -> Geometry:
        """The geometry of the latent space."""
        return GEOMETRIES[self.geometry]

    def __call__(self, x: jax.Array, noise: jax.Array, train: Flag = False) -> Passed:
        """Embed, sample and decode items.

        Args:
          x: classes of digits ``(..., n_slots)``, or tokens ``(..., most)``.
          noise: standard normal, ``(..., latent_dim)``; zeros decode the centre.
          train: whether tokens are left out at random.
        """
        embedded = self.embed(x, train)
        v = jnp.exp(0.5 * embedded.logvar) * noise
        sample = self.space.surface(self.max_radius).follow(embedded.row, v)
        return Passed(embedded, v, sample, self.decode(sample, embedded.features))

    def embed(self, x: jax.Array, train: Flag = False) -> Embedded:
        """The posterior of items; see :meth:`__call__`."""
        features = self._features(x, train)
        mu, logvar = self.encoder(features)
        if self.space.curved:
            square = numerics.squared_norm(mu, keepdims=True) / self.max_radius**2
            mu = numerics.tanh_ratio(square) * mu
        return Embedded(self.space.from_tangent(mu), logvar, features)

    def _features(self, x: jax.Array, train: Flag) -> jax.Array:
        if self.bag is not None:
            return self.bag(x, train)
        digits = jax.nn.one_hot(x, ABSENT)  # of an absent digit zeros
        return digits.reshape(*x.shape[:-1], -1)

    def decode(self, row: jax.Array, features: jax.Array | None = None) -> Decoded:
        """What points ``(..., latent_dim)`` in the coordinates of the geometry stand for.

        Without the encoder's ``features`` the point decides alone.
        """
        decoded = self.decoder(self.space.to_tangent(row))
        if self.direct is None or features is None:
            return decoded
        return Decoded(decoded.path, decoded.lineage + self.direct(features))
