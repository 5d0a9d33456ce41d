"""Likelihoods and divergences against scipy, optax and arithmetic by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from tvae.losses import censored as censored_losses
from tvae.losses import classification, divergence, likelihood, regression

RNG = np.random.default_rng(0)
Y, MU, LOGVAR = RNG.normal(size=(3, 5)).astype(np.float32)


def test_gaussian_nll_is_a_normal_density():
    expected = -scipy.stats.norm.logpdf(Y, MU, np.exp(LOGVAR / 2))
    value = regression.gaussian_nll(MU, LOGVAR, Y, full=True)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    short = regression.gaussian_nll(MU, LOGVAR, Y)
    np.testing.assert_allclose(value - short, 0.5 * np.log(2 * np.pi), rtol=1e-5)


def test_tobit_nll_is_a_density_or_the_mass_beyond_a_bound():
    sd = np.exp(LOGVAR / 2)
    tails = {
        0.0: scipy.stats.norm.logpdf(Y, MU, sd),
        1.0: scipy.stats.norm.logsf(Y, MU, sd),
        -1.0: scipy.stats.norm.logcdf(Y, MU, sd),
    }
    for censored, expected in tails.items():
        value = censored_losses.tobit_nll(MU, LOGVAR, Y, np.full(5, censored))
        np.testing.assert_allclose(value, -expected, rtol=2e-5)
    pair, kinds = np.stack([Y, Y], 1), np.tile(np.asarray([0.0, 1.0]), (5, 1))
    mu, logvar = np.stack([MU, MU], 1), np.stack([LOGVAR, LOGVAR], 1)
    weight = np.asarray([1.0, 3.0], np.float32)
    value = censored_losses.tobit_nll(mu, logvar, pair, kinds, task_weight=weight)
    np.testing.assert_allclose(value, -(tails[0.0] + 3 * tails[1.0]) / 4, rtol=2e-5)
    first = np.tile(np.asarray([True, False]), (5, 1))
    value = censored_losses.tobit_nll(mu, logvar, pair, kinds, first, weight)
    np.testing.assert_allclose(value, -tails[0.0], rtol=2e-5)
    far = jax.grad(lambda m: censored_losses.tobit_nll(m, 0 * m, m + 60, 0 * m + 1).sum())(MU)
    assert np.isfinite(far).all()


def test_evidential_nll_is_a_student_density_plus_error_times_evidence():
    evidence = RNG.normal(size=(5, 3)).astype(np.float32)
    nu, alpha, beta = (np.asarray(x) for x in regression.evidential_parameters(evidence))
    scale = np.sqrt(beta * (1 + nu) / (nu * alpha))
    density = scipy.stats.t.logpdf(Y, 2 * alpha, MU, scale)
    expected = -density + 0.3 * np.abs(Y - MU) * (2 * nu + alpha)
    value = regression.evidential_nll(MU, evidence, Y, regularization=0.3)
    np.testing.assert_allclose(value, expected, rtol=2e-5)
    plain = regression.evidential_nll(MU, evidence, Y, regularization=0.0)
    np.testing.assert_allclose(plain, -density, rtol=2e-5)


def test_squares_and_corners():
    prediction, measured = jnp.asarray([[0.0, 5.0], [1.0, 0.0]]), jnp.zeros((2, 2))
    np.testing.assert_allclose(regression.squared_error(prediction, measured), [12.5, 0.5])
    observed = jnp.asarray([[True, False], [False, False]])
    np.testing.assert_allclose(regression.squared_error(prediction, measured, observed), [0, 0])
    # 2 (5 - 1) beyond the corner, 1/2 before it.
    np.testing.assert_allclose(regression.huber(prediction, measured, corner=2.0), [4.0, 0.25])


LOGITS = RNG.normal(size=(4, 3, 5)).astype(np.float32)
TARGET = RNG.integers(0, 5, (4, 3))


def test_smoothing_equals_optax():
    @jax.jit
    def both(logits, smoothing):
        labels = optax.smooth_labels(jax.nn.one_hot(TARGET, 5), smoothing)
        expected = optax.softmax_cross_entropy(logits, labels).mean(-1)
        return classification.categorical_nll(logits, TARGET, smoothing=smoothing), expected

    np.testing.assert_allclose(*both(LOGITS, 0.2), rtol=1e-5)
    plain, _ = both(LOGITS, 0.0)
    np.testing.assert_allclose(plain, likelihood.cross_entropy(LOGITS, TARGET) / 3, rtol=1e-5)


def test_focus_equals_the_binary_focal_loss_of_optax():
    logit = np.asarray([-3.0, 0.2, 4.0, 40.0], np.float32)
    label = np.asarray([1, 0, 1, 1])
    two = np.stack([np.zeros_like(logit), logit], -1)

    @jax.jit
    def both(logit, two):
        expected = optax.sigmoid_focal_loss(logit, label, gamma=2.0)
        return classification.categorical_nll(two, label, focus=2.0), expected

    np.testing.assert_allclose(*both(logit, two), rtol=1e-4, atol=1e-12)


def test_weights_and_classes_that_do_not_count():
    weight = np.asarray([1.0, 2.0, 0.0, 0.5, 3.0], np.float32)
    target = TARGET.copy()
    target[0, 1], target[2] = -1, -1
    log_p = scipy.special.log_softmax(LOGITS, -1)
    expected = np.zeros(4)
    for row in range(4):
        kept = [(k, p) for k, p in zip(target[row], log_p[row], strict=True) if k >= 0]
        total = sum(weight[k] for k, _ in kept)
        expected[row] = -sum(weight[k] * p[k] for k, p in kept) / total if total else 0.0
    value = classification.categorical_nll(LOGITS, target, weight)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    with pytest.raises(AssertionError, match="prefix"):
        classification.categorical_nll(LOGITS, target[:2])


def test_binary_nll_of_certain_predictions():
    rows = classification.binary_nll(jnp.asarray([2.0, -80.0]), jnp.asarray([1.0, 1.0]))
    np.testing.assert_allclose(rows, [np.log1p(np.exp(-2.0)), 80.0], rtol=1e-5)


def test_divergence_of_two_normals_by_quadrature():
    def integrand(x):
        p, q = scipy.stats.norm(0.3, 0.7), scipy.stats.norm(-0.5, 1.4)
        return p.pdf(x) * (p.logpdf(x) - q.logpdf(x))

    expected, _ = scipy.integrate.quad(integrand, -8, 8)
    variances = np.log([0.7**2, 1.4**2])
    value = divergence.gaussian_kl_between(0.3, variances[0], -0.5, variances[1])
    assert float(value) == pytest.approx(expected, rel=1e-5)
    mu, logvar = jnp.asarray([[0.3, 0.1]]), jnp.full((1, 2), -0.4)
    zeros = jnp.zeros((1, 2))
    of_prior = divergence.prior_kl(mu, logvar, zeros, zeros, free_bits=0.01)
    elementwise = divergence.free_bits_kl(mu, logvar, free_bits=0.01)
    np.testing.assert_allclose(of_prior, elementwise, rtol=1e-5)


def test_floors_of_the_mean_of_a_batch():
    # KLs 2, 0 and 0.125, 0.125: the means are 1 and 0.125, of which one is lifted to 0.5.
    mu = jnp.asarray([[2.0, 0.5], [0.0, 0.5]])
    logvar = jnp.zeros((2, 2))

    @jax.jit
    def both(mu, where):
        def loss(mu):
            return divergence.batch_free_bits_kl(mu, logvar, where, free_bits=0.5)

        return jax.value_and_grad(loss)(mu)

    every = jnp.ones(2, bool)
    assert float(both(mu, every)[0]) == pytest.approx(1.5)
    # The row without use of the first dimension has a gradient as well: the floor is of the mean.
    np.testing.assert_allclose(both(mu + 0.1, every)[1][:, 0], [1.05, 0.05], rtol=1e-5)
    assert float(both(mu, jnp.asarray([False, True]))[0]) == pytest.approx(1.0)


def test_dirichlet_belief_by_quadrature():
    """Two classes: the probability of the second has a beta distribution."""
    logits = jnp.asarray([[0.3, 1.2]])
    alpha = 1 + np.log1p(np.exp(np.asarray(logits[0])))
    belief, wrong = scipy.stats.beta(alpha[1], alpha[0]), scipy.stats.beta(1, alpha[0])
    surprise, _ = scipy.integrate.quad(lambda p: -np.log(p) * belief.pdf(p), 0, 1)
    # The evidence for the first class alone, beside a uniform belief.
    evidence, _ = scipy.integrate.quad(lambda p: wrong.pdf(p) * wrong.logpdf(p), 0, 1)
    label = jnp.asarray([1])
    plain = classification.dirichlet_nll(logits, label, regularization=0.0)
    value = classification.dirichlet_nll(logits, label, regularization=0.5)
    assert float(plain[0]) == pytest.approx(surprise, rel=1e-4)
    assert float(value[0]) == pytest.approx(surprise + 0.5 * evidence, rel=1e-4)
