"""Optimizer groups, AdamW against a plain NumPy account of it, and clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.training import optim

SETTINGS = {"weight_decay": 0.1, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
PARAMS = {"a": {"w": jnp.asarray([1.0, -2.0])}, "b": {"w": jnp.asarray([3.0])}}
GRADS = {"a": {"w": jnp.asarray([3.0, 4.0])}, "b": {"w": jnp.asarray([1e6])}}


def labels():
    return optim.label_groups(PARAMS, lambda path: {"a": "one", "b": "frozen"}[path[0]])


def test_every_parameter_needs_a_group():
    with pytest.raises(ValueError, match="b/w"):
        optim.label_groups(PARAMS, lambda path: {"a/w": "one"}[path])


def test_adamw_step_and_frozen_group():
    tx = optim.make_optimizer(labels(), grad_clip=1.0, **SETTINGS)
    rate = jnp.float32(0.01)
    updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, learning_rate=rate)
    # The clipped gradient is (0.6, 0.8): the frozen 1e6 must not count in the norm. The first
    # Adam step is g / (|g| + eps) = 1 in each coordinate; the decay adds 0.1 * w.
    expected = -0.01 * (np.asarray([1.0, 1.0]) + 0.1 * np.asarray([1.0, -2.0]))
    np.testing.assert_allclose(updates["a"]["w"], expected, rtol=1e-5)
    np.testing.assert_array_equal(updates["b"]["w"], [0.0])


def test_frozen_parameters_have_no_moments():
    tx = optim.make_optimizer(labels(), grad_clip=1.0, **SETTINGS)
    sizes = sum(x.size for x in jax.tree.leaves(tx.init(PARAMS)))
    assert sizes == 2 * 2 + 1  # two moments of a/w, and the step count


@pytest.mark.parametrize(("clip", "expected"), [(1.0, 1.0), (10.0, 5.0)])
def test_reported_norms_are_those_after_clipping(clip, expected):
    norms = optim.clipped_norms(GRADS, labels(), grad_clip=clip)
    assert norms["grad_norm/one"] == pytest.approx(expected, rel=1e-6)
    assert norms["grad_norm"] == pytest.approx(5.0, rel=1e-6)
    assert "grad_norm/frozen" not in norms
