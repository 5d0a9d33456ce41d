"""Decoders: latent points to the logits of every digit."""

import flax.linen as nn
import jax

from tvae.models.layers import Activation, Flag, Linear, hidden_layers


class Decoder(nn.Module):
    """Multilayer perceptron.

    The defaults are v5.5's decoder A (16-32-64-27, ReLU, 4,411 parameters). v5.12's improved
    decoder is ``Decoder(normalize=True, dropout=0.1)`` (4,603 parameters); its linear layers keep
    their names, so weights of the plain one fit.

    Attributes:
      n_digits: digits of an operation.
      widths: widths of the hidden layers.
      normalize: layer norm and SiLU instead of ReLU.
      dropout: rate behind every hidden layer.
      activation: elementwise function, or None for what ``normalize`` says.
    """

    n_digits: int = 9
    widths: tuple[int, ...] = (32, 64)
    normalize: bool = False
    dropout: float = 0.0
    activation: Activation | None = None

    @nn.compact
    def __call__(self, z: jax.Array, train: Flag = False) -> jax.Array:
        """Decode latents ``(..., latent_dim)`` to logits ``(..., n_digits, 3)``.

        Args:
          z: latents.
          train: whether dropout acts.

        Returns:
          Logits of the three values of every digit.
        """
        h = hidden_layers(
            z,
            self.widths,
            activation=self.activation or (nn.silu if self.normalize else nn.relu),
            normalize=self.normalize,
            dropout=(self.dropout,) * len(self.widths),
            active=train,
        )
        logits = Linear(3 * self.n_digits, name="logits")(h)
        return logits.reshape(*z.shape[:-1], self.n_digits, 3)


class ResidualBlock(nn.Module):
    """``x + W2 relu(W1 x + b1) + b2`` at constant width."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``(..., width)`` to the same shape."""
        hidden = nn.relu(Linear(x.shape[-1], name="hidden")(x))
        return x + Linear(x.shape[-1], name="output")(hidden)


class ResidualDecoder(nn.Module):
    """Residual decoder (v5.5's decoder B): ReLU between blocks, none after the last.

    Attributes:
      n_digits: digits of an operation.
      width: width of the residual stream.
      n_blocks: number of residual blocks.
    """

    n_digits: int = 9
    width: int = 128
    n_blocks: int = 2

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Decode latents ``(..., latent_dim)`` to logits ``(..., n_digits, 3)``."""
        h = Linear(self.width, name="input")(z)
        for i in range(self.n_blocks):
            h = ResidualBlock(name=f"block_{i}")(nn.relu(h))
        logits = Linear(3 * self.n_digits, name="logits")(h)
        return logits.reshape(*z.shape[:-1], self.n_digits, 3)
