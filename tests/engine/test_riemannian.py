"""Riemannian optimizers: the original's steps, the laws of a step, company in optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tvae.engine import riemannian
from tvae.geometry import poincare


def points(n=6, d=3, norm=0.5):
    x = np.random.default_rng(0).normal(size=(2, n, d)).astype(np.float32)
    x *= norm / np.linalg.norm(x, axis=-1, keepdims=True)
    return jnp.asarray(x[0]), jnp.asarray(x[1])


def make_run(tx, target, *, c=1.0):
    """One optimizer step on the squared distances to the targets."""

    @jax.jit
    def step(x, state):
        gradient = jax.grad(lambda x: jnp.sum(poincare.distance(x, target, c=c) ** 2))(x)
        updates, state = tx.update(gradient, state, x)
        return optax.apply_updates(x, updates), state, gradient

    return step


@pytest.mark.parametrize(
    ("case", "c", "tx"),
    [
        ("riemannian_adam_c1.0", 1.0, riemannian.riemannian_adam(0.05)),
        ("riemannian_adam_c2.0", 2.0, riemannian.riemannian_adam(0.02, weight_decay=0.01, c=2.0)),
        ("riemannian_sgd_c1.0", 1.0, riemannian.riemannian_sgd(0.02)),
        (
            "riemannian_sgd_c0.5",
            0.5,
            riemannian.riemannian_sgd(0.02, 0.9, weight_decay=1e-3, c=0.5),
        ),
    ],
)
def test_steps_equal_the_original(reference, case, c, tx):
    with np.load(reference / "golden/geometry_riemannian_optim" / f"{case}.npz") as file:
        golden = dict(file)
    step = make_run(tx, jnp.asarray(golden["in.target"]), c=c)
    x = poincare.project(jnp.asarray(golden["in.p0"]), c=c)
    state = tx.init(x)
    if case == "riemannian_sgd_c0.5":
        # There, momentum starts as the first *Euclidean* gradient; here, at 0.
        first = jnp.asarray(golden["f32.p_euclidean_grad_each_step"][0])
        state = tuple(
            s._replace(trace=first) if isinstance(s, riemannian.MomentumState) else s for s in state
        )
    for expected in golden["f32.p_after_each_step"]:
        x, state, _ = step(x, state)
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=5e-6)


def test_euclidean_parameters_stay_with_plain_adam(reference):
    with np.load(reference / "golden/geometry_riemannian_optim/riemannian_adam_c2.0.npz") as file:
        golden = dict(file)
    euclidean = optax.chain(optax.add_decayed_weights(0.01), optax.adam(0.002))
    tx = optax.multi_transform(
        {"ball": riemannian.riemannian_adam(0.02, weight_decay=0.01, c=2.0), "flat": euclidean},
        {"p": "ball", "e": "flat"},
    )
    target = {"p": jnp.asarray(golden["in.target"]), "e": jnp.asarray(golden["in.etarget"])}

    def loss(x):
        apart = poincare.distance(x["p"], target["p"], c=2.0)
        return jnp.sum(apart**2) + jnp.sum((x["e"] - target["e"]) ** 4)

    @jax.jit
    def step(x, state):
        updates, state = tx.update(jax.grad(loss)(x), state, x)
        return optax.apply_updates(x, updates), state

    start = poincare.project(jnp.asarray(golden["in.p0"]), c=2.0)
    x = {"p": start, "e": jnp.asarray(golden["in.e0"])}
    state = tx.init(x)
    for p, e in zip(golden["f32.p_after_each_step"], golden["f32.e_after_each_step"], strict=True):
        x, state = step(x, state)
        np.testing.assert_allclose(x["p"], p, rtol=1e-5, atol=5e-6)
        np.testing.assert_allclose(x["e"], e, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("exact", [False, True])
def test_first_adam_step_has_the_learning_rate_as_riemannian_length(exact):
    """Bias correction makes the first direction g/‖g‖_x, whatever the size of the gradient."""
    x, target = points()
    step = make_run(tx := riemannian.riemannian_adam(1e-3, exact=exact), target)
    moved, _, _ = step(x, tx.init(x))
    np.testing.assert_allclose(poincare.distance(x, moved, c=1.0), 1e-3, rtol=2e-3)


@pytest.mark.parametrize(
    "tx",
    [
        riemannian.riemannian_adam(optax.cosine_decay_schedule(0.2, 200)),
        riemannian.riemannian_adam(optax.cosine_decay_schedule(0.2, 200), exact=True),
        riemannian.riemannian_sgd(0.1, 0.9, nesterov=True),
        riemannian.riemannian_sgd(optax.cosine_decay_schedule(0.3, 200), exact=True),
    ],
    ids=["adam", "adam exact", "nesterov", "sgd schedule"],
)
def test_descends_to_targets_near_the_boundary(tx):
    x, target = points(norm=0.95)
    step = make_run(tx, target)
    state = tx.init(x)
    for _ in range(200):
        x, state, gradient = step(x, state)
        assert np.isfinite(gradient).all()
    assert poincare.distance(x, target, c=1.0).max() < 0.05


def test_huge_steps_stay_inside_the_ball():
    x, target = points(norm=0.9)
    for exact in (False, True):
        tx = riemannian.riemannian_sgd(-1e4, exact=exact)
        moved, _, _ = make_run(tx, target)(x, tx.init(x))
        norm = jnp.linalg.norm(moved, axis=-1)
        np.testing.assert_allclose(norm, 1.0 - 4e-3, rtol=1e-6)


def test_momentum_is_transported_to_wherever_the_parameters_went():
    """Halving the updates behind the chain, as a gate or schedule would, keeps it tangent."""
    x, _ = points(norm=0.8)
    tx = riemannian.riemannian_trace(0.5)
    gradient = jnp.ones_like(x)
    _, state = tx.update(gradient, tx.init(x), x)
    elsewhere = x[::-1]
    momentum, _ = tx.update(jnp.zeros_like(x), state, elsewhere)
    expected = 0.5 * poincare.parallel_transport(x, elsewhere, gradient, c=1.0)
    np.testing.assert_allclose(momentum, expected, rtol=1e-5, atol=1e-6)
    lengths = [
        poincare.conformal_factor(at, c=1.0) * jnp.linalg.norm(v, axis=-1)
        for at, v in ((x, gradient), (elsewhere, momentum))
    ]
    np.testing.assert_allclose(lengths[1], 0.5 * lengths[0], rtol=1e-5)


def test_update_without_params_is_refused():
    x, _ = points()
    tx = riemannian.to_riemannian()
    with pytest.raises(ValueError, match="need params"):
        tx.update(x, tx.init(x))
