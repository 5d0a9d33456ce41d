"""Decoders: latents to the logits of a string of classes."""

import flax.linen as nn
import jax

from tvae.models.layers import Activation, Flag, Linear, hidden_layers


class Decoder(nn.Module):
    """Multilayer perceptron.

    The defaults are v5.5's decoder A (16-32-64-27, ReLU, 4,411 parameters). v5.12's improved
    decoder is ``Decoder(normalize=True, dropout=0.1)`` (4,603 parameters); its linear layers keep
    their names, so weights of the plain one fit.

    Attributes:
      n_positions: positions of the decoded string.
      widths: widths of the hidden layers.
      normalize: layer norm and SiLU instead of ReLU.
      dropout: rate behind every hidden layer.
      activation: elementwise function, or None for the one that ``normalize`` implies.
      n_classes: classes at each position.
    """

    n_positions: int = 9
    widths: tuple[int, ...] = (32, 64)
    normalize: bool = False
    dropout: float = 0.0
    activation: Activation | None = None
    n_classes: int = 3

    @nn.compact
    def __call__(self, z: jax.Array, train: Flag = False) -> jax.Array:
        """Decode latents ``(..., latent_dim)`` to logits ``(..., n_positions, n_classes)``."""
        h = hidden_layers(
            z,
            self.widths,
            activation=self.activation or (nn.silu if self.normalize else nn.relu),
            normalize=self.normalize,
            dropout=(self.dropout,) * len(self.widths),
            active=train,
        )
        logits = Linear(self.n_classes * self.n_positions, name="logits")(h)
        return logits.reshape(*z.shape[:-1], self.n_positions, self.n_classes)


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
      n_positions: positions of the decoded string.
      width: width of the residual stream.
      n_blocks: number of residual blocks.
      n_classes: classes at each position.
    """

    n_positions: int = 9
    width: int = 128
    n_blocks: int = 2
    n_classes: int = 3

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Decode latents ``(..., latent_dim)`` to logits ``(..., n_positions, n_classes)``."""
        h = Linear(self.width, name="input")(z)
        for i in range(self.n_blocks):
            h = ResidualBlock(name=f"block_{i}")(nn.relu(h))
        logits = Linear(self.n_classes * self.n_positions, name="logits")(h)
        return logits.reshape(*z.shape[:-1], self.n_positions, self.n_classes)
