"""Fitted models: closed forms against refits, intervals that hold, and no leak from a test fold."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.sequence_tables import made_samples
from tvae.domains.sequences import (
    baselines,
    crossvalidation,
    gaussian_process,
    intervals,
    ridge,
    splits,
    two_stage,
)
from tvae.domains.sequences.gaussian_process import GaussianProcess, Inputs
from tvae.errors import UserError


def solved(x, y, penalty):
    """Weights and intercept of ridge regression in float64."""
    centre, mean = x.mean(0), y.mean()
    gram = (x - centre).T @ (x - centre) + penalty * np.eye(x.shape[1])
    w = np.linalg.solve(gram, (x - centre).T @ (y - mean))
    return w, mean - centre @ w


def test_ridge_is_the_solution_and_leaves_each_row_out_exactly():
    samples = made_samples(rows=60, features=80)
    x, known = samples.features.astype(np.float64), samples.known
    targets = np.where(known, samples.targets, 1e3).astype(np.float32)  # 1e3 must have no effect
    model = ridge.fit(jnp.asarray(samples.features), jnp.asarray(targets), jnp.asarray(known))
    for label in range(2):
        rows = np.flatnonzero(known[:, label])
        y = samples.targets[rows, label]
        errors = {}
        for penalty in ridge.PENALTIES:
            keep = [np.delete(np.arange(len(rows)), i) for i in range(len(rows))]
            fits = [solved(x[rows[some]], y[some], penalty) for some in keep]
            errors[penalty] = y - [x[row] @ w + b for row, (w, b) in zip(rows, fits, strict=True)]
        best = min(errors, key=lambda penalty: (errors[penalty] ** 2).sum())
        assert float(model.penalties[label]) == pytest.approx(best)
        np.testing.assert_allclose(model.held_out[rows, label], y - errors[best], atol=2e-4)
        w, b = solved(x[rows], y, best)
        np.testing.assert_allclose(model.weights[label], w, atol=1e-4)
        expected = x @ w + b
        predicted = ridge.predict(model, jnp.asarray(samples.features))[:, label]
        np.testing.assert_allclose(predicted, expected, atol=2e-4)
        parts = ridge.shares(model, jnp.asarray(samples.features), label).sum(1)
        np.testing.assert_allclose(parts + model.intercepts[label], expected, atol=2e-4)
    np.testing.assert_array_equal(np.asarray(model.held_out)[~known], 0)


def test_the_process_is_the_dense_solution_and_empty_rows_have_no_effect():
    generator = np.random.default_rng(0)
    x, z, y = (generator.normal(size=shape) for shape in ((12, 3), (12, 2), (12,)))
    scale = np.asarray([1.0, 0.5, 0.1])
    h = np.asarray(gaussian_process.PRIOR_CENTRE)

    def kernel(u, v):
        parts = [(u[0], v[0]), (u[0] * scale, v[0] * scale), (u[1], v[1])]
        d2 = [((a[:, None] - b[None]) ** 2).sum(-1) for a, b in parts]
        linear = sum(h[i] * a @ b.T for i, (a, b) in zip((0, 1, 7), parts, strict=True))
        smooth = sum(
            h[i] * np.exp(-d / (2 * h[i + 1] ** 2)) for i, d in zip((2, 4, 8), d2, strict=True)
        )
        return linear + smooth + 1

    train, test = (x[:9], z[:9]), (x[9:], z[9:])
    noisy = kernel(train, train) + (h[6] + 1e-3) * np.eye(9)
    expected = 5 + 2 * kernel(test, train) @ np.linalg.solve(noisy, y[:9])
    filled = jnp.arange(12) < 9  # the last rows are empty, and hold other numbers
    inputs = Inputs(*(jnp.asarray(each, jnp.float32) for each in (x, x * scale, z)))
    log_h = jnp.log(jnp.asarray(h, jnp.float32))
    coefficients = gaussian_process.condition(log_h, inputs, jnp.asarray(y, jnp.float32), filled)
    np.testing.assert_array_equal(coefficients[9:], 0)
    process = GaussianProcess(
        inputs, jnp.asarray(scale, jnp.float32), coefficients, log_h, jnp.float32(5), jnp.float32(2)
    )
    found = gaussian_process.predict(process, inputs.x[9:], inputs.z[9:])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.fixture(scope="module")
def samples():
    """250 rows in 125 pairs of identical sequences."""
    return made_samples(groups=np.repeat(np.arange(125), 2))


@pytest.fixture(scope="module")
def folds(samples):
    return splits.make_folds(samples.groups, 2, 0, "made")


PREDICTORS = {"two_stage": crossvalidation.two_stage_predictor, "mean": baselines.mean}


@pytest.fixture(scope="module")
def found(samples, folds):
    return crossvalidation.cross_validate(samples, folds, PREDICTORS)


def scores(samples, found, name):
    columns = zip(samples.targets.T, found.predictions[name].T, strict=True)
    return [crossvalidation.score(truth, predicted) for truth, predicted in columns]


def test_the_second_stage_learns_what_is_not_linear(samples, found):
    linear, both = scores(samples, found, "ridge"), scores(samples, found, "two_stage")
    for label in range(2):
        assert both[label].pearson > linear[label].pearson + 0.01
        assert both[label].pearson > 0.88
        assert both[label].mae < linear[label].mae
    assert both[0].rows == 250
    assert both[1].rows == samples.known[:, 1].sum() < 120


def test_hyperparameters_are_more_probable_than_their_prior_centre(samples):
    y = samples.targets[:128, 0]
    y = jnp.asarray((y - y.mean()) / y.std(), jnp.float32)
    x = jnp.asarray(samples.features[:128])
    inputs = Inputs(x, x, jnp.zeros((128, 2)))
    filled = jnp.ones(128, bool)
    found = gaussian_process.find_hyperparameters(inputs, y, filled)
    start = jnp.log(jnp.asarray(gaussian_process.PRIOR_CENTRE))
    terms = gaussian_process.products(inputs, inputs)
    at = [
        float(gaussian_process._negative_log_posterior(log_h, terms, y, filled))
        for log_h in (start, found)
    ]
    assert at[1] < at[0] - 5


def test_intervals_cover_what_they_promise(samples, found):
    half_width = {
        level: found.predictions[crossvalidation.half_width_name(level)]
        for level in intervals.LEVELS
    }
    measured = [
        crossvalidation.coverage(
            samples.targets[:, 0],
            found.predictions["two_stage"][:, 0],
            samples.censored[:, 0],
            half_width[level][:, 0],
        )
        for level in intervals.LEVELS
    ]
    assert 0.7 <= measured[0].covered <= 0.92
    assert 0.9 <= measured[1].covered <= 1
    assert measured[0].width < measured[1].width < 2 * np.std(samples.targets[:, 0]) * 2


def test_changed_test_labels_change_no_bit_of_a_prediction(samples, folds, found):
    test = folds.fold == 0
    changed = samples.targets.copy()
    changed[test] = np.random.default_rng(1).normal(size=changed[test].shape)  # missing ones too
    again = crossvalidation.cross_validate(samples._replace(targets=changed), folds, PREDICTORS)
    for name, values in found.predictions.items():
        np.testing.assert_array_equal(again.predictions[name][test], values[test])
    assert (again.predictions["ridge"][~test] != found.predictions["ridge"][~test]).any()


def test_shuffled_labels_are_not_predicted(samples, folds):
    order = np.random.default_rng(3).permutation(125).repeat(2) * 2 + np.tile([0, 1], 125)
    shuffled = samples._replace(targets=samples.targets[order], censored=samples.censored[order])
    only = {"two_stage": crossvalidation.means_only}
    out = crossvalidation.cross_validate(shuffled, folds, only)
    # Pairs of one sequence carry 125 independent labels: three standard errors.
    assert abs(scores(shuffled, out, "two_stage")[0].pearson) < 3 / np.sqrt(125)


def test_labels_with_too_few_rows_have_no_prediction(samples):
    few = samples.targets.copy()
    few[np.flatnonzero(samples.known[:, 1])[10:], 1] = np.nan
    found = two_stage.predict(
        two_stage.fit(samples._replace(targets=few), 0, with_intervals=False), samples.features[:5]
    )
    assert np.isfinite(found.mean[:, 0]).all()
    assert np.isnan(found.mean[:, 1]).all()
    assert np.isinf(found.half_width[0.8]).all()
    with pytest.raises(UserError, match="a label with 20 training rows or more, got at most 10"):
        two_stage.fit(samples._replace(targets=few[:, 1:], censored=samples.censored[:, 1:]), 0)


def test_a_bound_is_covered_when_the_interval_reaches_it():
    truth, predicted = np.asarray([2.0, 2.0, -1.0, 1.0]), np.asarray([1.0, 3.0, 0.5, 1.5])
    needed = intervals.scores(truth, predicted, np.asarray([1, 1, -1, 0]))
    assert needed.tolist() == [1.0, 0.0, 1.5, 0.5]


def test_scores_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    truth, predicted = generator.normal(size=50), generator.integers(0, 9, 50).astype(float)
    truth[3] = predicted[7] = np.nan
    both = ~np.isnan(truth + predicted)
    found = crossvalidation.score(truth, predicted)
    assert found.pearson == pytest.approx(stats.pearsonr(truth[both], predicted[both])[0])
    assert found.spearman == pytest.approx(stats.spearmanr(truth[both], predicted[both])[0])
    assert found.rows == 48
    constant = crossvalidation.score(truth, np.ones(50))
    assert np.isnan([constant.pearson, constant.spearman]).all()
    assert constant.r2 <= 0


@pytest.mark.parametrize(("name", "package"), [("forest", "sklearn"), ("boosting", "lightgbm")])
def test_trees_learn_the_same_samples(name, package, samples, folds):
    pytest.importorskip(package, reason=f"needs {package}, an optional baseline")
    predictor = {name: getattr(baselines, name)}
    out = crossvalidation.cross_validate(samples, folds, predictor)
    assert min(each.pearson for each in scores(samples, out, name)) > 0.5


def test_trees_name_the_extra_that_they_need(samples, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UserError, match=r"forest needs sklearn: pip install 'tvae\[baselines\]'"):
        baselines.forest(samples, samples.features, 0)
    with pytest.raises(UserError, match=r"needs lightgbm: pip install 'tvae\[boosting\]'"):
        baselines.boosting(samples, samples.features, 0)
