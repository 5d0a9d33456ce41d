"""Encoders: operations to the parameters of a diagonal Gaussian posterior."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from tvae.models.layers import Activation, Flag, Linear, hidden_layers


class Encoder(nn.Module):
    """Multilayer perceptron with heads for mean and log-variance.

    The defaults are v5.5's (9-256-128-64, ReLU, 45,792 parameters). v5.12's improved encoder is
    ``Encoder(normalize=True, dropout=0.1, logvar_bounds=(-10.0, 2.0))`` (46,688 parameters); its
    linear layers keep their names, so weights of the plain one fit.

    Attributes:
      latent_dim: dimension of the latent space.
      widths: widths of the hidden layers.
      normalize: layer norm and SiLU instead of ReLU.
      dropout: rate behind every hidden layer but the last.
      logvar_bounds: hard clamp of logvar (gradient 0 outside), or None.
      activation: elementwise function, or None for the one that ``normalize`` implies.
      logvar_start: logvar of every operation at the start, up to a kernel a third of the usual
        one; the head's bias then counts from it. None: whatever the usual initialisation gives.
    """

    latent_dim: int = 16
    widths: tuple[int, ...] = (256, 128, 64)
    normalize: bool = False
    dropout: float = 0.0
    logvar_bounds: tuple[float, float] | None = None
    activation: Activation | None = None
    logvar_start: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: Flag = False) -> tuple[jax.Array, jax.Array]:
        """Encode items ``(..., n_inputs)`` to ``(mu, logvar)``; dropout acts where ``train``."""
        x = hidden_layers(
            x,
            self.widths,
            activation=self.activation or (nn.silu if self.normalize else nn.relu),
            normalize=self.normalize,
            dropout=(self.dropout,) * (len(self.widths) - 1),
            active=train,
        )
        mu = Linear(self.latent_dim, name="mu")(x)
        if self.logvar_start is None:
            logvar = Linear(self.latent_dim, name="logvar")(x)
        else:
            head = Linear(self.latent_dim, kernel_scale=0.3, zero_bias=True, name="logvar")
            logvar = head(x) + self.logvar_start
        return mu, logvar if self.logvar_bounds is None else jnp.clip(logvar, *self.logvar_bounds)
