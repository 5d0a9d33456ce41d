"""Models of the change of stability by a point mutation, on folds that divide no protein."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.ensemble import RandomForestRegressor

from tvae.domains.sequences import crossvalidation, ridge, splits
from tvae.losses import genetic_code as code

FOLDS = 10
TREES = 80
STEPS, STEP_SIZE = 40, 0.15
SUBSET_ROWS = 320
"""Training rows that hyperparameters are found on."""
PRIOR = (0.5, 1.5, 1.5, 0.2, 0.2, 0.1, 0.2, 1.0, 0.1, 2.0)
"""Medians of the log-normal priors: product, its two lengths, wild type, mutant, linear, protein,
noise, product of the further vectors, its length."""


def read(path):
    """Wild types and mutants as numbers of residues, ddG in kcal/mol, proteins."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wild, mutant = (
        np.asarray([code.RESIDUES.index(row[name]) for row in rows])
        for name in ("wild_type", "mutant")
    )
    proteins = np.unique([row["pdb_id"] for row in rows], return_inverse=True)[1]
    return wild, mutant, np.asarray([float(row["ddg"]) for row in rows]), proteins


def pair_features(vectors, wild, mutant):
    """Both residues' vectors and their difference: ``(n, 3 c)``."""
    u, v = vectors[wild], vectors[mutant]
    return np.concatenate([u, v, v - u], 1)


def ridge_model(x, y, train, seed):
    """Ridge regression, its penalty by leave-one-out."""
    del seed
    x = jnp.asarray(x, jnp.float32)
    targets = jnp.asarray(np.where(train, y, 0), jnp.float32)[:, None]
    return np.asarray(ridge.predict(ridge.fit(x, targets, jnp.asarray(train)[:, None]), x))[:, 0]


def forest_model(x, y, train, seed):
    """Random forest of 80 trees."""
    model = RandomForestRegressor(TREES, min_samples_leaf=2, max_features=1 / 3, random_state=seed)
    return model.fit(x[train], y[train]).predict(x)


def _smooth(u, length):
    return jnp.exp(-0.5 * ((u[:, None] - u[None]) ** 2).sum(-1) / length**2)


def _covariances(log_h, inputs):
    """Covariance of all rows, and what training rows of one protein share."""
    h = jnp.exp(log_h)
    (u, v), further, same = inputs["properties"], inputs["further"], inputs["same_protein"]
    wild, mutant = _smooth(u, h[1]), _smooth(v, h[2])
    K = h[0] * wild * mutant + h[3] * wild + h[4] * mutant + h[5] * (v - u) @ (v - u).T + 1
    if further is not None:
        K += h[8] * _smooth(further[0], h[9]) * _smooth(further[1], h[9])
    return K, h[6] * same + (h[7] + 1e-3) * jnp.eye(len(u))


def _noisy(log_h, inputs, train):
    K, noise = _covariances(log_h, inputs)
    both = train[:, None] & train[None]
    return jnp.where(both, K + noise, jnp.eye(len(K)))


@jax.jit
def _fit_process(inputs, y, train, subset):
    """Predictions of all rows by the most probable process given the training rows."""
    centre = jnp.log(jnp.asarray(PRIOR))
    y = jnp.where(train, y, 0)
    some = jax.tree.map(lambda rows: rows[subset], inputs | {"same_protein": None})
    some["same_protein"] = inputs["same_protein"][subset][:, subset]

    def loss(log_h):
        factor = jnp.linalg.cholesky(_noisy(log_h, some, train[subset]))
        white = jax.scipy.linalg.solve_triangular(factor, y[subset], lower=True)
        prior = ((log_h - centre) ** 2).sum() / 4
        return 0.5 * white @ white + jnp.log(jnp.diagonal(factor)).sum() + prior

    optimizer = optax.adam(optax.cosine_decay_schedule(STEP_SIZE, STEPS))

    def step(state, _):
        log_h, moments = state
        updates, moments = optimizer.update(jax.grad(loss)(log_h), moments)
        return (optax.apply_updates(log_h, updates), moments), None

    (log_h, _), _ = jax.lax.scan(step, (centre, optimizer.init(centre)), None, length=STEPS)
    weights = jax.scipy.linalg.solve(_noisy(log_h, inputs, train), y, assume_a="pos")
    return _covariances(log_h, inputs)[0] @ jnp.where(train, weights, 0)


def process_model(vectors, further, wild, mutant, proteins):
    """A model that multiplies covariances of wild types and mutants, with effects of proteins."""

    def both(each):
        # Distances of pairs of residues are then of the size of one, whatever the dimension.
        scaled = jnp.asarray(each / np.sqrt(each.shape[1] / 6), jnp.float32)
        return scaled[wild], scaled[mutant]

    inputs = {
        "properties": both(vectors),
        "further": None if further is None else both(further),
        "same_protein": jnp.asarray(proteins[:, None] == proteins, jnp.float32),
    }

    def model(x, y, train, seed):
        del x
        chosen = np.random.default_rng(seed).permutation(np.flatnonzero(train))[:SUBSET_ROWS]
        mean, deviation = y[train].mean(), y[train].std()
        known = jnp.asarray(np.where(train, (y - mean) / deviation, 0), jnp.float32)
        return mean + deviation * np.asarray(
            _fit_process(inputs, known, jnp.asarray(train), jnp.asarray(chosen))
        )

    return model


def out_of_fold(model, x, y, proteins, seed):
    """Predictions of each row by a model of the other folds' proteins."""
    folds = splits.make_folds(proteins, FOLDS, seed, "protein")
    found = np.full(len(y), np.nan)
    for fold in folds.tested:
        hidden = np.where(folds.training(fold), y, np.nan)  # a model cannot read what tests it
        test = folds.fold == fold
        found[test] = model(x, hidden, folds.training(fold), seed)[test]
    return found


def scores(predicted, y):
    """Pooled correlations, averaged over the seeds of folds."""
    found = [crossvalidation.score(y, each) for each in predicted]
    return {
        name: round(float(np.mean([getattr(each, name) for each in found])), 4)
        for name in ("spearman", "pearson")
    } | {"by_seed": [round(each.spearman, 4) for each in found]}
