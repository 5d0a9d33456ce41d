"""Contrastive and redundancy terms against outputs and gradients of the reference system.

The recorded numbers are of float64; where a term differs from the reference system on purpose, its
form there is composed of the same parts here.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import FAST_COMPILE
from tvae.losses import contrastive, instances, memory, nce, redundancy
from tvae.losses.memory import Queue
from tvae.losses.nce import mean_pairs, mean_rows
from tvae.losses.similarity import cosine, dot, unit
from tvae.metrics.retrieval import alignment_metrics, retrieval_metrics

TAU = 0.07
VICREG_FACTORS = {"": 1.0, "_curriculum_epoch_0": 0.01, "_curriculum_epoch_1": 0.3} | {
    f"_curriculum_epoch_{epoch}": 0.5 for epoch in (3, 10)
}
"""Factor of the weights of variance and covariance, with both errors of the reference system."""


@functools.cache
def load(folder, name):
    with np.load(folder / "contrastive" / f"{name}.npz") as data:
        return {key: data[key] for key in data.files}


def weighted_queue(x, y, case, *, fill):
    """The reference system's MoCo: all slots are candidates, their logits multiplied."""
    temperature = TAU if fill >= 0.95 else TAU * (1.3 - 0.3 * fill)
    weight = 0.5 * fill if fill < 0.2 else min(1.0, 1.5 * fill)
    same = nce.same(case["ids"], case["ids"])

    def one_way(x, y, stored):
        # Stored keys are unit vectors in single precision, and taken as they are.
        of_stored = weight * dot(unit(x), stored)
        logits = jnp.concatenate([cosine(x, y), of_stored], 1) / temperature
        positive = jnp.concatenate([same, jnp.zeros((len(x), len(stored)), bool)], 1)
        return mean_pairs(nce.nce(logits, positive, denominator="pair"))

    queue = case["queue_vision"], case["queue_text"]
    return (one_way(x, y, queue[1]) + one_way(y, x, queue[0])) / 2


def masked_queue(x, y, case):
    def queue(keys):
        slot = jnp.arange(len(keys))
        return Queue(keys, jnp.zeros_like(slot), slot < len(keys) // 2, slot[0])

    term = functools.partial(memory.moco, similarity="dot")
    forth = term(unit(x), unit(y), queue(case["queue_text"]))
    return (forth + term(unit(y), unit(x), queue(case["queue_vision"]))) / 2


def supervised_blocks(x, y, label):
    """The reference system's blocks, which add 1e-8 to each sum, relative to the largest logit.

    The largest is that of a row with itself, which is not among the sum's: the sum may be 1e-6.
    """
    n = len(x)
    candidate = ~jnp.eye(n, dtype=bool)
    nothing, small = jnp.zeros((n, 1), bool), jnp.ones((n, 1), bool)
    positive = jnp.concatenate([nce.same(label, label) & candidate, nothing], 1)

    def block(a, b):
        logits = cosine(a, b) / TAU
        added = jax.lax.stop_gradient(logits.max(1, keepdims=True)) + jnp.log(1e-8)
        logits = jnp.concatenate([logits, added], 1)
        return mean_rows(nce.nce(logits, positive, jnp.concatenate([candidate, small], 1)))

    return block(x, x), block(y, y), block(x, y)


def vicreg(x, y, *, factor, weights=(10.0, 5.0, 1.0), epsilon=1e-3):
    parts = (
        redundancy.vicreg_invariance(x, y, centre=True),
        factor * redundancy.vicreg_variance(x, y, epsilon=epsilon),
        factor * redundancy.vicreg_covariance(x, y),
    )
    return sum(weight * part for weight, part in zip(weights, parts, strict=True))


def values(x, y, case):
    """Every recorded loss by its name."""
    ids, label = case["ids"], case["labels"]
    matched = functools.partial(contrastive.info_nce, x, y, match_id=ids)
    blocks = supervised_blocks(x, y, label)
    barlow = functools.partial(redundancy.barlow_twins, x, y)
    found = {
        "clip_unique": contrastive.clip(x, y),
        "clip_tau_02": contrastive.clip(x, y, temperature=0.2),
        "clip_ids_uniform": contrastive.clip(x, y, match_id=ids),
        "info_nce_ids": mean_pairs(
            nce.nce(cosine(x, y) / TAU, nce.same(ids, ids), denominator="pair")
        ),
        "nt_xent": instances.nt_xent(unit(x), unit(y), similarity="dot"),
        "nt_xent_unnormalised_tau_1": instances.nt_xent(x, y, similarity="dot", temperature=1.0),
        "supervised_function_tau_05": instances.supervised_contrastive(
            x, y, label, similarity="dot", temperature=0.5
        ),
        "supervised_all": sum(blocks) / 3,
        "supervised_intra": (blocks[0] + blocks[1]) / 2,
        "supervised_cross": blocks[2],
        "hard_negative_hard": matched(mining="hard"),
        "hard_negative_semi_hard": matched(mining="semi_hard"),
        "hard_negative_none": matched(),
        "dynamic_temperature": contrastive.dynamic_temperature(x, y, match_id=ids, fixed=False),
        "decoupled": contrastive.decoupled(x, y, match_id=ids),
        "moco_full": weighted_queue(x, y, case, fill=1.0),
        "moco_half": weighted_queue(x, y, case, fill=0.5),
        "queue_masked_half_diagonal": masked_queue(x, y, case),
        "vicreg_25_25_1_eps_1e4": vicreg(x, y, factor=1, weights=(25, 25, 1), epsilon=1e-4),
        "barlow_cross": barlow(standardise=False),
        "barlow_within": barlow(standardise=False, views="within"),
        "barlow_paper_sum": barlow(),
        "decorrelation": redundancy.decorrelation(x, y),
    }
    for name, factor in VICREG_FACTORS.items():
        found[f"vicreg{name}"] = vicreg(x, y, factor=factor)
    for distance in redundancy.DISTANCES:
        rows = redundancy.feature_consistency(x, case["reference"], distance=distance)
        found[f"consistency_{distance}"] = rows.mean()
    return found


def inputs(data, dtype):
    names = ("vision", "text", "reference", "queue_vision", "queue_text", "ids", "labels")
    return {
        name: jnp.asarray(data[name], dtype if data[name].dtype.kind == "f" else jnp.int32)
        for name in names
    }


@pytest.mark.parametrize("name", [pytest.param("case_0", marks=pytest.mark.slow), "case_1"])
def test_values_and_gradients_equal_the_reference_system(name, reference):
    data = load(reference, name)

    def chosen(x, y, case, share):
        """One loss, by a vector with a single 1: the gradients of all need one program."""
        found = values(x, y, case)
        return sum(found[loss] * share[i] for i, loss in enumerate(sorted(found))), found

    with jax.enable_x64(True):
        case = inputs(data, jnp.float64)
        run = jax.jit(jax.grad(chosen, argnums=(0, 1), has_aux=True), compiler_options=FAST_COMPILE)
        losses = sorted(jax.eval_shape(lambda: values(case["vision"], case["text"], case)))
        for loss, share in zip(losses, np.eye(len(losses)), strict=True):
            gradients, found = run(case["vision"], case["text"], case, share)
            rtol = 1e-8 if loss.startswith("supervised") else 1e-9  # 1e-8 in their denominators
            np.testing.assert_allclose(found[loss], data[loss], rtol=rtol, err_msg=loss)
            for gradient, modality in zip(gradients, ("vision", "text"), strict=True):
                expected = data.get(f"{loss}_grad_{modality}", gradient)
                error = np.linalg.norm(gradient - expected)
                assert error <= 1e-6 * np.linalg.norm(expected), (loss, modality)


def test_values_in_single_precision(reference):
    data = load(reference, "case_0")
    case = inputs(data, jnp.float32)
    run = jax.jit(values, compiler_options=FAST_COMPILE)
    for loss, value in run(case["vision"], case["text"], case).items():
        np.testing.assert_allclose(value, data[loss], rtol=2e-6, err_msg=loss)


def test_parts_and_metrics_equal_the_reference_system(reference):
    data = load(reference, "case_1")
    case = inputs(data, jnp.float32)
    own = jnp.eye(len(case["vision"]), dtype=bool)

    def parts(x, y, case):
        near, matched = cosine(x, y), nce.same(case["ids"], case["ids"])
        aligned = alignment_metrics(near)
        supervised = functools.partial(instances.supervised_contrastive, x, y, case["labels"])
        found = {
            "vicreg/invariance_loss": redundancy.vicreg_invariance(x, y, centre=True),
            "vicreg/variance_loss": redundancy.vicreg_variance(x, y, epsilon=1e-3),
            "vicreg/covariance_loss": redundancy.vicreg_covariance(x, y),
            "dynamic_temperature/temperature": nce.separation_temperature(
                near, matched, jnp.ones_like(matched)
            ),
            "supervised_all": supervised(blocks="all"),
            "supervised_intra": supervised(blocks="intra"),
            "supervised_cross": supervised(blocks="cross"),
            "alignment/diag_mean": aligned["diagonal_mean"],
            "alignment/sim_mean": aligned["similarity_mean"],
            "alignment/sim_std": aligned["similarity_std"],
            "alignment/gap": aligned["alignment_gap"],
        }
        for kind, relevant in (("any_positive", matched), ("diagonal", own)):
            recall = retrieval_metrics(near, relevant)
            for k in (1, 5, 10):
                found[f"recall/v2t_{kind}_at_{k}"] = recall[f"recall_at_{k}_xy"]
                found[f"recall/t2v_{kind}_at_{k}"] = recall[f"recall_at_{k}_yx"]
        return found

    run = jax.jit(parts, compiler_options=FAST_COMPILE)
    for part, value in run(case["vision"], case["text"], case).items():
        np.testing.assert_allclose(value, data[part], rtol=2e-5, err_msg=part)


def test_equal_shares_are_the_mean_of_positives_drawn_at_random(reference):
    data = load(reference, "case_0")
    value = contrastive.clip(
        *(jnp.asarray(data[key]) for key in ("vision", "text")),
        match_id=jnp.asarray(data["ids"], jnp.int32),
    )
    # Four thousand draws of the reference system, whose standard error is about 0.01.
    assert abs(value - data["clip_ids_sampled_mean_of_4000"]) < 0.05
