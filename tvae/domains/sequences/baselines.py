"""What a model is compared with: the mean and forests of trees, one for each label."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvae.domains.sequences.samples import Samples
from tvae.errors import needs_extra

Predictor = Callable[[Samples, NDArray[np.float32], int], dict[str, NDArray[np.float64]]]
"""Training rows, features of test rows, and a seed to predictions by name, ``(n, d)`` each."""


def mean(train: Samples, features: NDArray[np.float32], seed: int) -> dict[str, Any]:
    """Mean of each label's training rows, NaN where there is none."""
    del seed
    total, count = np.nansum(train.targets, axis=0), train.known.sum(0)
    means = np.where(count, total / np.maximum(count, 1), np.nan)
    return {"mean": np.repeat(means[None], len(features), axis=0)}


def forest(train: Samples, features: NDArray[np.float32], seed: int) -> dict[str, Any]:
    """Random forest of 50 trees, a third of the features at each split.

    Raises:
      UserError: if scikit-learn is not installed.
    """
    with needs_extra("baselines", "a random forest"):
        from sklearn.ensemble import RandomForestRegressor
    model = RandomForestRegressor(50, max_features=1 / 3, min_samples_leaf=2, random_state=seed)
    return {"forest": _by_label(model, train, features)}


def boosting(train: Samples, features: NDArray[np.float32], seed: int) -> dict[str, Any]:
    """Gradient boosting by LightGBM: 300 trees of 15 leaves of 5 rows or more, step size 0.05.

    LightGBM's default of 20 rows a leaf hides letters that few rows have.

    Raises:
      UserError: if LightGBM is not installed.
    """
    with needs_extra("boosting", "gradient boosting"):
        from lightgbm import LGBMRegressor
    sizes = {"n_estimators": 300, "num_leaves": 15, "min_child_samples": 5}
    model = LGBMRegressor(learning_rate=0.05, random_state=seed, n_jobs=1, verbose=-1, **sizes)
    return {"boosting": _by_label(model, train, features)}


def has_boosting() -> bool:
    """Whether LightGBM is installed."""
    return importlib.util.find_spec("lightgbm") is not None


def _by_label(model: Any, train: Samples, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Predictions of a regressor fitted anew to each label, NaN where it has no training row."""
    predicted = np.full((len(features), train.targets.shape[1]), np.nan)
    for label, known in enumerate(train.known.T):
        if known.any():
            model.fit(train.features[known], train.targets[known, label])
            predicted[:, label] = model.predict(features)
    return predicted
