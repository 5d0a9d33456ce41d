"""Riemannian Adam by choice: for points of the ball alone, and refused where there are none."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tvae.engine import optim, riemannian
from tvae.errors import UserError
from tvae.geometry import poincare

PARAMS = {"anchors": jnp.asarray([[0.5, 0.1], [-0.2, 0.3]]), "bias": jnp.asarray([1.0, -2.0])}
GRADS = {"anchors": jnp.asarray([[0.3, -0.1], [0.2, 0.2]]), "bias": jnp.asarray([0.1, 0.2])}
RATE = jnp.float32(0.01)


def make(kind, ball_of, gated=frozenset()):
    labels = optim.label_groups(PARAMS, lambda _: "all")
    settings = optim.OptimizerSettings(
        kind=kind, b1=0.9, b2=0.999, eps=1e-8, max_nonfinite_steps=10
    )
    hparams = {"optimizer.weight_decay": jnp.float32(0.1), "curvature": jnp.float32(1.5)}
    balls = optim.label_balls(PARAMS, ball_of)
    return optim.make_optimizer(labels, {"all": 0.5}, set(gated), settings, hparams, balls)


def curvature(path):
    return {"anchors": "curvature", "bias": ""}[path]


def test_points_take_riemannian_steps_and_the_rest_adam_l2():
    tx = make("riemannian_adam", curvature)
    flat = make("adam_l2", lambda _: "")
    # The library's own Riemannian Adam at the same rate times the group's factor.
    ball = riemannian.riemannian_adam(0.5 * 0.01, weight_decay=0.1, c=1.5)
    state, flat_state, ball_state = tx.init(PARAMS), flat.init(PARAMS), ball.init(PARAMS["anchors"])
    for _ in range(3):
        got, state = tx.update(GRADS, state, PARAMS, learning_rate=RATE, gates={})
        by_adam, flat_state = flat.update(GRADS, flat_state, PARAMS, learning_rate=RATE, gates={})
        by_ball, ball_state = ball.update(GRADS["anchors"], ball_state, PARAMS["anchors"])
        np.testing.assert_array_equal(got["bias"], by_adam["bias"])
        np.testing.assert_allclose(got["anchors"], by_ball, rtol=1e-6)
    assert not np.allclose(got["anchors"], by_adam["anchors"], rtol=0.1)


def test_the_first_two_steps_of_a_point_by_hand():
    """Adam of the Riemannian gradient, by plain NumPy, at a point that stays where it is."""
    b1, b2, eps, c, decay = 0.5, 0.75, 0.2, 1.5, 0.1
    settings = optim.OptimizerSettings("riemannian_adam", b1, b2, eps, max_nonfinite_steps=10)
    x = np.asarray(PARAMS["anchors"])
    hparams = {"optimizer.weight_decay": jnp.float32(decay), "curvature": jnp.float32(c)}
    labels = optim.label_groups(PARAMS, lambda _: "all")
    balls = optim.label_balls(PARAMS, curvature)
    tx = optim.make_optimizer(labels, {"all": 0.5}, set(), settings, hparams, balls)
    state = tx.init(PARAMS)
    factor = 2.0 / (1.0 - c * (x**2).sum(-1, keepdims=True))
    m, v = np.zeros_like(x), np.zeros((2, 1))
    for step, scale in ((1, 1.0), (2, -0.5)):
        grads = jax.tree.map(lambda g, s=scale: s * g, GRADS)
        updates, state = tx.update(grads, state, PARAMS, learning_rate=0.4, gates={})
        gradient = (scale * np.asarray(GRADS["anchors"]) + decay * x) / factor**2
        m = b1 * m + (1 - b1) * gradient
        v = b2 * v + (1 - b2) * factor**2 * (gradient**2).sum(-1, keepdims=True)
        wanted = -0.5 * 0.4 * (m / (1 - b1**step)) / (np.sqrt(v / (1 - b2**step)) + eps)
        np.testing.assert_allclose(updates["anchors"], wanted, rtol=1e-4)


@pytest.mark.parametrize("exact", [False, True])
def test_a_step_past_the_boundary_is_brought_back(exact):
    x, u = jnp.asarray([[0.6, 0.0]]), jnp.asarray([[0.3, 0.1]])
    moved = riemannian.retract(c=1.0, exact=exact).update(u, optax.EmptyState(), x)[0]
    wanted = poincare.exp_map(x, u, c=1.0) - x if exact else u
    np.testing.assert_allclose(moved, wanted, rtol=1e-5)
    far = riemannian.retract(c=1.0, exact=exact).update(100 * u, optax.EmptyState(), x)[0]
    np.testing.assert_allclose(jnp.linalg.norm(x + far), 1 - 4e-3, rtol=1e-5)


def test_momentum_looks_ahead_with_the_new_momentum():
    """Two gradients of 1 at one point, decay 1/2: m is 1, then 1.5; ahead 1.5, then 1.75."""
    x = jnp.asarray([[0.5, 0.1]])
    tx = riemannian.riemannian_trace(0.5, nesterov=True)
    state, found = tx.init(x), []
    for _ in range(2):
        ahead, state = tx.update(jnp.ones_like(x), state, x)
        found.append(ahead[0, 0])
    np.testing.assert_allclose(found, [1.5, 1.75], rtol=1e-5)


def test_a_moment_is_carried_to_where_the_point_went():
    """After a gradient at x, one of 0 at y: the step is along the transported first moment."""
    x, y, g = (jnp.asarray([p]) for p in ([0.6, 0.2], [-0.1, 0.7], [0.3, 0.1]))
    tx = riemannian.scale_by_riemannian_adam(0.5, 0.75, 0.0)
    _, state = tx.update(g, tx.init(x), x)
    step, _ = tx.update(jnp.zeros_like(g), state, y)
    carried = poincare.parallel_transport(x, y, g, c=1.0)
    np.testing.assert_allclose(
        step / jnp.linalg.norm(step), carried / jnp.linalg.norm(carried), rtol=1e-4
    )


def test_a_closed_gate_keeps_points_and_moments():
    tx = make("riemannian_adam", curvature, gated={"all"})
    state = tx.init(PARAMS)
    closed = {"all": jnp.bool_(False)}
    updates, after = tx.update(GRADS, state, PARAMS, learning_rate=RATE, gates=closed)
    assert not any(leaf.any() for leaf in jax.tree.leaves(updates))
    opened = {"all": jnp.bool_(True)}
    first, _ = tx.update(GRADS, state, PARAMS, learning_rate=RATE, gates=opened)
    later, _ = tx.update(GRADS, after, PARAMS, learning_rate=RATE, gates=opened)
    np.testing.assert_array_equal(first["anchors"], later["anchors"])
    assert first["anchors"].any()


def test_without_points_the_choice_is_refused():
    with pytest.raises(UserError, match="no parameter of this model is a point of the ball"):
        make("riemannian_adam", lambda _: "")
