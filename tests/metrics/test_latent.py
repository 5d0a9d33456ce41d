"""Histogram entropy and active dimensions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.metrics import latent


def numpy_entropy(z):
    """The definition, with numpy's histogram."""
    total = 0.0
    for column in np.asarray(z, np.float64).T:
        counts, _ = np.histogram(column, bins=50, range=(-3, 3))
        share = counts[counts > 0] / max(counts.sum(), 1)
        total -= (share * np.log(share)).sum()
    return total / z.shape[1]


def test_entropy_agrees_with_numpy_histograms():
    z = 1.5 * jax.random.normal(jax.random.key(0), (500, 7))
    got = latent.histogram_entropy(z, jnp.ones(500))
    assert got == pytest.approx(numpy_entropy(z), rel=1e-4)


def test_edges_belong_to_the_outer_bins():
    # -3 falls in the first bin, +3 in the last, 3.001 outside: two bins with one value each.
    z = jnp.asarray([[-3.0], [3.0], [3.001]])
    assert latent.histogram_entropy(z, jnp.ones(3)) == pytest.approx(np.log(2), rel=1e-6)


def test_padding_is_ignored():
    z = jax.random.normal(jax.random.key(1), (10, 3))
    mask = jnp.asarray([1.0] * 6 + [0.0] * 4)
    expected = latent.histogram_entropy(z[:6], jnp.ones(6))
    assert latent.histogram_entropy(z, mask) == pytest.approx(float(expected), rel=1e-6)


def test_entropy_passes_no_gradient():
    grad = jax.grad(lambda z: latent.histogram_entropy(z, jnp.ones(5)))(jnp.ones((5, 2)))
    assert (grad == 0).all()


def test_active_dimensions_counts_varying_means():
    spread = jnp.asarray([[0.0, 0.05, 3.0]])
    mu = jnp.asarray([[-1.0], [1.0]]) * spread
    assert latent.active_dimensions(mu) == 1
