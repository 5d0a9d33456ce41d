"""Losses on the p-adic distance: recorded values, arithmetic by hand, and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from tests.support.production_cases import VECTORISED, Case, referenced
from tvae.domains.operations.tree import TREE
from tvae.geometry.padic import PadicTree
from tvae.losses import ultrametric
from tvae.losses.pairs import Pairs

N_PAIRS = 640
"""Pairs of all recorded cases are padded to these with pairs of one row, which do not count."""


@pytest.fixture(scope="module")
def matches():
    def match(z, index, pairs, scale, c):
        return ultrametric.ultrametric_match(z, index, TREE, c, pairs, scale=scale)

    return jax.jit(jax.value_and_grad(match), compiler_options=VECTORISED)


@pytest.mark.parametrize("case", referenced("loss_padic/metric"), ids=lambda case: case.name)
def test_metric_equals_the_reference_system(case: Case, matches):
    z, index = np.asarray(case["in.z"]), np.asarray(case["in.indices"])
    ends = np.zeros((2, N_PAIRS), np.int32)
    for row, name in enumerate(("in.i_idx", "in.j_idx")):
        if case.has(name):
            ends[row, : case[name].size] = case[name]
    hyperbolic = case.params.get("use_hyperbolic", True)
    c = case.params.get("curvature", 1.0) if hyperbolic else None
    value, gradient = matches(z, index, Pairs(*ends), case.params.get("scale", 1.0), c)
    case.assert_close(value, "f32.loss")
    if case.has("f32.grad.loss.z"):
        case.assert_close(gradient, "f32.grad.loss.z")


@pytest.mark.parametrize("case", referenced("loss_padic/norm"), ids=lambda case: case.name)
def test_norm_equals_the_reference_system(case: Case):
    z, index = jnp.asarray(case["in.z"]), jnp.asarray(case["in.indices"])
    loss = jax.jit(lambda z: ultrametric.padic_norm(z, index, TREE).mean())
    value, gradient = jax.value_and_grad(loss)(z)
    case.assert_close(value, "f32.loss")
    case.assert_close(gradient, "f32.grad.loss.z")


def test_match_by_hand():
    # Items 0, 2, 1 of two binary digits: 0 and 2 are 1/2 apart, both 1 from item 1.
    point = jnp.asarray([[0.0], [0.3], [0.6]])
    index, tree = jnp.asarray([0, 2, 1]), PadicTree(2, 2)
    errors = np.asarray([2 * 0.5 - 0.3, 2.0 - 0.6, 2.0 - 0.3])

    @jax.jit
    def match(index, where, scale):
        return ultrametric.ultrametric_match(point, index, tree, where=where, scale=scale, base=2.0)

    value = match(index, jnp.ones(3, bool), 2.0)
    assert float(value) == pytest.approx(np.square(errors).mean(), rel=1e-5)
    two = jnp.asarray([True, False, True])
    value = match(index, two, 2.0)
    assert float(value) == pytest.approx(errors[1] ** 2, rel=1e-5)
    same = match(jnp.asarray([1, 2, 1]), two, 1.0)  # one item twice is wanted at 0
    assert float(same) == pytest.approx(0.6**2, rel=1e-5)


@pytest.mark.parametrize("with_self", [True, False])
def test_soft_ranking_is_the_divergence_of_neighbours(with_self):
    rng = np.random.default_rng(0)
    point, index = rng.normal(size=(7, 3)).astype(np.float32), rng.integers(0, 27, 7)
    tree = PadicTree(3, 3)
    of_tree = 3.0 ** -np.asarray(tree.pair_level(index[:, None], index[None]), float)
    of_tree[index[:, None] == index[None]] = 0.0
    actual = np.linalg.norm(point[:, None] - point[None], axis=-1)

    def expected(rows):
        parts = []
        for i in rows:
            others = [j for j in rows if with_self or j != i]
            p, q = (scipy.special.softmax(-x[i, others] / 0.3) for x in (of_tree, actual))
            parts.append(scipy.special.rel_entr(p, q).sum())
        return np.mean(parts)

    loss = jax.jit(
        lambda where: ultrametric.soft_ranking(
            jnp.asarray(point),
            jnp.asarray(index),
            tree,
            where=where,
            temperature=0.3,
            with_self=with_self,
        )
    )
    assert float(loss(jnp.ones(7, bool))) == pytest.approx(expected(range(7)), rel=1e-4)
    some = jnp.arange(7) % 3 != 1
    assert float(loss(some)) == pytest.approx(expected([0, 2, 3, 5, 6]), rel=1e-4)
