"""Balancing methods against their papers' definitions, on problems with a known answer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.support import toy_task
from tvae.engine import balancing
from tvae.engine.balancing import KINDS, Balancing, Moment, Terms
from tvae.engine.task import Gradients
from tvae.errors import UserError

RATE = jnp.float32(0.02)
OPTIONS = {"learning_rate": RATE, "asymmetry": jnp.float32(0.0), "temperature": jnp.float32(2.0)}


def moment(seed=0, epoch=0, **options):
    changed = {name: jnp.float32(value) for name, value in options.items()}
    return Moment(jax.random.key(seed), jnp.int32(epoch), OPTIONS | changed)


def terms(value, weight=None, gradients=None):
    value = jnp.asarray(value, jnp.float32)
    weight = jnp.ones_like(value) if weight is None else jnp.asarray(weight, jnp.float32)
    rows = jnp.eye(value.size) if gradients is None else jnp.asarray(gradients, jnp.float32)
    return Terms(value, weight, rows @ rows.T)


def first(kind, n_terms):
    return balancing.init(Balancing(kind), lambda: dict.fromkeys(map(str, range(n_terms)), 0.0))


def test_learned_variances_come_to_rest_at_the_losses():
    found, state = terms([4.0, 0.25]), first("uncertainty", 2)

    def step(state, _):
        weighing = balancing.weigh_by_uncertainty(state, found, moment())
        return weighing.state, weighing

    state, weighings = jax.lax.scan(step, state, None, length=400)
    # 1/2 e^-s L + s/2 is least at s = ln L, where it is 1/2 + (ln L)/2; here the logs cancel.
    np.testing.assert_allclose(state["log_variance"], np.log([4.0, 0.25]), atol=1e-3)
    np.testing.assert_allclose(weighings.coefficients[-1], [0.125, 2.0], rtol=2e-3)
    np.testing.assert_allclose(weighings.loss[-1], 1.0, rtol=1e-5)


def test_a_term_that_has_reached_zero_keeps_a_finite_weight():
    state = first("uncertainty", 2) | {"log_variance": jnp.asarray([-6.99, 0.0])}
    for _ in range(3):
        weighing = balancing.weigh_by_uncertainty(state, terms([0.0, 1.0]), moment())
        state = weighing.state
    np.testing.assert_allclose(weighing.coefficients, [np.exp(7) / 2, 0.5], rtol=1e-4)


def test_uncertainty_follows_the_gradient_of_the_papers_objective():
    value, weight, s = jnp.asarray([4.0, 0.5]), jnp.asarray([1.0, 3.0]), jnp.asarray([0.3, -0.2])

    def objective(s):
        return (weight * (0.5 * jnp.exp(-s) * value + 0.5 * s)).sum()

    state = first("uncertainty", 2) | {"log_variance": s}
    weighing = balancing.weigh_by_uncertainty(state, terms(value, weight), moment())
    change, _ = optax.scale_by_adam().update(jax.grad(objective)(s), state["adam"])
    np.testing.assert_allclose(weighing.loss, objective(s), rtol=1e-6)
    np.testing.assert_allclose(weighing.state["log_variance"], s - RATE * change, rtol=1e-5)


def test_gradnorm_makes_the_norms_equal():
    # Gradients of length 1 and 10 that do not change: with alpha 0 the coefficients, of mean 1,
    # come to rest at 20/11 and 2/11.
    found = terms([1.0, 1.0], gradients=[[1.0, 0.0], [0.0, 10.0]])

    def step(state, rate):
        weighing = balancing.weigh_by_gradient_norm(state, found, moment(learning_rate=rate))
        return weighing.state, weighing.coefficients

    rates = 0.02 * 0.98 ** jnp.arange(400)
    _, coefficients = jax.lax.scan(step, first("gradnorm", 2), rates)
    np.testing.assert_allclose(coefficients[0], [1.0, 1.0])
    np.testing.assert_allclose(coefficients[-1], [20 / 11, 2 / 11], atol=2e-3)
    np.testing.assert_allclose(coefficients.sum(1), 2.0, rtol=1e-5)


def test_gradnorm_favours_the_term_that_lags_behind():
    # Equal norms 1; losses at 1 and 1/4 of their first values: relative losses 1.6 and 0.4, so that
    # alpha = 1 wants norms in this ratio, which the coefficients have at rest.
    state = first("gradnorm", 2) | {"initial": jnp.asarray([2.0, 2.0])}
    found = terms([2.0, 0.5])

    def step(state, rate):
        options = moment(learning_rate=rate, asymmetry=1.0)
        weighing = balancing.weigh_by_gradient_norm(state, found, options)
        return weighing.state, weighing.coefficients

    _, coefficients = jax.lax.scan(step, state, 0.02 * 0.98 ** jnp.arange(400))
    np.testing.assert_allclose(coefficients[-1], [1.6, 0.4], atol=2e-3)


def test_dynamic_weight_average_equals_its_formula_over_epochs():
    # Two steps an epoch; means 4, 2, 1 of the first term and 1, 1, 3 of the second.
    losses = np.array([[3, 1], [5, 1], [2, 0.5], [2, 1.5], [1, 4], [1, 2], [9, 9]], np.float32)
    means = losses[:6].reshape(3, 2, 2).mean(1)
    state, found = first("dwa", 2), []
    for step, value in enumerate(losses):
        weighing = balancing.weigh_by_rate_of_descent(state, terms(value), moment(epoch=step // 2))
        state = weighing.state
        found.append(np.asarray(weighing.coefficients))

    def expected(ratio):
        return 2 * np.exp(ratio / 2) / np.exp(ratio / 2).sum()

    np.testing.assert_allclose(found[:4], 1.0, rtol=1e-6)
    np.testing.assert_allclose(found[4], expected(means[1] / means[0]), rtol=1e-6)
    np.testing.assert_allclose(found[5], found[4], rtol=1e-6)
    np.testing.assert_allclose(found[6], expected(means[2] / means[1]), rtol=1e-6)


def by_algorithm_1(gradients, orders):
    """PCGrad as in the paper, with vectors; the order of the other terms for each term."""
    total = np.zeros_like(gradients[0])
    for k, order in enumerate(orders):
        g = gradients[k].copy()
        for j in order:
            if j != k and g @ gradients[j] < 0:
                g -= (g @ gradients[j]) / (gradients[j] @ gradients[j]) * gradients[j]
        total += g
    return total


@pytest.mark.parametrize("n_terms", [2, 4])
def test_projected_gradients_equal_algorithm_1(n_terms):
    gradients = np.random.default_rng(n_terms).normal(size=(n_terms, 3))
    gradients[1] = -gradients[0] + 0.3 * gradients[1]  # in conflict
    found = terms(np.ones(n_terms), gradients=gradients)
    weighing = balancing.weigh_by_projection((), found, moment(seed=3))
    keys = jax.random.split(jax.random.key(3), n_terms)
    orders = [np.asarray(jax.random.permutation(key, n_terms)) for key in keys]
    expected = by_algorithm_1(gradients, orders)
    np.testing.assert_allclose(weighing.coefficients @ gradients, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected, gradients.sum(0))


def test_two_conflicting_gradients_are_projected_on_each_others_normal():
    # (1, 0) and (-1, 1): onto the normals of each other (1/2, 1/2) and (0, 1).
    gradients = np.array([[1.0, 0.0], [-1.0, 1.0]])
    weighing = balancing.weigh_by_projection((), terms([1, 1], gradients=gradients), moment())
    np.testing.assert_allclose(weighing.coefficients @ gradients, [0.5, 1.5], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_term_that_is_switched_off_changes_nothing(kind):
    gradients = np.array([[1.0, 0.5], [-1.0, 1.0]])
    method = balancing._METHODS[kind]
    both, off = [], []
    states = first(kind, 2), first(kind, 3)
    for step in range(3):
        two = terms([2.0 / (step + 1), 1.0], gradients=gradients)
        three = terms([2.0 / (step + 1), 1.0, 5.0], [1, 1, 0], [*gradients, [0.0, 0.0]])
        found = [
            method.weigh(state, found, moment(epoch=step))
            for state, found in zip(states, (two, three), strict=True)
        ]
        states = [weighing.state for weighing in found]
        both.append(found[0].coefficients)
        off.append(found[1].coefficients[:2])
        np.testing.assert_allclose(found[0].loss, found[1].loss, rtol=1e-6)
    np.testing.assert_allclose(off, both, rtol=1e-6)


@dataclasses.dataclass(frozen=True)
class TwoTermsTask(toy_task.LineTask):
    """A squared and an absolute error, and the size of the weights."""

    def terms(self, outputs, batch, hparams):
        return super().terms(outputs, batch, hparams) | {"size": jnp.abs(outputs).mean()}

    def weights(self, aux, hparams):
        return {"size": jnp.float32(2.0)}


@pytest.fixture(scope="module")
def trained():
    """Two epochs of each kind: engine, hparams, state and metrics of each epoch, by kind."""
    key, found = jax.random.key(0), {}
    for kind in KINDS:
        config = toy_task.make_config(**{"balancing.kind": kind, "balancing.log_gradients": True})
        engine, hparams = toy_task.make_engine(TwoTermsTask(), config)
        state, rows = engine.init(key, hparams), []
        for _ in range(3):
            state, metrics = engine.train_epoch(state, key, hparams)
            rows.append(jax.device_get(metrics))
        found[kind] = jax.device_get(state), rows
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_trains_in_the_step_and_logs_its_terms(trained, kind):
    state, rows = trained[kind]
    assert rows[-1]["train/error"] < rows[0]["train/error"]
    for name in ("error", "size"):
        assert rows[-1][f"train/grad_norm_of_term/{name}"] > 0
        assert (f"train/balance/{name}" in rows[-1]) == (kind != "static")
    assert bool(jax.tree.leaves(state.balance)) == (kind in ("uncertainty", "gradnorm", "dwa"))


def test_norms_of_the_terms_are_those_of_their_own_gradients(trained):
    task = TwoTermsTask()
    engine, hparams = toy_task.make_engine(
        task, toy_task.make_config(**{"balancing.log_gradients": True})
    )
    key = jax.random.key(0)
    state = engine.init(key, hparams)
    w, batch = np.asarray(state.params["w"]), np.ones((8, 4), np.float32)
    _, metrics = engine.step(state, jnp.asarray(batch), key, hparams)
    # Both errors have one sign here: |error| has the gradient of the batch's mean, times weight 2.
    assert abs(w.sum() - sum(toy_task.TARGET)) > 0.1
    np.testing.assert_allclose(metrics["grad_norm_of_term/size"], 2 * np.sqrt(4.0), rtol=1e-5)
    squared = 2 * np.sqrt(4.0) * metrics["size"]
    np.testing.assert_allclose(metrics["grad_norm_of_term/error"], squared, rtol=1e-5)


def test_resume_is_bit_identical_and_a_step_of_nan_keeps_the_state(tmp_path):
    config = toy_task.make_config(**{"balancing.kind": "uncertainty", "epochs": 4})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    task = TwoTermsTask(poison=(4, 4))
    toy_task.train(config, task, whole)
    toy_task.train(
        toy_task.make_config(**{"balancing.kind": "uncertainty", "epochs": 2}), task, parts
    )
    toy_task.train(config, task, parts)
    engine, hparams = toy_task.make_engine(task, config)
    states = [toy_task.read_state(engine, hparams, folder) for folder in (whole, parts)]
    jax.tree.map(np.testing.assert_array_equal, *states)
    # 12 steps, of which one was skipped.
    assert states[0].balance["adam"].count == 11


class OwnTask(toy_task.LineTask):
    def combine(self, objective, params, weights):
        return Gradients(jnp.float32(0.0), params, {}, None)


def test_a_method_beside_the_tasks_own_combination_is_refused():
    with pytest.raises(UserError, match=r"config.balancing: 'dwa' .* replaces .* OwnTask"):
        toy_task.make_engine(OwnTask(), toy_task.make_config(**{"balancing.kind": "dwa"}))
