"""The report's measurements of an embedding, against their definitions."""

import base64
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import padic, poincare
from tvae.geometry.padic import PadicTree
from tvae.geometry.tree import TableTree
from tvae.loading import load
from tvae.reporting import contents, embedding, pictures
from tvae.reporting.figures import disk, encoding, levels


@pytest.fixture(scope="module")
def model(runs):
    return load(runs["hyperbolic_vae"])


@pytest.fixture(scope="module")
def shown(model):
    return embedding.choose_items(model.views.items)


@pytest.fixture(scope="module")
def measured(model, shown):
    return embedding.measure(model, "a", shown)


@pytest.mark.parametrize("tree", [PadicTree(3, 6), PadicTree(2, 8)])
def test_pairs_have_the_levels_that_they_are_labelled_with(tree):
    pairs = embedding.sample_pairs(tree, np.arange(tree.n_leaves), per_level=50)
    np.testing.assert_array_equal(pairs.level, tree.pair_level(pairs.i, pairs.j))
    np.testing.assert_array_equal(pairs.level, np.repeat(np.arange(tree.depth), 50))
    assert (pairs.i != pairs.j).all()


def test_pairs_of_any_tree_are_positions_among_the_items_shown():
    tree = TableTree([-1, 0, 0, 1, 1, 2, 5, 5])
    index = np.asarray([1, 3, 4, 6, 7])
    pairs = embedding.sample_pairs(tree, index)
    np.testing.assert_array_equal(pairs.level, tree.pair_level(index[pairs.i], index[pairs.j]))
    assert set(pairs.level) == {0, 1, 3 - 1}
    assert (np.diff(pairs.level) >= 0).all()


def test_an_embedding_is_that_of_the_model(model, shown, measured):
    assert shown.level[[0, 1, 81, 19_682]].tolist() == [9, 0, 4, 0]
    index = jnp.asarray([0, 1, 81, 19_682])
    z, c = model.embed(index), model.curvature()
    radius = poincare.hyperbolic_radius(z, c=c)
    np.testing.assert_allclose(measured.radius[np.asarray(index)], radius, rtol=1e-5)
    digit = jnp.argmax(model.decode(z), -1)
    exact = (digit == padic.digits(index)).all(-1)
    np.testing.assert_array_equal(measured.exact[np.asarray(index)], exact)


def test_distances_are_those_of_the_sampled_pairs(model, shown, measured):
    i, j = (jnp.asarray(end[:20]) for end in shown.pairs[:2])
    expected = poincare.distance(model.embed(i), model.embed(j), c=model.curvature())
    np.testing.assert_allclose(measured.pair_distance[:20], expected, rtol=1e-4, atol=1e-5)


def test_euclidean_latents_have_no_curvature(runs):
    shown, (_, latents) = embedding.measure_all(load(runs["dual_vae"]))
    assert latents.name == "b"
    assert not latents.in_ball
    assert shown.n_levels == 6
    assert latents.exact.shape == (243,)
    drawn = contents.make_disk(shown, [latents])
    assert "latent" in disk.caption(shown, latents, latents.pictures[0])
    positions = pictures.positions(latents.pictures[0], None)
    assert np.linalg.norm(positions, axis=1).max() == pytest.approx(1.0)
    assert len(drawn.to_json()["disks"][0]["pictures"]) == 2


def test_planes_explain_their_share():
    axes = np.array([[2.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0.5]])
    first, second = pictures.principal_planes(np.concatenate([axes, -axes]))
    assert first.explained == pytest.approx(5 / 6.25)
    assert second.explained == pytest.approx(1.25 / 6.25)
    assert first.length[0] == pytest.approx(2.0)
    assert first.angle[0] == pytest.approx(0.0)
    # What lies outside a plane has no length in it.
    assert first.length[3] == pytest.approx(0.0, abs=1e-12)


def test_pictures_keep_the_hyperbolic_radius_unless_projected(measured):
    names = [picture.name for picture in measured.pictures]
    assert names == ["Layout", "PC 1–2", "PC 1–2 projected", "PC 3–4"]
    for picture in measured.pictures:
        norm = np.linalg.norm(pictures.positions(picture, measured.curvature), axis=-1)
        radius = 2 * np.arctanh(norm)
        if picture.keeps_radius:
            np.testing.assert_allclose(radius, measured.radius, rtol=1e-3, atol=1e-5)
        else:
            assert (radius <= measured.radius + 1e-4).all()


def test_quantised_numbers_come_back_within_half_a_step():
    values = np.random.default_rng(0).normal(size=1000)
    packed = encoding.quantise(values)
    words = np.frombuffer(base64.b64decode(packed["bdata"]), "<u2")
    back = packed["low"] + packed["step"] * words
    assert np.abs(back - values).max() <= 0.5001 * packed["step"]
    assert encoding.quantise(np.full(3, 2.0))["low"] == 2.0


def test_the_pages_points_come_by_level_then_index(shown, measured):
    described = disk.Disk(shown, [measured], ["A"]).to_json()
    items, page = described["items"], described["disks"][0]
    order = np.lexsort((np.arange(19_683), shown.level))
    assert items["index"] == encoding.encode_array(order)
    assert items["labels"].split("\n")[-1] == "-" * 9
    assert items["sizes"] == list(padic.level_counts())
    assert page["radius"] == encoding.quantise(measured.radius[order])
    assert len(items["colours"]) == len(page["rings"]) == 10
    tree = items["tree"]
    assert [tree["label"][node] for node in tree["branches"]] == ["-…", "0…", "+…"]
    assert all(len(picture["nodes"]) == 2 * len(tree["parent"]) for picture in page["pictures"])


def test_violins_show_the_distribution_of_each_class():
    value = np.concatenate([np.linspace(0, 1, 1001), [5.0]])
    classes, parts = levels.by_class(value, np.concatenate([np.zeros(1001, int), [2]]))
    assert classes == [0, 2]
    assert parts[0].size == 200
    assert np.quantile(parts[0], 0.25) == pytest.approx(0.25, abs=0.01)
    assert parts[1].tolist() == [5.0]


def test_radii_have_a_violin_for_each_valuation(shown, measured):
    drawn = levels.radii(shown, measured, "title")
    assert drawn.labels == [str(level) for level in range(10)]
    assert drawn.values[9].tolist() == [measured.radius[0]]
    assert drawn.x_title == "valuation"


def test_distances_have_a_violin_for_each_3_adic_distance(shown, measured):
    drawn = levels.distances(shown, measured, "title")
    assert drawn.labels[:3] == ["1", "1/3", "1/9"]
    assert [part.size for part in drawn.values] == [200] * 9


def test_shares_count_the_items_that_decode(shown, measured):
    drawn = levels.reconstruction(shown, measured, "title")
    assert drawn.count.tolist() == list(padic.level_counts())
    assert drawn.right.sum() == measured.exact.sum()


def test_a_large_set_of_items_is_sampled_evenly(shown):
    items = dataclasses.replace(shown.items, count=10**6, tree=None)
    sampled = embedding.choose_items(items)
    assert sampled.index.size == embedding.MOST_ITEMS
    assert (np.diff(sampled.index) > 0).all()
    assert sampled.pairs is None
    assert sampled.subtrees is None
    assert sampled.n_levels == 1


def test_measuring_traces_once_for_each_embedding(model, shown, measured):
    before = embedding._measure._cache_size()
    embedding.measure(jax.tree.map(lambda leaf: leaf + 0.1, model), "a", shown)
    assert embedding._measure._cache_size() == before
