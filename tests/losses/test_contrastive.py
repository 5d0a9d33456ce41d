"""Contrastive and redundancy terms against independent code and arithmetic by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logsumexp

from tests.support.production_cases import FAST_COMPILE
from tvae.domains import objective
from tvae.errors import UserError
from tvae.geometry import hyperboloid
from tvae.losses import contrastive, instances, memory, nce, redundancy
from tvae.losses.mixtures import MIXTURES
from tvae.losses.similarity import similarities, trained_temperature, unit

N, DIM = 6, 4
IDS = np.array([0, 1, 0, 2, 1, 0])


@pytest.fixture(scope="module")
def views():
    x, y = np.random.default_rng(0).normal(size=(2, N, DIM)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(x + y)


def run(f, *arguments):
    """A function as one program: compiling the operations one by one takes longer."""
    return jax.jit(f, compiler_options=FAST_COMPILE)(*arguments)


def by_loops(logits, positive, candidate, *, weight=None, denominator="all", inside="log"):
    """Rows of the core as its definition reads, in double precision."""
    weight = np.zeros_like(logits) if weight is None else weight
    losses = []
    for i in range(len(logits)):
        chosen = [j for j in range(len(logits[i])) if candidate[i, j] and positive[i, j]]
        others = [k for k in range(len(logits[i])) if candidate[i, k] and not positive[i, k]]
        negative = [logits[i, k] + weight[i, k] for k in others]
        every = negative + [logits[i, j] for j in chosen]
        if not chosen or ((inside == "sum" or denominator == "negatives") and not negative):
            losses.append(None)
        elif inside == "sum":
            losses.append(logsumexp(every) - logsumexp([logits[i, j] for j in chosen]))
        else:
            shared = {"all": every, "negatives": negative}
            sums = [shared.get(denominator, [logits[i, j], *negative]) for j in chosen]
            pairs = zip(chosen, sums, strict=True)
            losses.append(np.mean([logsumexp(z) - logits[i, j] for j, z in pairs]))
    return losses


@pytest.mark.parametrize(
    "choice",
    [{}, {"denominator": "pair"}, {"denominator": "negatives"}, {"inside": "sum"}],
    ids=lambda choice: "-".join(choice.values()) or "all",
)
def test_rows_of_the_core_are_those_of_its_definition(choice):
    rng = np.random.default_rng(1)
    logits = rng.normal(0.0, 8.0, (N, N + 2))
    positive, candidate = rng.random((2, N, N + 2)) < [[[0.3]], [[0.7]]]
    positive[0] = False  # nothing to find
    positive[1] = True  # nothing else
    candidate[2] = False
    weight = rng.normal(size=(N, N + 2))
    expected = by_loops(logits, positive, candidate, weight=weight, **choice)
    found = nce.nce(
        *(jnp.asarray(a) for a in (logits.astype(np.float32), positive, candidate)),
        log_weight=jnp.asarray(weight, jnp.float32),
        **choice,
    )
    assert [loss is not None for loss in expected] == found.counts.tolist()
    np.testing.assert_allclose(found.loss, [loss or 0.0 for loss in expected], rtol=3e-6)
    assert found.n_positives.tolist() == (positive & candidate).sum(-1).tolist()


def test_a_loss_near_zero_keeps_its_precision_and_a_cold_softmax_its_gradient():
    logits = jnp.asarray([[100.0, 86.0]])  # log(1 + e^-14) = 8.3e-7
    positive = jnp.asarray([[True, False]])
    for denominator in ("all", "pair"):
        loss = run(lambda s, d=denominator: nce.nce(s, positive, denominator=d).loss, logits)
        assert float(loss[0]) == pytest.approx(np.log1p(np.exp(-14.0)), rel=0.1)
    # What is masked out may be larger than the range of the exponential.
    mask = jnp.asarray([[True, True, False]])
    wide = jnp.asarray([[-300.0, -301.0, 300.0]])
    gradient = run(jax.grad(lambda s: nce.nce(s, mask & (s < -300.5), mask).loss.sum()), wide)
    np.testing.assert_allclose(gradient, [[0.7310586, -0.7310586, 0.0]], rtol=1e-5)


def test_choices_that_do_not_exist_are_refused(views):
    x, y = views
    logits, positive = jnp.zeros((2, 2)), jnp.eye(2, dtype=bool)
    for wrong, words in [
        ({"denominator": "some"}, "denominator: got 'some'"),
        ({"inside": "max"}, "inside: got 'max'"),
        ({"inside": "sum", "denominator": "pair"}, "got the denominator 'pair'"),
        ({"inside": "sum", "target": logits}, "target shares given"),
    ]:
        with pytest.raises(UserError, match=words):
            nce.nce(logits, positive, **wrong)
    with pytest.raises(AssertionError, match="different shapes"):
        nce.nce(logits, positive[:, :1])
    with pytest.raises(UserError, match="similarity: got 'cos', expected one of 'cosine', 'dot'"):
        contrastive.clip(x, y, similarity="cos")
    with pytest.raises(UserError, match="similarity 'poincare': needs the input 'c'"):
        contrastive.clip(x, y, similarity="poincare")
    with pytest.raises(UserError, match="mining: got 'soft'"):
        contrastive.info_nce(x, y, mining="soft")
    with pytest.raises(UserError, match="distance: got 'l3'"):
        redundancy.feature_distance(x, y, distance="l3")


def test_nt_xent_equals_that_of_optax(views):
    z = jnp.concatenate([unit(view) for view in views])
    label = jnp.tile(jnp.arange(N), 2)
    expected = run(lambda z: optax.losses.ntxent(z, label, temperature=0.2), z)
    found = run(lambda *views: instances.nt_xent(*views, temperature=0.2), *views)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_decoupled_denominator_lacks_the_positive(views):
    z = np.concatenate([np.asarray(unit(view), float) for view in views])
    logits = z @ z.T / 0.2
    other = np.eye(2 * N, dtype=bool)[:, (np.arange(2 * N) + N) % (2 * N)]
    expected = by_loops(logits, other, ~np.eye(2 * N, dtype=bool), denominator="negatives")
    found = instances.nt_xent(*views, temperature=0.2, decoupled=True)
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)


def test_smoothed_shares_sum_to_one_and_hold_the_share_of_all(views):
    positive = nce.same(jnp.asarray(IDS), jnp.asarray(IDS))
    candidate = jnp.arange(N)[None, :] < jnp.full((N, 1), N - 1)
    share = nce.uniform_targets(positive, candidate, 0.2)
    np.testing.assert_allclose(share.sum(-1), 1.0, rtol=1e-6)
    # Row 0: ids 0 at 0 and 2 (5 is not a candidate), and a fifth of 0.2 each.
    np.testing.assert_allclose(share[0], [0.44, 0.04, 0.44, 0.04, 0.04, 0.0], rtol=1e-6)
    # A smoothed loss is the mixture of the sharp one and that of all candidates.
    smooth, sharp = (contrastive.clip(*views, label_smoothing=e) for e in (0.2, 0.0))
    flat = contrastive.clip(*views, match_id=jnp.zeros(N, int))
    assert float(smooth) == pytest.approx(float(0.8 * sharp + 0.2 * flat), rel=1e-5)


def test_hard_negatives_are_the_nearest_tenth_or_just_below_the_positives():
    near = jnp.asarray([np.linspace(0.9, -0.9, 23)])  # 22 negatives: the nearest two
    positive = jnp.zeros((1, 23), bool).at[0, 3].set(True)
    candidate = jnp.ones((1, 23), bool).at[0, 0].set(False)
    weight = nce.negative_log_weights(near, positive, candidate, mining="hard", factor=3.0)
    assert np.flatnonzero(weight[0]).tolist() == [1, 2]
    assert float(weight[0, 1]) == pytest.approx(np.log(3.0))
    # Below 0.6545 by less than 0.2: steps of 0.0818.
    weight = nce.negative_log_weights(near, positive, candidate, mining="semi_hard")
    assert np.flatnonzero(weight[0]).tolist() == [4, 5]


def test_every_positive_of_a_shared_class_counts_by_what_is_shared():
    z = jnp.asarray(np.random.default_rng(2).normal(size=(4, 3)), jnp.float32)
    member = jnp.asarray([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]])
    logits = np.asarray(similarities(z, z), float) / 0.5
    np.fill_diagonal(logits, -np.inf)
    rows = [[(1, 0.5), (2, 1.0)], [(0, 0.5), (2, 0.5)], [(0, 1.0), (1, 0.5)]]
    each = [
        sum(w * (logsumexp(logits[i]) - logits[i, j]) for j, w in row) / sum(w for _, w in row)
        for i, row in enumerate(rows)
    ]
    found, flat = run(
        lambda z: [
            instances.shared_classes(z, member, temperature=0.5, weighting=weighting)
            for weighting in ("jaccard", "any")
        ],
        z,
    )
    assert float(found) == pytest.approx(np.mean(each), rel=1e-5)
    each = [
        np.mean([logsumexp(logits[i]) - logits[i, j] for j, _ in r]) for i, r in enumerate(rows)
    ]
    assert float(flat) == pytest.approx(np.mean(each), rel=1e-5)


def test_matched_rows_are_as_far_apart_as_they_are(views):
    x, y = (np.asarray(view, float) for view in views)
    square = ((x[:, None] - y[None]) ** 2).mean(-1)
    expected = np.mean([square[i, IDS[i] == IDS].mean() for i in range(N)])
    found = contrastive.match_distance(*views, match_id=jnp.asarray(IDS))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_temperature_of_unique_rows_is_set_by_the_pairs_themselves():
    near = jnp.asarray([[0.9, 0.1], [0.3, 0.7]])
    own, all_pairs = jnp.eye(2, dtype=bool), jnp.ones((2, 2), bool)
    found = nce.separation_temperature(near, own, all_pairs, base=0.1)
    assert float(found) == pytest.approx(0.1 * (0.8 + 0.4 * np.exp(-2 * 0.6)), rel=1e-5)
    for bounds, expected in (({"low": 0.15}, 0.15), ({"high": 0.05}, 0.05)):
        bounded = nce.separation_temperature(near, own, all_pairs, base=0.1, **bounds)
        assert float(bounded) == pytest.approx(expected)
    x = jnp.eye(2) + 0.3
    fixed, free = (
        run(jax.grad(lambda x, f=f: contrastive.dynamic_temperature(x, x, fixed=f)), x)
        for f in (True, False)
    )
    assert float(jnp.abs(fixed - free).max()) > 0.1 * float(jnp.abs(fixed).max())


def test_hyperbolic_similarities_agree_across_models_of_the_space(views):
    x, y = (0.2 * jnp.tanh(view) for view in views)
    c = 1.5
    on_hyperboloid = [hyperboloid.from_ball(view, c=c) for view in (x, y)]
    ball = similarities(x, y, similarity="poincare", c=c)
    other = similarities(*on_hyperboloid, similarity="hyperboloid", c=c)
    product = similarities(*on_hyperboloid, similarity="lorentz")
    np.testing.assert_allclose(other, ball, rtol=1e-4)
    np.testing.assert_allclose(product, -jnp.cosh(jnp.sqrt(c) * ball) / c, rtol=1e-4)
    chord = np.linalg.norm(np.asarray(x)[:, None] - np.asarray(y)[None], axis=-1)
    np.testing.assert_allclose(similarities(x, y, similarity="euclidean"), -chord, rtol=1e-5)
    losses = [
        contrastive.clip(*points, similarity=similarity, c=c, match_id=jnp.asarray(IDS))
        for points, similarity in (((x, y), "poincare"), (on_hyperboloid, "hyperboloid"))
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_a_trained_temperature_learns_inside_its_bounds():
    gradient = jax.vmap(jax.grad(trained_temperature))(jnp.log(jnp.asarray([0.001, 0.07, 2.0])))
    np.testing.assert_allclose(gradient, [0.0, 0.07, 0.0], rtol=1e-5)


def test_a_queue_replaces_its_oldest_keys():
    queue = memory.init_queue(5, 1)
    for first in (1, 4):
        keys = jnp.arange(first, first + 3.0)[:, None]
        queue = memory.queue_push(queue, keys, 10 * jnp.arange(first, first + 3))
    assert queue.keys[:, 0].tolist() == [6.0, 2.0, 3.0, 4.0, 5.0]
    assert queue.ids.tolist() == [60, 20, 30, 40, 50]
    assert queue.occupied.all()
    assert int(queue.next) == 1
    # Rows that do not count leave no gap.
    kept = jnp.asarray([False, True, True])
    queue = memory.queue_push(memory.init_queue(5, 1), jnp.arange(3.0)[:, None], where=kept)
    assert queue.keys[:, 0].tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]
    assert queue.occupied.tolist() == [True, True, False, False, False]
    assert int(queue.next) == 2
    with pytest.raises(UserError, match=r"queue of 5 slots of width 1: got keys \(6, 1\)"):
        memory.queue_push(queue, jnp.zeros((6, 1)))


def test_an_empty_queue_is_the_loss_without_one_and_ids_are_never_negatives(views):
    x, y = views
    ids = jnp.asarray(IDS)
    empty = memory.init_queue(4, DIM)
    # One direction of the symmetric loss.
    logits = similarities(x, y) / 0.07
    alone = nce.mean_rows(nce.nce(logits, jnp.eye(N, dtype=bool)))
    assert float(memory.moco(x, y, empty)) == pytest.approx(float(alone), rel=1e-6)
    stored = memory.queue_push(empty, x[:3], ids[:3])
    masked, positive = run(
        lambda x, y, stored: [
            memory.moco(x, y, stored, match_id=ids, matching=matching)
            for matching in ("masked", "positive")
        ],
        x,
        y,
        stored,
    )
    every = np.concatenate([logits, similarities(x, x[:3]) / 0.07], 1).astype(float)
    same = IDS[:, None] == np.concatenate([IDS, IDS[:3]])[None]
    in_batch = np.concatenate([same[:, :N], np.zeros((N, 3), bool)], 1)
    candidate = np.concatenate([np.ones((N, N), bool), ~same[:, N:]], 1)
    expected = by_loops(every, in_batch, candidate)
    assert float(masked) == pytest.approx(np.mean(expected), rel=1e-5)
    expected = by_loops(every, same, np.ones_like(same))
    assert float(positive) == pytest.approx(np.mean(expected), rel=1e-5)


def test_targets_pass_no_gradient(views):
    x, y = views
    terms = {
        "byol": lambda y: redundancy.byol(x, y).sum(),
        "consistency": lambda y: redundancy.feature_consistency(x, y).sum(),
        "queue": lambda y: memory.moco(
            x, x, memory.Queue(y, jnp.zeros(N, int), jnp.ones(N, bool), jnp.int32(0))
        ),
        "push": lambda y: memory.queue_push(memory.init_queue(N, DIM), y).keys.sum(),
    }
    for name, term in terms.items():
        assert not run(jax.grad(term), y).any(), name


def test_a_teacher_and_a_handover_move_as_defined():
    teacher = {"w": jnp.asarray([1.0, 0.0])}
    for _ in range(2):
        teacher = memory.average(teacher, {"w": jnp.asarray([0.0, 1.0])}, momentum=0.9)
    np.testing.assert_allclose(teacher["w"], [0.81, 0.19], rtol=1e-6)
    state, shares = memory.init_handover(), []
    for step in range(12):
        # The average of a gap of 1 is 1 - 0.5^n: above 0.8 from the third step on.
        state = memory.observe_handover(
            state, jnp.float32(1.0), jnp.int32(step), threshold=0.8, momentum=0.5, latest_step=50
        )
        shares.append(float(memory.handover_share(state, step, n_steps=4)))
    assert shares == [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, *[1.0] * 6]
    late = memory.observe_handover(
        memory.init_handover(), jnp.float32(0.0), jnp.int32(50), latest_step=50
    )
    assert int(late.start) == 50


def test_redundancy_by_hand():
    x = jnp.asarray([[0.0, 1.0], [2.0, 3.0], [4.0, 2.0], [9.0, 9.0]])
    where = jnp.asarray([True, True, True, False])
    covariance = np.cov(np.asarray(x[:3]), rowvar=False)  # [[4, 1], [1, 1]]
    np.testing.assert_allclose(redundancy.covariance(x, x, where), covariance, rtol=1e-6)
    power = redundancy.vicreg_covariance(x, 2.0 * x, where=where)
    assert float(power) == pytest.approx((1 + 16) * 2 / 2)
    # Standard deviations 2 and 1 of x, half of that of x / 2, wanted at 1.5.
    variance = redundancy.vicreg_variance(x, x / 2, where=where, deviation=1.5, epsilon=1e-12)
    assert float(variance) == pytest.approx((0 + 0.5) / 2 + (0.5 + 1.0) / 2, rel=1e-5)
    correlation = np.corrcoef(np.asarray(x[:3]), rowvar=False)[0, 1]
    twins = redundancy.barlow_twins(x, x, where=where, off_diagonal=0.1)
    assert float(twins) == pytest.approx(0.1 * 2 * correlation**2, rel=1e-4)
    within = redundancy.barlow_twins(x, 5 - x, where=where, off_diagonal=0.1, views="within")
    assert float(within) == pytest.approx(float(twins), rel=1e-4)


def test_mixtures_are_valid_objectives_whose_weights_follow_their_schedules(views):
    x, y = views
    offered = {"x": x, "y": y, "label": jnp.asarray(IDS), "reference": y, "reference_y": x}
    offered |= {
        f"{kind}_{side}": z
        for kind in ("key", "prediction", "teacher")
        for side, z in (("x", x), ("y", y))
    }
    queue = memory.queue_push(memory.init_queue(8, DIM), y)
    offered |= {"queue_x": queue, "queue_y": queue, "match_logit": x[:, 0], "match": x[:, 0] > 0}
    made_of = {}
    for name, rows in MIXTURES.items():
        objective.validate(rows, {"": tuple(offered)}, domain="pairs")
        made_of[name] = objective.make_objective(rows), objective.hparams(rows)

    @jax.jit
    def evaluate(offered):
        return {
            name: (
                made.terms(lambda side: offered, hparams, reduce=jnp.mean),
                [made.weights(jnp.float32(epoch), hparams) for epoch in (0.0, 3.5, 9.0)],
            )
            for name, (made, hparams) in made_of.items()
        }

    values = jax.device_get(evaluate(offered))
    assert all(np.isfinite(term) for terms, _ in values.values() for term in terms.values())
    terms, (weight, *_) = values["mixed"]
    mixed = sum(float(terms[row] * weight[row]) for row in terms)
    label = jnp.asarray(IDS)
    expected = run(
        lambda: (
            0.4 * contrastive.clip(x, y)
            + 0.3 * instances.nt_xent(x, y)
            + 0.3 * instances.supervised_contrastive(x, y, label)
        )
    )
    assert mixed == pytest.approx(float(expected), rel=1e-5)
    shares = [[float(w["clip"]), float(w["invariance"])] for w in values["hybrid"][1]]
    assert shares == [[1.0, 0.0], [0.5, 12.5], [0.0, 25.0]]
    terms = values["moco"][0]
    back = run(lambda: memory.moco(y, x, queue))
    assert float(terms["moco_yx"]) == pytest.approx(float(back), rel=1e-6)
    assert values["moco"][1][0]["moco_yx"] == 0.5
