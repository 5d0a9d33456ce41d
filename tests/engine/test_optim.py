"""Optimizer groups, AdamW against a plain NumPy account of it, and clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.engine import optim

PARAMS = {"a": {"w": jnp.asarray([1.0, -2.0])}, "b": {"w": jnp.asarray([3.0])}}
GRADS = {"a": {"w": jnp.asarray([3.0, 4.0])}, "b": {"w": jnp.asarray([1e6])}}
RATE = jnp.float32(0.01)
HPARAMS = {"optimizer.weight_decay": jnp.float32(0.1)}


def labels(b="frozen"):
    return optim.label_groups(PARAMS, lambda path: {"a": "one", "b": b}[path[0]])


def settings(**changes):
    defaults = {"kind": "adamw", "b1": 0.9, "b2": 0.999, "eps": 1e-8, "max_nonfinite_steps": 10}
    return optim.OptimizerSettings(**(defaults | changes))


def update(tx, state, grads=GRADS, label_tree=None, gates=None):
    """One update as the step makes it: close the gates, clip, then the transformation."""
    gates = gates or {}
    label_tree = label_tree or labels()
    closed = optim.close_gates(grads, label_tree, gates)
    clip = optim.clip_factor(optim.global_norms(closed, label_tree)["total"], 1.0)
    clipped = jax.tree.map(lambda grad: clip * grad, closed)
    return tx.update(clipped, state, PARAMS, learning_rate=RATE, gates=gates)


def test_every_parameter_needs_a_group():
    with pytest.raises(ValueError, match="b/w"):
        optim.label_groups(PARAMS, lambda path: {"a/w": "one"}[path])


def test_adamw_step_and_frozen_group():
    tx = optim.make_optimizer(labels(), {"one": 0.5}, set(), settings(), HPARAMS)
    updates, _ = update(tx, tx.init(PARAMS))
    # The clipped gradient is (0.6, 0.8): the frozen 1e6 must not count in the norm. The first
    # Adam step is g / (|g| + eps) = 1 in each coordinate; the decay adds 0.1 * w; factor 0.5.
    expected = -0.5 * 0.01 * (np.asarray([1.0, 1.0]) + 0.1 * np.asarray([1.0, -2.0]))
    np.testing.assert_allclose(updates["a"]["w"], expected, rtol=1e-5)
    np.testing.assert_array_equal(updates["b"]["w"], [0.0])


def test_coupled_decay_enters_the_gradient():
    tx = optim.make_optimizer(
        labels(), {"one": 1.0}, set(), settings(kind="adam_l2", eps=1.0), HPARAMS
    )
    updates, _ = update(tx, tx.init(PARAMS))
    # g = (0.6, 0.8) + 0.1 * (1, -2) = (0.7, 0.6); first step g / (|g| + 1).
    np.testing.assert_allclose(updates["a"]["w"], [-0.01 * 0.7 / 1.7, -0.01 * 0.6 / 1.6], rtol=1e-5)


def test_frozen_parameters_have_no_moments():
    tx = optim.make_optimizer(labels(), {"one": 1.0}, set(), settings(), HPARAMS)
    sizes = sum(x.size for x in jax.tree.leaves(tx.init(PARAMS)))
    assert sizes == 2 * 2 + 1  # two moments of a/w, and the step count


def test_a_closed_gate_keeps_parameters_and_moments_without_a_new_trace():
    both = labels(b="two")
    tx = optim.make_optimizer(both, {"one": 1.0, "two": 1.0}, {"two"}, settings(), HPARAMS)
    jitted = jax.jit(lambda state, gate: update(tx, state, label_tree=both, gates={"two": gate}))
    _, opened = jitted(tx.init(PARAMS), jnp.bool_(True))
    updates, closed = jitted(opened, jnp.bool_(False))
    np.testing.assert_array_equal(updates["b"]["w"], [0.0])
    # Without the closed group's 1e6 the clipped gradient of the other is whole again.
    assert (jnp.abs(updates["a"]["w"]) > 1e-3).all()
    moments = [s.inner_states["two"].inner_state.inner_state[0] for s in (opened, closed)]
    jax.tree.map(np.testing.assert_array_equal, *moments)
    assert jitted._cache_size() == 1


def test_norms_by_group_leave_the_frozen_one_out():
    norms = optim.global_norms(GRADS, labels())
    assert norms == {"one": pytest.approx(5.0), "total": pytest.approx(5.0)}


def test_the_clip_is_torchs():
    # 1e-6 / (1e-6 + 1e-6), and a norm below the limit is left alone.
    assert float(optim.clip_factor(jnp.float32(1e-6), 1e-6)) == pytest.approx(0.5)
    assert float(optim.clip_factor(jnp.float32(0.25), 1.0)) == 1.0
    assert float(optim.clip_factor(jnp.float32(4.0), 1.0)) == pytest.approx(0.25, rel=1e-5)


def test_only_open_groups_pass_their_gradients():
    both = optim.label_groups(PARAMS, lambda path: {"a": "one", "b": "two"}[path[0]])
    for is_open in (True, False):
        passed = optim.close_gates(GRADS, both, {"two": jnp.bool_(is_open)})
        np.testing.assert_array_equal(passed["a"]["w"], [3.0, 4.0])
        np.testing.assert_array_equal(passed["b"]["w"], [1e6 * is_open])
    np.testing.assert_array_equal(optim.close_gates(GRADS, labels(), {})["b"]["w"], [0.0])


def test_both_decays_and_the_epsilon_reach_adam():
    """Two gradients g1 = 0.6, 0.8 and g2 = 0 with b1 = 1/2, b2 = 3/4 and eps = 1/10, by hand."""
    given = settings(b1=0.5, b2=0.75, eps=0.1)
    hparams = {"optimizer.weight_decay": jnp.float32(0.0)}
    tx = optim.make_optimizer(labels(), {"one": 1.0}, set(), given, hparams)
    _, state = update(tx, tx.init(PARAMS))
    zeros = jax.tree.map(jnp.zeros_like, GRADS)
    updates, _ = update(tx, state, grads=zeros)
    # m = g/4 over 1 - 1/4, v = 3/16 g² over 1 - 9/16: g/3 and 3/7 g².
    g = np.asarray([0.6, 0.8])
    expected = -0.01 * (g / 3) / (np.sqrt(3 / 7) * g + 0.1)
    np.testing.assert_allclose(updates["a"]["w"], expected, rtol=1e-5)
