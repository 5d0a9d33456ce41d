"""Encoders: operations to the parameters of a diagonal Gaussian posterior."""

import flax.linen as nn
import jax

from tvae.models.layers import Linear


class Encoder(nn.Module):
    """Multilayer perceptron with heads for mean and log-variance (v5.5: 9-256-128-64, ReLU).

    Attributes:
      latent_dim: dimension of the latent space.
      widths: widths of the hidden layers.
    """

    latent_dim: int = 16
    widths: tuple[int, ...] = (256, 128, 64)

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Encode operations.

        Args:
          x: digit values in {-1, 0, +1}, float32 ``(..., n_digits)``.

        Returns:
          ``(mu, logvar)``, each ``(..., latent_dim)``; logvar is not clamped.
        """
        for i, width in enumerate(self.widths):
            x = nn.relu(Linear(width, name=f"hidden_{i}")(x))
        return Linear(self.latent_dim, name="mu")(x), Linear(self.latent_dim, name="logvar")(x)
