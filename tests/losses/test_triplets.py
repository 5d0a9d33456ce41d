"""Triplets: the reference system's recorded values, and what the miner draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import VECTORISED, Case, referenced
from tests.support.triplet_cases import padded, ranking, ranking_options, recorded_triplets
from tvae.domains.operations.tree import TREE
from tvae.geometry.padic import PadicTree
from tvae.losses.pairs import lengths_between
from tvae.losses.triplets import (
    LevelMargin,
    mine_triplets,
    tree_triplets,
    violates,
)

N_ROWS = 36


@pytest.fixture(scope="module")
def losses():
    return {
        hyperbolic: jax.jit(
            jax.value_and_grad(functools.partial(ranking, hyperbolic=hyperbolic), has_aux=True),
            compiler_options=VECTORISED,
        )
        for hyperbolic in (True, False)
    }


@pytest.mark.parametrize("case", referenced("loss_padic/ranking"), ids=lambda case: case.name)
def test_ranking_equals_the_reference_system(case: Case, losses):
    plain = case.has("in.anchor_idx") or case.name.split("/")[1] in (
        "ranking_batch2",
        "ranking_batch3",
    )
    with_radius = "ranking_hyperbolic" in case.name
    names = [f"{n}_idx" for n in ("anchor", "pos", "neg")] if plain else []
    names = names or [f"triplet_{n}" for n in ("anchor", "pos", "neg")]
    z, index = np.asarray(case["in.z"]), np.asarray(case["in.indices"])
    triplets = recorded_triplets(case, index, names)
    options = ranking_options(case.params, plain=plain, hyperbolic=with_radius)
    if with_radius and len(z) < 3:
        options["radial_weight"] = 0.0  # the reference system leaves out the radii as well
    loss = losses[case.params.get("use_hyperbolic", True)]
    rows = padded(z, N_ROWS), padded(index, N_ROWS)
    (value, metrics), gradient = loss(*rows, triplets, options, n_rows=len(z))
    case.assert_close(value, "f32.loss")
    if case.has("f32.grad.loss.z"):
        case.assert_close(gradient[: len(z)], "f32.grad.loss.z")
    else:
        np.testing.assert_array_equal(gradient, 0.0)
    for name in metrics.keys() & {k.removeprefix("f32.metric.") for k in case.arrays}:
        if name == "violations":
            assert int(metrics[name]) == int(case["f32.metric.violations"])
        elif case.params or len(z) > 2:
            case.assert_close(metrics[name], f"f32.metric.{name}")


@pytest.mark.parametrize("case", referenced("loss_components/padic"), ids=lambda case: case.name)
def test_components_add_both_encoders(case: Case, losses):
    total = 0.0
    for encoder, call in (("A", "triplet"), ("B", "triplet_call1")):
        z, index = np.asarray(case[f"in.z_{encoder}"]), np.asarray(case["in.indices"])
        triplets = recorded_triplets(case, index, [f"{call}_{n}" for n in ("anchor", "pos", "neg")])
        options = ranking_options(
            case.params, plain=False, hyperbolic="radial_weight" in case.params
        )
        rows = padded(z, N_ROWS), padded(index, N_ROWS)
        (value, _), gradient = losses[True](*rows, triplets, options | {"c": 1.0}, n_rows=len(z))
        case.assert_close(gradient[: len(z)], f"f32.grad.loss.z_{encoder}")
        total += value
    case.assert_close(total, "f32.loss")


def test_distances_and_margins_equal_the_reference_system():
    cases = referenced("loss_padic/mining_pieces")
    if not cases:
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    (case,) = cases
    levels = case["in.v_pos"] - case["in.v_neg"]
    case.assert_close(LevelMargin()(levels), "f32.margin_default")
    case.assert_close(LevelMargin(0.2, 0.03)(levels), "f32.margin_custom")


@pytest.mark.parametrize("case", referenced("loss_padic/mining_d"), ids=lambda case: case.name)
def test_hard_triplets_are_those_of_the_reference_system(case: Case):
    """All candidates of its walk: positives of the anchor's deeper half, then their negatives."""
    z, index = case["in.z"], case["in.indices"]
    anchor = int(case["in.anchor_candidates"][0])
    level = np.asarray(TREE.pair_level(index[anchor], index))
    c = 1.0 if "hyperbolic" in case.name else None
    length = np.asarray(lengths_between(z[anchor, None], z, c=c))[0]
    order = [row for row in np.argsort(-level) if row != anchor]
    near, far = order[: len(order) // 2 + 1], order[len(order) // 2 :]
    margin = LevelMargin()
    wanted = [
        (p, n)
        for p in near[:3]
        for n in far
        if level[p] > level[n]
        and violates(
            length[p],
            length[n],
            margin(level[p] - level[n]),
            semi_hard=case.params["semi_hard"],
        )
    ]
    found = list(zip(case["f32.pos"].tolist(), case["f32.neg"].tolist(), strict=True))
    assert found == (wanted * 9)[: len(found)]


def test_mined_triplets():
    """Levels 2, 2, 1, 0, 0 with the anchor 0, whose own level is 4."""
    tree = PadicTree(2, 4)
    index = jnp.asarray([0, 4, 12, 2, 1, 3])
    level = jnp.broadcast_to(tree.pair_level(index[0], index), (400, 6))
    length = jnp.broadcast_to(jnp.asarray([0.0, 1.0, 1.0, 1.2, 3.0, 0.5]), (400, 6))
    anchor = jnp.zeros(400, jnp.int32)
    margin = LevelMargin(0.1, 0.15)

    mine = {
        semi_hard: jax.jit(functools.partial(mine_triplets, margin=margin, semi_hard=semi_hard))
        for semi_hard in (True, False)
    }

    def drawn(*, hard_share, semi_hard=True, where=(True,) * 6):
        given = jax.random.key(0), anchor, level, length
        mined = mine[semi_hard](*given, hard_share=hard_share, where=jnp.asarray(where))
        assert bool(mined.mask.all())
        return {(int(p), int(n)) for _, p, n, _ in zip(*mined, strict=True)}

    # A random triplet has any positive above the least level and any negative below its level.
    everything = {(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5), (3, 4), (3, 5)}
    assert drawn(hard_share=0.0) == everything
    # A hard one has a deepest positive, at 1.0; 1.2 < 1.0 + 0.25 and 0.5 < 1.0 + 0.4, not 3.0.
    assert drawn(hard_share=1.0) == {(1, 3), (1, 5), (2, 3), (2, 5)}
    assert drawn(hard_share=1.0, semi_hard=False) == {(1, 5), (2, 5)}
    assert drawn(hard_share=0.5) == everything
    some = jnp.asarray([True, False, True, True, True, False])
    assert drawn(hard_share=0.0, where=some) == {(2, 3), (2, 4), (3, 4)}


def test_triplets_that_do_not_count():
    @jax.jit
    def value(index, point, hard_share):
        key = jax.random.key(0)
        return tree_triplets(point[:, None], index, TREE, key, hard_share=hard_share)

    # All pairs at level 0: nothing to compare.
    assert float(value(jnp.asarray([0, 1, 2]), jnp.asarray([0.0, 1.0, 2.0]), 0.5)) == 0.0
    # Relatives 0 and 3 are 0.1 apart and their negative is 9: no triplet violates its margin.
    index = jnp.asarray([0, 3, 1])
    assert float(value(index, jnp.asarray([0.0, 0.1, 9.0]), 1.0)) == 0.0
    # Relatives are 9.0 apart, with the negative in the middle; the margin of one level is 0.2.
    misplaced = float(value(index, jnp.asarray([0.0, 9.0, 4.5]), 1.0))
    assert misplaced == pytest.approx(9.0 - 4.5 + 0.2, rel=1e-5)
