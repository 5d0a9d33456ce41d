"""Small networks that adjust the training of others."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from tvae.models.layers import Linear, layer_norm


class StateNet(nn.Module):
    """v5.5's controller: nine training statistics to four corrections in (-1, 1).

    The reference system never trains it (nothing it returns reaches a loss), so it acts as a fixed
    random function; the task keeps it out of the optimizer.
    """

    @nn.compact
    def __call__(self, statistics: jax.Array) -> jax.Array:
        """Map ``(9,)`` = [H_A, H_B, KL_A, KL_B, gradient ratio, rho, lambda1..3] to ``(4,)``.

        The outputs move the learning rate, lambda1, lambda2 and lambda3.
        """
        h = layer_norm("encoder_norm")(Linear(32, name="encoder_hidden")(statistics))
        h = Linear(8, name="encoder_output")(nn.tanh(h))
        h = nn.relu(Linear(32, name="decoder_hidden")(h))
        return nn.tanh(Linear(4, name="decoder_output")(h))


@flax.struct.dataclass
class Control:
    """Output of :class:`DifferentiableController`, each of the shape of one statistic.

    Attributes:
      rho: permeability between the VAEs, in (0, 0.5).
      weight_geodesic: weight of the geodesic loss, above 0.1.
      weight_radial: weight of the radial loss, above 0.
      beta_a: weight of A's KL, above 0.5.
      beta_b: weight of B's KL, above 0.5.
      tau: temperature in (0, 1).
    """

    rho: jax.Array
    weight_geodesic: jax.Array
    weight_radial: jax.Array
    beta_a: jax.Array
    beta_b: jax.Array
    tau: jax.Array


def constant_control() -> Control:
    """The values that stand in for a controller where there is none (v5.12's training)."""
    return Control(*(jnp.float32(value) for value in (0.0, 1.0, 0.5, 1.0, 1.0, 0.5)))


class DifferentiableController(nn.Module):
    """Batch statistics to loss weights by two hidden layers (1,606 parameters of width 32)."""

    width: int = 32

    @nn.compact
    def __call__(self, statistics: jax.Array) -> Control:
        """Map ``(..., 8)`` statistics to weights ``(...)``.

        The statistics are radius A, radius B, hierarchy A, hierarchy B, KL A, KL B, geodesic loss,
        radial loss.
        """
        h = nn.silu(layer_norm("norm_0")(Linear(self.width, name="hidden_0")(statistics)))
        h = nn.silu(Linear(self.width, name="hidden_1")(h))
        raw = Linear(6, kernel_scale=0.01, zero_bias=True, name="output")(h)
        return Control(
            rho=0.5 * nn.sigmoid(raw[..., 0]),
            weight_geodesic=nn.softplus(raw[..., 1]) + 0.1,
            weight_radial=nn.softplus(raw[..., 2]),
            beta_a=nn.softplus(raw[..., 3]) + 0.5,
            beta_b=nn.softplus(raw[..., 4]) + 0.5,
            tau=nn.sigmoid(raw[..., 5]),
        )
