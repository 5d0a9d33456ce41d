"""A network that learns what the linear model leaves, and how sure it is."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from tvae.domains.sequences import gaussian_process
from tvae.engine.task import Params
from tvae.geometry import poincare, wrapped_normal
from tvae.models.layers import Flag, Linear, hidden_layers

_START = -1.0  # before softplus, which makes a deviation of 0.31 of it
_START_LOGVAR = -2.0  # so that the decoder sees a signal from the start


LATENTS = ("none", "gaussian", "poincare")
"""Space of a network's latents: none, the flat one, or the Poincaré ball of curvature -1."""


@flax.struct.dataclass
class Reading:
    """What a network makes of rows.

    Attributes:
      hidden: what the heads read, ``(..., width)``: hidden features, latents or points of the ball.
      residual: what is added to the linear prediction, ``(..., d)``.
      deviation: before its softplus, ``(..., d)``.
      mean: of the posterior, ``(..., latent_dim)``; None without latents.
      logvar: of the posterior, the same.
    """

    hidden: jax.Array
    residual: jax.Array
    deviation: jax.Array
    mean: jax.Array | None = None
    logvar: jax.Array | None = None


class Network(nn.Module):
    """Multilayer perceptron with two heads for each label, and perhaps a decoder of its latents.

    Attributes:
      labels: d.
      features: f, of the decoder.
      widths: of the hidden layers.
      dropout: rate behind each hidden layer; layers past its end have none.
      heteroscedastic: whether the deviation depends on the row, not only on the label.
      latent: of :data:`LATENTS`; with latents the heads read their means.
      latent_dim: dimension of the latents.
    """

    labels: int
    features: int
    widths: tuple[int, ...] = (96, 64)
    dropout: tuple[float, ...] = (0.3, 0.15)
    heteroscedastic: bool = True
    latent: str = "none"
    latent_dim: int = 16

    def setup(self) -> None:
        """Make the layers."""
        self.trunk = Trunk(self.widths, self.dropout)
        self.residual = Linear(self.labels, kernel_scale=0.3, zero_bias=True)
        self.deviation = Linear(self.labels, kernel_scale=0.3, zero_bias=True)
        if self.latent != "none":
            self.mean = Linear(self.latent_dim)
            self.logvar = Linear(self.latent_dim, kernel_scale=0.3, zero_bias=True)
            self.decoder_hidden = Linear(self.widths[-1])
            self.decoder = Linear(self.features)

    def __call__(self, x: jax.Array, train: Flag = False) -> Reading:
        """Map features ``(..., f)``; ``train``: whether dropout acts."""
        hidden, mean, logvar = self.trunk(x, train), None, None
        if self.latent != "none":
            mean, logvar = self.mean(hidden), self.logvar(hidden) + _START_LOGVAR
            hidden = to_point(mean) if self.latent == "poincare" else mean
        seen = hidden if self.heteroscedastic else jnp.zeros_like(hidden)
        deviation = self.deviation(seen) + _START
        return Reading(hidden, self.residual(hidden), deviation, mean, logvar)

    def decode(self, latent: jax.Array) -> jax.Array:
        """Logits ``(..., f)`` of the features of latents; of a network without, its residual."""
        if self.latent == "none":
            return self.residual(latent)
        return self.decoder(nn.gelu(self.decoder_hidden(latent)))

    def start(self, x: jax.Array) -> tuple[Reading, jax.Array]:
        """All layers, to initialise them."""
        found = self(x)
        return found, self.decode(found.hidden)


def to_point(mean: jax.Array) -> jax.Array:
    """Points of the ball ``(..., d)``, of hyperbolic radius as long as the means are."""
    return poincare.project(poincare.exp_map_origin(0.5 * mean, c=1.0), c=1.0)


def draw(latent: str, found: Reading, key: jax.Array) -> jax.Array:
    """A draw ``(..., latent_dim)`` of each row's posterior, a point where latents are points."""
    mean, logvar = jnp.asarray(found.mean), jnp.asarray(found.logvar)
    noise = jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
    if latent == "poincare":
        return wrapped_normal.wrap(found.hidden, noise, c=jnp.float32(1.0))
    return mean + noise


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
