"""Paths as digits, features as tokens, ancestors as classes, and what is held out."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.metrics.test_closure import random_hierarchy
from tvae.domains.hierarchy.hierarchy import from_parents
from tvae.domains.hierarchy.source import made_tree
from tvae.domains.hierarchy_vae.codes import ABSENT, make_codes
from tvae.domains.hierarchy_vae.features import NONE, make_tokens
from tvae.domains.hierarchy_vae.lineages import Lineages
from tvae.domains.hierarchy_vae.split import seen_items
from tvae.domains.hierarchy_vae.terms import lineage_nll
from tvae.errors import UserError


@pytest.fixture(scope="module")
def known():
    return random_hierarchy(80, extra=0, seed=4)


def certain(codes, item):
    """Logits of which the digits of items are the most probable."""
    return 9.0 * jax.nn.one_hot(codes.classes[item], ABSENT + 1)


def test_digits_of_every_item_are_its_own_and_lead_back_to_it(known):
    codes = make_codes(known)
    everything = np.arange(80)
    assert len(np.unique(codes.classes, axis=0)) == 80
    logits = certain(codes, everything)
    np.testing.assert_array_equal(jax.jit(codes.read)(logits), everything)
    path, whole = codes.walk(logits)
    for item in (0, 17, 79):
        expected = known.path(item)[1:]
        np.testing.assert_array_equal(path[item, : len(expected)], expected)
        np.testing.assert_array_equal(path[item, len(expected) :], -1)
        np.testing.assert_array_equal(codes.lineage[item, : len(expected) + 1], known.path(item))
    assert whole.all()
    assert codes.right(logits, jnp.arange(80)).all()


def test_digits_that_are_no_item_stop_where_the_tree_ends():
    codes = make_codes(made_tree())  # three children: two digits, so that a fourth has a number
    assert codes.n_slots == 6
    item = int(np.flatnonzero(codes.known.level == 2)[4])
    classes = codes.classes[item].copy()
    for slot, class_ in ((2, 0), (3, 1)):  # the fourth child of its parent
        classes[slot] = class_
    path, whole = codes.walk(jax.nn.one_hot(classes, 4))
    assert (path.tolist(), bool(whole)) == ([codes.known.parent[item], -1, -1], False)
    gap = codes.classes[-1].copy()  # a leaf without the digits of its parent
    gap[2:4] = ABSENT
    assert int(codes.read(jax.nn.one_hot(gap, 4))) == -1
    probable = codes.log_prefixes(jnp.log(jnp.full((6, 4), 0.25)))
    np.testing.assert_allclose(probable, np.log(0.25) * np.asarray([2, 4, 6]), rtol=1e-6)


def test_a_chain_and_a_single_item_are_refused():
    with pytest.raises(UserError, match=r"paths of at most 512 ternary digits; .*'x599'.* 599"):
        make_codes(from_parents([f"x{i}" for i in range(600)], np.arange(600) - 1))
    with pytest.raises(UserError, match="two items or more"):
        make_codes(from_parents(["a"], [-1]))


def test_held_out_items_are_whole_subtrees(known):
    leaves = ~seen_items(known, share=0.3, level=0, seed=1)
    assert leaves.sum() == int(0.3 * (known.size == 1).sum())
    assert (known.size[leaves] == 1).all()
    lost = ~seen_items(known, share=0.5, level=2, seed=1)
    roots = lost & (known.level == 2)
    assert roots.sum() == (known.level == 2).sum() // 2
    codes = make_codes(known)
    np.testing.assert_array_equal(lost, roots[codes.lineage[:, 2]] & (known.level >= 2))
    with pytest.raises(UserError, match=r"config\.data\.held_out_level: expected .* got 99"):
        seen_items(known, share=0.5, level=99, seed=1)


def test_the_joint_decision_is_the_best_whole_path(known):
    seen = seen_items(known, share=0.4, level=3, seed=0)
    lineages = Lineages(make_codes(known), seen, 3)
    logits = jax.random.normal(jax.random.key(0), (5, lineages.n_classes))
    log_p = lineages.log_probabilities(logits)
    ends = np.cumsum((0, *lineages.sizes))
    for a, b in itertools.pairwise(ends):
        np.testing.assert_allclose(jnp.exp(log_p[:, a:b]).sum(-1), 1.0, rtol=1e-5)
    scores = np.asarray(lineages.log_paths(log_p))
    candidates = lineages.candidates
    assert seen[candidates].all()
    assert set(known.level[candidates]) == {0, 1, 2, 3}
    for at, item in enumerate(candidates.tolist()):
        own = known.path(item)[1:]
        columns = [
            a + (1 + int((candidates[known.level[candidates] == k + 1] < own[k]).sum()))
            if k < len(own)
            else a
            for k, a in enumerate(ends[:-1])
        ]
        np.testing.assert_allclose(scores[:, at], log_p[:, columns].sum(-1), rtol=1e-5)
    # What lies below a held-out item has no class there.
    np.testing.assert_array_equal(lineages.target[~seen][:, 2], -1)
    value = lineage_nll(jnp.log(jnp.asarray([[0.5, 0.1]])), jnp.asarray([[True, False]]))
    np.testing.assert_allclose(value, [np.log(2.0)], rtol=1e-6)


def test_tokens_of_texts_and_numbers():
    columns = {
        "text": np.asarray(["Broken arm", "broken ARM!", "", "Fractures of bone"], object),
        "size": np.asarray([1.0, 2.0, np.nan, 40.0]),
    }
    seen = np.asarray([True, True, True, False])
    tokens = make_tokens(columns, seen, buckets=2**20, most=32)
    found = [set(row[row != NONE].tolist()) for row in tokens.of_rows(columns, 4)]
    assert tokens.columns == ("text", "size")
    assert found[2] == set()
    words = tokens.of_rows({"text": ["arm broken"]}, 1)[0]
    parts = {"<bro", "brok", "roke", "oken", "ken>", "<arm", "arm>"}
    assert len(found[0] & set(words.tolist())) == 2 + len(parts)  # not the pair
    assert len(found[0] - found[1]) == 1  # the text itself as a category
    # 40 passes the thresholds of the seen values, which end at 2.
    assert tokens.thresholds["size"].max() <= 2.0
    numbers = [set(tokens.of_rows({"size": [x]}, 1)[0].tolist()) - {NONE} for x in (1.5, 40, "")]
    assert numbers[0] < numbers[1]
    assert numbers[2] == set()
    assert (tokens.of_rows({"text": ["one two three four five six seven eight"]}, 1) != NONE).all()
    with pytest.raises(UserError, match="size: expected a number, got 'wide'"):
        tokens.of_rows({"size": ["wide"]}, 1)
    with pytest.raises(UserError, match=r"config\.model\.inputs: 'features' needs columns"):
        make_tokens({}, seen, buckets=8, most=4)
