"""One VAE whose latent space is the Poincaré ball: its embedding alone decodes to the operation."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from tvae.geometry import poincare, wrapped_normal
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.projections import BallPoints, HyperbolicProjection


@flax.struct.dataclass
class HyperbolicVAEOutputs:
    """Outputs of a forward pass of :class:`HyperbolicVAE`.

    Attributes:
      ball: the embedding, centre of the posterior.
      logvar: log-variance of the posterior's tangent vector, ``(..., latent_dim)``.
      noise: tangent vector that made the sample, hyperbolic length, ``(..., latent_dim)``.
      sample_radius: hyperbolic radius of the sample, ``(...)``.
      logits: of the sample, ``(..., n_digits, 3)``.
    """

    ball: BallPoints
    logvar: jax.Array
    noise: jax.Array
    sample_radius: jax.Array
    logits: jax.Array


class HyperbolicVAE(nn.Module):
    r"""Encoder, projection into the ball, wrapped normal posterior there, decoder.

    .. math:: z = P(\mu(x)), \quad v \sim N(0, e^{\log\sigma^2(x)}), \quad
              y = \exp_z(P_{0 \to z} v), \quad \text{logits} = D(s \log_0 y)

    The decoder sees a point of the ball and nothing else. 58,380 parameters with the defaults.

    Attributes:
      encoder: its heads are the latent that is projected and the posterior's log-variance.
      projection: direction and radius nets.
      decoder: of scaled logarithms at the origin.
      decoder_scale: s, which brings log_0 (length at most 1.8 for norm 0.95) to the scale that the
        decoder's first layer separates well.
    """

    encoder: Encoder = Encoder()
    projection: HyperbolicProjection = HyperbolicProjection(n_layers=2)
    decoder: Decoder = Decoder()
    decoder_scale: float = 3.0

    def embed(self, x: jax.Array) -> tuple[BallPoints, jax.Array]:
        """Operations ``(..., n_digits)`` to points of the ball and log-variances."""
        mu, logvar = self.encoder(x)
        return self.projection(mu), logvar

    def decode(self, z: jax.Array) -> jax.Array:
        """Points of the ball ``(..., latent_dim)`` to logits ``(..., n_digits, 3)``."""
        tangent = poincare.log_map_origin(z, c=self.projection.c())
        return self.decoder(self.decoder_scale * tangent)

    def __call__(self, x: jax.Array, noise: jax.Array) -> HyperbolicVAEOutputs:
        """Embed, sample and decode operations; noise of zeros decodes the embedding."""
        ball, logvar = self.embed(x)
        v = jnp.exp(0.5 * logvar) * noise
        sample = wrapped_normal.wrap(ball.z, v, c=ball.c)
        return HyperbolicVAEOutputs(
            ball=ball,
            logvar=logvar,
            noise=v,
            sample_radius=poincare.hyperbolic_radius(sample, c=ball.c),
            logits=self.decode(sample),
        )
