"""Small networks that adjust the training of others."""

import flax.linen as nn
import jax

from tvae.models.layers import Linear


class StateNet(nn.Module):
    """v5.5's controller: nine training statistics to four corrections in (-1, 1).

    The original never trains it (nothing it returns reaches a loss), so it acts as a fixed random
    function; the task keeps it out of the optimizer.
    """

    @nn.compact
    def __call__(self, statistics: jax.Array) -> jax.Array:
        """Map ``(9,)`` = [H_A, H_B, KL_A, KL_B, gradient ratio, rho, lambda1..3] to ``(4,)``.

        The outputs move the learning rate, lambda1, lambda2 and lambda3.
        """
        h = Linear(32, name="encoder_hidden")(statistics)
        # use_fast_variance=False: the KL inputs reach thousands, where E[x²] - E[x]² loses digits.
        h = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name="encoder_norm")(h)
        h = Linear(8, name="encoder_output")(nn.tanh(h))
        h = nn.relu(Linear(32, name="decoder_hidden")(h))
        return nn.tanh(Linear(4, name="decoder_output")(h))
