"""The layers of every network here: linear map, dropout under a flag, stack of hidden layers."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Flag = bool | jax.Array
"""A Python bool (static: ``False`` costs nothing) or a traced boolean scalar."""

Activation = Callable[[jax.Array], jax.Array]
"""An elementwise function."""


def _symmetric_uniform(bound: float) -> nn.initializers.Initializer:
    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Linear(nn.Module):
    """Affine map ``x @ kernel + bias`` with kernel and bias drawn from U(-1/sqrt(n), 1/sqrt(n)).

    ``n`` is the number of inputs. Flax's own ``Dense`` cannot scale its bias by the inputs, and
    the reference system was trained from this initialisation (Kaiming uniform with a = sqrt 5).

    Attributes:
      features: number of outputs.
      kernel_scale: factor on the initial kernel; 0 starts a residual branch as the identity.
      zero_bias: start the bias at 0.
    """

    features: int
    kernel_scale: float = 1.0
    zero_bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``(..., n)`` to ``(..., features)``."""
        n_inputs = x.shape[-1]
        bound = n_inputs**-0.5
        kernel_init = _symmetric_uniform(bound * self.kernel_scale)
        bias_init = nn.initializers.zeros if self.zero_bias else _symmetric_uniform(bound)
        kernel = self.param("kernel", kernel_init, (n_inputs, self.features))
        bias = self.param("bias", bias_init, (self.features,))
        return x @ kernel + jnp.broadcast_to(bias, (*x.shape[:-1], self.features))


class Dropout(nn.Module):
    """Dropout under a flag that may be traced, so that freezing a part at run time silences it.

    Attributes:
      rate: probability of zeroing an entry, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, active: Flag = False) -> jax.Array:
        """Drop entries of ``x`` where ``active``; draws from the stream ``dropout``."""
        if self.rate == 0.0 or active is False:
            return x
        bits = jax.random.bits(self.make_rng("dropout"), x.shape, jnp.uint32)
        keep = bits < jnp.uint32(min(round((1.0 - self.rate) * 2**32), 2**32 - 1))
        return jnp.where(active, jnp.where(keep, x / (1.0 - self.rate), 0.0), x)


def layer_norm(name: str) -> nn.LayerNorm:
    """Layer normalisation as the reference system computes it."""
    # use_fast_variance=False: E[x²] - E[x]² loses digits where the mean is far from 0.
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)


def hidden_layers(
    x: jax.Array,
    widths: Sequence[int],
    *,
    activation: Activation,
    normalize: bool = False,
    dropout: Sequence[float] = (),
    active: Flag = False,
) -> jax.Array:
    """Stack ``hidden_i -> [norm_i] -> activation -> [dropout]`` inside a compact module.

    Args:
      x: ``(..., n)``.
      widths: width of each layer.
      activation: elementwise function.
      normalize: put a layer norm before each activation.
      dropout: rate behind each layer; the layers past its end have none.
      active: whether dropout acts.
    """
    rates = (*dropout, *(0.0 for _ in widths[len(dropout) :]))
    for i, (width, rate) in enumerate(zip(widths, rates, strict=True)):
        x = Linear(width, name=f"hidden_{i}")(x)
        x = layer_norm(f"norm_{i}")(x) if normalize else x
        x = Dropout(rate, name=f"dropout_{i}")(activation(x), active)
    return x
