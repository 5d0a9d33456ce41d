"""v5.5: two VAEs over the same operations, coupled through a stop-gradient leak."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tvae.models.controllers import StateNet
from tvae.models.decoders import Decoder, ResidualDecoder
from tvae.models.encoders import Encoder


@flax.struct.dataclass
class Latents:
    """Posterior parameters of both encoders, each ``(..., latent_dim)``."""

    mu_a: jax.Array
    logvar_a: jax.Array
    mu_b: jax.Array
    logvar_b: jax.Array

    def by_encoder(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """Encoder "a" or "b" -> mean and log-variance."""
        return {"a": (self.mu_a, self.logvar_a), "b": (self.mu_b, self.logvar_b)}


@flax.struct.dataclass
class DualVAEOutputs:
    """What a forward pass of :class:`DualVAE` returns.

    Attributes:
      logits_a: ``(..., n_digits, 3)``, decoder A of the mixed latent.
      logits_b: ``(..., n_digits, 3)``, decoder B of the mixed latent.
      latents: posterior parameters.
      z_a: ``(..., latent_dim)``, latent of A before mixing.
      z_b: ``(..., latent_dim)``, latent of B before mixing.
    """

    logits_a: jax.Array
    logits_b: jax.Array
    latents: Latents
    z_a: jax.Array
    z_b: jax.Array


class DualVAE(nn.Module):
    """VAE A (plain decoder), VAE B (residual decoder) and the untrained StateNet.

    Fields as in ``config.data`` and ``config.model``.
    """

    n_digits: int = 9
    latent_dim: int = 16
    encoder_widths: tuple[int, ...] = (256, 128, 64)
    decoder_a_widths: tuple[int, ...] = (32, 64)
    decoder_b_width: int = 128
    decoder_b_blocks: int = 2

    def setup(self) -> None:
        """Name the five parts."""
        self.encoder_a = Encoder(self.latent_dim, self.encoder_widths)
        self.encoder_b = Encoder(self.latent_dim, self.encoder_widths)
        self.decoder_a = Decoder(self.n_digits, self.decoder_a_widths)
        self.decoder_b = ResidualDecoder(self.n_digits, self.decoder_b_width, self.decoder_b_blocks)
        self.state_net = StateNet()

    def encode(self, x: jax.Array) -> Latents:
        """Encode operations ``(..., n_digits)`` with both encoders."""
        return Latents(*self.encoder_a(x), *self.encoder_b(x))

    def decode_a(self, z: jax.Array) -> jax.Array:
        """Decoder A alone: ``(..., latent_dim)`` to logits ``(..., n_digits, 3)``."""
        return self.decoder_a(z)

    def decode_b(self, z: jax.Array) -> jax.Array:
        """Decoder B alone: ``(..., latent_dim)`` to logits ``(..., n_digits, 3)``."""
        return self.decoder_b(z)

    def correct(self, statistics: jax.Array) -> jax.Array:
        """StateNet's four corrections in (-1, 1) for statistics ``(9,)``."""
        return self.state_net(statistics)

    def __call__(
        self, x: jax.Array, noise_a: jax.Array, noise_b: jax.Array, *, rho: jax.Array | float
    ) -> DualVAEOutputs:
        r"""Encode, reparameterise, mix and decode.

        .. math:: z_V = \mu_V + e^{\log\sigma^2_V / 2}\,\epsilon_V, \qquad
                  \tilde z_A = (1-\rho) z_A + \rho\,\mathrm{sg}(z_B)

        and the same for B with A and B exchanged.

        Args:
          x: operations, float32 ``(..., n_digits)``.
          noise_a: standard normal noise times A's temperature, ``(..., latent_dim)``; zeros decode
            the means.
          noise_b: the same for B.
          rho: permeability in [0, 1], the share of the other VAE's latent.

        Returns:
          The outputs; gradients of A never reach B and vice versa.
        """
        latents = self.encode(x)
        z_a = latents.mu_a + jnp.exp(0.5 * latents.logvar_a) * noise_a
        z_b = latents.mu_b + jnp.exp(0.5 * latents.logvar_b) * noise_b
        mixed_a = (1.0 - rho) * z_a + rho * jax.lax.stop_gradient(z_b)
        mixed_b = (1.0 - rho) * z_b + rho * jax.lax.stop_gradient(z_a)
        return DualVAEOutputs(
            logits_a=self.decoder_a(mixed_a),
            logits_b=self.decoder_b(mixed_b),
            latents=latents,
            z_a=z_a,
            z_b=z_b,
        )

    def touch(self, x: jax.Array) -> None:
        """Run every part once, so that ``init`` creates all parameters."""
        zeros = jnp.zeros((*x.shape[:-1], self.latent_dim))
        self(x, zeros, zeros, rho=0.0)
        self.correct(jnp.zeros(9))


def make_model(config: ConfigDict) -> DualVAE:
    """The module that the configuration describes."""
    model = config.model
    return DualVAE(
        n_digits=config.data.n_digits,
        latent_dim=model.latent_dim,
        encoder_widths=tuple(model.encoder_widths),
        decoder_a_widths=tuple(model.decoder_a_widths),
        decoder_b_width=model.decoder_b_width,
        decoder_b_blocks=model.decoder_b_blocks,
    )
