"""Interval penalties against arithmetic by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from tvae.losses.distances import interval_penalty, weighted_interval


def test_penalty_is_the_squared_distance():
    interval = jnp.asarray([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [0.0, jnp.inf], [3.0, jnp.inf]])
    length = jnp.asarray([0.7, 1.2, 2.5, 99.0, 1.0])
    np.testing.assert_allclose(
        interval_penalty(length, interval), [0.09, 0.0, 0.25, 0.0, 4.0], rtol=1e-6
    )


def test_gradient_points_to_the_interval_and_is_zero_inside():
    interval = jnp.asarray([[1.0, 2.0]] * 3)
    gradient = jax.grad(lambda x: interval_penalty(x, interval).sum())
    np.testing.assert_allclose(gradient(jnp.asarray([0.5, 1.5, 4.0])), [-1.0, 0.0, 4.0], rtol=1e-6)


def test_gradient_is_finite_with_infinite_ends():
    interval = jnp.asarray([[0.0, jnp.inf], [2.0, jnp.inf]])
    gradient = jax.grad(lambda x: interval_penalty(x, interval).sum())(jnp.asarray([1.0, 1.0]))
    np.testing.assert_allclose(gradient, [0.0, -2.0])


def test_weighted_interval_looks_up_groups_of_a_matrix():
    table = jnp.asarray([[0.0, 1.0], [2.0, 3.0]])
    length = jnp.asarray([[1.5, 1.5], [3.5, 2.5]])
    group = jnp.asarray([[0, 1], [1, 1]])
    weight = jnp.asarray([[0.1, 0.2], [0.3, 0.4]])
    # 0.1 * 0.25 + 0.2 * 0.25 + 0.3 * 0.25 + 0.4 * 0.
    value = weighted_interval(length, group, table, weight)
    np.testing.assert_allclose(value, 0.15, rtol=1e-6)
