"""The forecast of an embedding's use: its parts by hand, and that it can be learned."""

import jax
import jax.numpy as jnp
import optax
import pytest

from tvae.losses import consequence

RADIUS, LEVEL = jnp.asarray([0.9, 0.7, 0.2, 0.6]), jnp.asarray([0, 1, 2, 1])
NEUTRAL = jnp.asarray([False, False, True, False])


def test_accuracy_counts_the_neutral_operation_and_the_order():
    # Levels are 1 from their mean 1; radii 0.3, 0.1, -0.4, 0 from theirs, 0.6.
    r = 0.7 / (2 * (0.3**2 + 0.1**2 + 0.4**2)) ** 0.5
    value = consequence.addition_accuracy(RADIUS, LEVEL, NEUTRAL)
    assert float(value) == pytest.approx(0.3 + 0.35 * (1 + r), rel=1e-5)
    outside = consequence.addition_accuracy(RADIUS, LEVEL, ~NEUTRAL & (LEVEL == 0))
    assert float(outside) == pytest.approx(0.35 * (1 + r), rel=1e-5)


def test_network_and_embedding_learn():
    def loss(layers, z):
        norm = jnp.sqrt(jnp.square(z).sum(-1) + 1e-6)
        summary = consequence.embedding_summary(z, norm, LEVEL, jnp.float32(1.0))
        made = consequence.forecast(layers, summary)
        return consequence.consequence(made, norm, LEVEL, NEUTRAL)

    key_layers, key_z = jax.random.split(jax.random.key(0))
    layers, z = consequence.init_predictor(key_layers), jax.random.normal(key_z, (4, 3))
    both = jax.jit(jax.value_and_grad(loss, (0, 1)))
    first, (_, gradient) = both(layers, z)
    assert (jnp.abs(gradient).sum(-1) > 0).all()
    for _ in range(30):
        step = jax.tree.map(lambda g: -0.5 * g, both(layers, z)[1][0])
        layers = optax.apply_updates(layers, step)
    assert float(both(layers, z)[0]) < 0.01 * float(first)
