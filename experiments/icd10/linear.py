"""Linear heads on the same tokens: what the place in a space is compared with."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from tvae.domains.hierarchy_vae.lineages import Lineages
from tvae.domains.hierarchy_vae.module import TokenBag
from tvae.models.layers import Linear


class Heads(nn.Module):
    """A sum of vectors of tokens, and a linear map to the ancestors of all levels."""

    bag: TokenBag
    n_classes: int

    @nn.compact
    def __call__(self, tokens, train=False):
        """Logits ``(..., n_classes)``."""
        return Linear(self.n_classes)(self.bag(tokens, train))


def predict(study, config, *, levels):
    """Item that a joint decision over some levels finds for each unseen item.

    Args:
      study: of the configuration, with its split.
      config: of the VAE, whose tokens, width, rate, batch and epochs are taken.
      levels: which levels count, in training and in the decision.
    """
    lineages: Lineages = study.lineages
    module = Heads(
        TokenBag(config.data.buckets, config.model.bag_width, config.model.token_dropout),
        lineages.n_classes,
    )
    inputs, target = jnp.asarray(study.inputs), jnp.asarray(lineages.target)
    counts = jnp.asarray([k + 1 in levels for k in range(lineages.n_levels)], jnp.float32)
    learned, size = jnp.asarray(study.learned), config.data.block * config.data.blocks
    steps = learned.size // size
    peak = config.learning_rate.peak * config.model.linear_rate
    schedule = optax.cosine_decay_schedule(peak, steps * config.epochs)
    tx = optax.adam(schedule, b2=config.optimizer.b2)

    def loss(params, item, key):
        log_p = lineages.log_probabilities(
            module.apply({"params": params}, inputs[item], True, rngs={"dropout": key})
        )
        found = jnp.take_along_axis(log_p, jnp.maximum(target[item], 0), 1)
        return -(jnp.where(target[item] >= 0, found, 0.0) * counts[None]).sum(-1).mean()

    @jax.jit
    def epoch(params, state, key):
        order = jax.random.permutation(key, learned)[: steps * size].reshape(steps, size)

        def step(carry, batch):
            params, state, key = carry
            key, own = jax.random.split(key)
            updates, state = tx.update(jax.grad(loss)(params, batch, own), state, params)
            return (optax.apply_updates(params, updates), state, key), None

        return jax.lax.scan(step, (params, state, key), order)[0][:2]

    @jax.jit
    def best(params, x):
        def one(x):
            log_p = lineages.log_probabilities(module.apply({"params": params}, x))
            classes = jnp.asarray(lineages.target[lineages.candidates])
            return jnp.argmax((log_p[classes] * counts).sum(-1))

        return jax.lax.map(one, x, batch_size=256)

    params = module.init(jax.random.key(config.seed), inputs[:1])["params"]
    state = tx.init(params)
    for key in jax.random.split(jax.random.key(config.seed), config.epochs):
        params, state = epoch(params, state, key)
    return lineages.candidates[best(params, inputs[study.unseen])]
