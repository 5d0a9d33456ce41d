"""A network that learns what the linear model leaves, and how sure it is."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from tvae.domains.sequences import gaussian_process
from tvae.engine.task import Params
from tvae.models.layers import Flag, Linear, hidden_layers

_START = -1.0  # before softplus, which makes a deviation of 0.31 of it


class Network(nn.Module):
    """Multilayer perceptron with two heads for each label.

    Attributes:
      labels: d.
      widths: of the hidden layers.
      dropout: rate behind each hidden layer; layers past its end have none.
      heteroscedastic: whether the deviation depends on the row, not only on the label.
    """

    labels: int
    widths: tuple[int, ...] = (96, 64)
    dropout: tuple[float, ...] = (0.3, 0.15)
    heteroscedastic: bool = True

    def setup(self) -> None:
        """Make the layers."""
        self.trunk = Trunk(self.widths, self.dropout)
        self.residual = Linear(self.labels, kernel_scale=0.3, zero_bias=True)
        self.deviation = Linear(self.labels, kernel_scale=0.3, zero_bias=True)

    def __call__(self, x: jax.Array, train: Flag = False) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Map features.

        Args:
          x: ``(..., f)``.
          train: whether dropout acts.

        Returns:
          Hidden features ``(..., widths[-1])``, what is added to the linear prediction and the
          deviation before its softplus, ``(..., d)`` each.
        """
        hidden = self.trunk(x, train)
        seen = hidden if self.heteroscedastic else jnp.zeros_like(hidden)
        return hidden, self.residual(hidden), self.deviation(seen) + _START

    def decode(self, hidden: jax.Array) -> jax.Array:
        """What is added to the linear prediction, of hidden features."""
        return self.residual(hidden)


class Trunk(nn.Module):
    """The hidden layers of :class:`Network`."""

    widths: tuple[int, ...]
    dropout: tuple[float, ...]

    @nn.compact
    def __call__(self, x: jax.Array, train: Flag = False) -> jax.Array:
        """Map ``(..., f)`` to ``(..., widths[-1])``."""
        return hidden_layers(x, self.widths, activation=nn.gelu, dropout=self.dropout, active=train)


def scale_inputs(network: Params, scale: jax.Array) -> Params:
    """Parameters of a network that takes unscaled features in place of scaled ones.

    So networks of several scales share their input, and with it one product of matrices.

    Args:
      network: parameters of :class:`Network`.
      scale: ``(f,)``.
    """
    first = network["trunk"]["hidden_0"]
    scaled = first | {"kernel": first["kernel"] * scale[:, None]}
    return network | {"trunk": network["trunk"] | {"hidden_0": scaled}}


def input_scale(own: Params) -> jax.Array:
    """Scale ``(f,)`` of features by the sizes of a part's linear weights, the mean of its labels.

    Args:
      own: arrays of a part, see :func:`tvae.domains.sequences.closed_form.part_of`.
    """
    size = jnp.abs(own["weights"])
    relative = size / jnp.maximum(size.max(1, keepdims=True), 1e-12)
    return own["used"] * gaussian_process.feature_scale(relative.mean(0))


def deviation(raw: jax.Array, least: jax.Array) -> jax.Array:
    """Standard deviation of a network's raw output."""
    return jax.nn.softplus(raw) + least


def mean_below(mean: jax.Array, sd: jax.Array, cap: jax.Array) -> jax.Array:
    r"""Mean of a normal variable that is reported as the cap from there on.

    .. math:: E[\min(y, c)] = μ - σ\,(a\,Φ(a) + φ(a)), \qquad a = (μ - c)/σ

    >>> mean_below(jnp.zeros(2), jnp.ones(2), jnp.asarray([0.0, 1e6])).round(4).tolist()
    [-0.398..., 0.0]
    """
    a = (mean - cap) / sd
    return mean - sd * (a * norm.cdf(a) + norm.pdf(a))
