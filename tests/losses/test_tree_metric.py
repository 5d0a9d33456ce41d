"""Conditions of a tree's distances: by hand, and on embeddings of trees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import poincare
from tvae.losses.pairs import sample_rows
from tvae.losses.tree_metric import tree_metric

LINE = jnp.asarray([[0.0], [1.0], [3.0], [7.0]])


@jax.jit
def ultrametric(point, where):
    return tree_metric(point, jax.random.key(0), where=where, n_draws=4000)


@jax.jit
def additive(point, c=None):
    return tree_metric(point, jax.random.key(0), c, kind="additive", n_draws=20)


def test_points_of_a_line_are_a_tree_but_no_ultrametric():
    assert float(additive(LINE)) == pytest.approx(0.0, abs=1e-6)
    # Gaps of the triples 013, 017, 037 and 137: 1, 1, 3 and 2.
    assert float(ultrametric(LINE, jnp.ones(4, bool))) == pytest.approx(1.75, abs=0.05)
    assert float(ultrametric(LINE, jnp.arange(4) != 2)) == pytest.approx(1.0)
    assert float(ultrametric(LINE, jnp.arange(4) < 2)) == 0.0


def test_far_points_of_the_ball_are_almost_a_tree():
    """Four directions: a square, whose diagonals are longer than its sides."""
    direction = jnp.asarray([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert float(additive(direction)) == pytest.approx(2 * (2 - np.sqrt(2)), rel=1e-5)
    # At radius 6 opposite points are 12 apart, neighbours only ln 2 less.
    point = poincare.norm_of_radius(jnp.float32(6.0), c=1.0) * direction
    assert float(additive(point, 1.0)) == pytest.approx(2 * np.log(2), rel=1e-2)


def test_draws_are_sets_of_rows_that_count():
    where = jnp.asarray([True, False, True, True, True])

    @jax.jit
    def drawn(where):
        return sample_rows(jax.random.key(0), n_rows=5, n_draws=4000, size=3, where=where)

    rows, mask = drawn(where)
    assert bool(mask.all())
    # Ordered sets of three of the four rows, 24 of them; five deviations of a binomial count.
    sets, counts = np.unique(np.asarray(rows), axis=0, return_counts=True)
    assert all(len({*one} - {1}) == 3 for one in sets.tolist())
    assert len(sets) == 24
    assert np.abs(counts - 4000 / 24).max() < 5 * np.sqrt(4000 / 24)
    assert not bool(drawn(where & (jnp.arange(5) < 3))[1].any())
