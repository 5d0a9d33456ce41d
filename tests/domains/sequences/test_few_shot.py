"""Labels with few values: what is learnt from other labels, and what must not be."""

import numpy as np
import pytest

from tests.support.sequence_tables import made_samples
from tvae.domains.sequences import crossvalidation, few_shot, splits


@pytest.fixture(scope="module")
def rows():
    """120 genotypes of two rows each, and folds of them."""
    return made_samples(rows=240, groups=np.repeat(np.arange(120), 2))


@pytest.fixture(scope="module")
def others(rows):
    return few_shot.predictions_of_others(rows, 1, splits.make_folds(rows.groups, 3, 0, "made"))


@pytest.mark.parametrize("seed", range(3))
def test_a_draw_shares_no_group_with_the_rows_that_test(rows, seed):
    known = rows.known[:, 1]
    drawn = few_shot.draw(rows.groups, known, 21, np.random.default_rng(seed))
    assert len(drawn.support) == 21
    assert known[drawn.support].all()
    assert known[drawn.test].all()
    assert not set(rows.groups[drawn.support]) & set(rows.groups[drawn.test])
    left = known.sum() - 21 - len(drawn.test)
    assert 0 <= left <= 1  # the twin of the last row, if it was not drawn


def test_values_of_the_label_do_not_reach_the_predictions_of_others(rows, others):
    changed = rows._replace(targets=rows.targets.copy())
    changed.targets[:, 1] = np.random.default_rng(1).normal(size=240)
    folds = splits.make_folds(rows.groups, 3, 0, "made")
    np.testing.assert_array_equal(few_shot.predictions_of_others(changed, 1, folds), others)


def test_ten_values_and_another_label_predict_better_than_ten_values(rows, others):
    assert others.shape == (240, 1)
    scores = {name: [] for name in few_shot.METHODS}
    for seed in range(4):
        known = rows.known[:, 1]
        drawn = few_shot.draw(rows.groups, known, 40, np.random.default_rng(seed))
        targets = rows.targets[:, 1].copy()
        found = few_shot.predict(rows.features, others, targets, drawn, (10, 40))
        targets[drawn.test] = np.nan  # what tests is not read
        again = few_shot.predict(rows.features, others, targets, drawn, (10, 40))
        for name, values in found.items():
            assert values.shape == (2, len(drawn.test))
            np.testing.assert_array_equal(values, again[name])
            truth = rows.targets[drawn.test, 1]
            scores[name].append([crossvalidation.score(truth, each).pearson for each in values])
        # What a model of ten learns does not depend on the other thirty.
        few = few_shot.Draw(drawn.support, drawn.test)
        targets[drawn.support[10:]] = 5.0
        changed = few_shot.predict(rows.features, others, targets, few, (10,))
        for name, values in changed.items():
            np.testing.assert_allclose(values[0], found[name][0], atol=2e-4)
    mean = {name: np.nan_to_num(each).mean(0) for name, each in scores.items()}
    for name in ("zero_shot", "slope", "ridge_on_predictions", "prototype", "fine_tuned"):
        assert mean[name][0] > mean["ridge"][0] + 0.2, name
    assert mean["ridge"][1] > mean["ridge"][0]
