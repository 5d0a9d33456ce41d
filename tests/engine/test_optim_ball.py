"""Riemannian Adam by choice: for points of the ball alone, and refused where there are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import toy_task
from tvae.engine import optim, riemannian
from tvae.errors import UserError

PARAMS = {"anchors": jnp.asarray([[0.5, 0.1], [-0.2, 0.3]]), "bias": jnp.asarray([1.0, -2.0])}
GRADS = {"anchors": jnp.asarray([[0.3, -0.1], [0.2, 0.2]]), "bias": jnp.asarray([0.1, 0.2])}
RATE = jnp.float32(0.01)


def make(kind, ball_of, gated=frozenset()):
    labels = optim.label_groups(PARAMS, lambda _: "all")
    settings = toy_task.optimizer_settings(kind=kind, weight_decay=0.1, grad_clip=100.0)
    balls = optim.label_balls(PARAMS, ball_of)
    return optim.make_optimizer(labels, {"all": 0.5}, set(gated), settings, balls)


def curvature(path):
    return {"anchors": 1.5, "bias": 0.0}[path]


def test_points_take_riemannian_steps_and_the_rest_adam_l2():
    tx = make("riemannian_adam", curvature)
    flat = make("adam_l2", lambda _: 0.0)
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
        make("riemannian_adam", lambda _: 0.0)
