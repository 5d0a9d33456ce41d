"""What the report measures of an embedding, against the definitions of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import padic as ternary
from tvae.geometry import poincare
from tvae.loading import load
from tvae.reporting import embedding
from tvae.reporting.figures import disk, encoding, radii, reconstruction, violins


@pytest.fixture(scope="module")
def model(runs):
    return load(runs["hyperbolic_vae"])


@pytest.fixture(scope="module")
def measured(model):
    return embedding.measure(model, "a")


def test_pairs_have_the_valuations_that_they_are_labelled_with():
    i, j = embedding.sample_pairs(9, per_valuation=50)
    valuation = ternary.pair_valuation(jnp.asarray(i), jnp.asarray(j))
    np.testing.assert_array_equal(valuation, np.repeat(np.arange(9), 50))
    assert j.min() >= 0
    assert j.max() < 3**9


def test_an_embedding_is_that_of_the_model(model, measured):
    index = jnp.asarray([0, 1, 81, 19_682])
    z, c = model.embed(index), model.curvature()
    radius = poincare.hyperbolic_radius(z, c=c)
    np.testing.assert_allclose(measured.radius[np.asarray(index)], radius, rtol=1e-5)
    assert measured.valuation[np.asarray(index)].tolist() == [9, 0, 4, 0]
    digit = jnp.argmax(model.decode(z), -1)
    exact = (digit == ternary.digits(index)).all(-1)
    np.testing.assert_array_equal(measured.exact[np.asarray(index)], exact)


def test_distances_are_those_of_the_sampled_pairs(model, measured):
    i, j = (jnp.asarray(end[:20]) for end in embedding.sample_pairs(9))
    expected = poincare.distance(model.embed(i), model.embed(j), c=model.curvature())
    np.testing.assert_allclose(measured.pair_distance[:20], expected, rtol=1e-4, atol=1e-5)


def test_euclidean_latents_have_no_curvature(runs):
    latents = embedding.measure(load(runs["dual_vae"]), "b")
    assert not latents.in_ball
    assert latents.levels == 6
    assert latents.exact.shape == (243,)
    assert "latent" in disk.caption(latents, 0)


def test_planes_hold_what_they_say():
    axes = np.array([[2.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0.5]])
    first, second = embedding.principal_planes(np.concatenate([axes, -axes]))
    assert first.explained == pytest.approx(5 / 6.25)
    assert second.explained == pytest.approx(1.25 / 6.25)
    assert first.length[0] == pytest.approx(2.0)
    assert first.angle[0] == pytest.approx(0.0)
    # What lies outside a plane has no length in it.
    assert first.length[3] == pytest.approx(0.0, abs=1e-12)


def test_the_picture_keeps_the_hyperbolic_radius(measured):
    norm = np.linalg.norm(disk.positions(measured, 1), axis=-1)
    np.testing.assert_allclose(2 * np.arctanh(norm), measured.radius, rtol=1e-3, atol=1e-5)


def test_quantised_numbers_come_back_within_half_a_step():
    import base64

    values = np.random.default_rng(0).normal(size=1000)
    packed = encoding.quantised(values)
    words = np.frombuffer(base64.b64decode(packed["bdata"]), "<u2")
    back = packed["low"] + packed["step"] * words
    assert np.abs(back - values).max() <= 0.5001 * packed["step"]
    assert encoding.quantised(np.full(3, 2.0))["low"] == 2.0


def test_the_pages_points_come_by_valuation_then_index(measured):
    page = disk.to_page(measured)
    order = np.lexsort((np.arange(19_683), measured.valuation))
    expected = encoding.quantised(measured.radius[order])
    assert page["radius"] == expected
    assert len(page["planes"]) == embedding.PLANES
    assert len(page["colours"]) == len(page["circles"]) == 10


def test_violins_show_the_distribution_of_each_class():
    value = np.concatenate([np.linspace(0, 1, 1001), [5.0]])
    parts = violins.by_class(value, np.concatenate([np.zeros(1001, int), [1]]))
    assert parts[0].size == 200
    assert np.quantile(parts[0], 0.25) == pytest.approx(0.25, abs=0.01)
    assert parts[1].tolist() == [5.0]


def test_radii_have_a_violin_for_each_valuation(measured):
    drawn = radii.violins(measured, "title")
    assert drawn.labels == [str(level) for level in range(10)]
    assert drawn.values[9].tolist() == [measured.radius[0]]


def test_shares_count_what_decodes(measured):
    count, right = reconstruction.shares(measured)
    assert count.tolist() == list(ternary.level_counts())
    assert right.sum() == measured.exact.sum()


def test_measuring_traces_once_for_each_embedding(model):
    before = embedding._measure._cache_size()
    embedding.measure(jax.tree.map(lambda leaf: leaf + 0.1, model), "a")
    assert embedding._measure._cache_size() == before
