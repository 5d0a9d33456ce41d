"""The one linear layer of the project."""

import flax.linen as nn
import jax
import jax.numpy as jnp


def _symmetric_uniform(bound: float) -> nn.initializers.Initializer:
    def init(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Linear(nn.Module):
    """Affine map ``x @ kernel + bias`` with kernel and bias drawn from U(-1/sqrt(n), 1/sqrt(n)).

    ``n`` is the number of inputs. Flax's own ``Dense`` cannot scale its bias by the inputs, and
    the reference system was trained from this initialisation (Kaiming uniform with a = sqrt 5).

    Attributes:
      features: number of outputs.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``(..., n)`` to ``(..., features)``."""
        n_inputs = x.shape[-1]
        init = _symmetric_uniform(n_inputs**-0.5)
        kernel = self.param("kernel", init, (n_inputs, self.features))
        bias = self.param("bias", init, (self.features,))
        return x @ kernel + jnp.broadcast_to(bias, (*x.shape[:-1], self.features))
