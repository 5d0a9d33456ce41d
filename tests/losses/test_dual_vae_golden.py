"""The losses of the dual VAE against recorded values and gradients of the reference system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.production_cases import VECTORISED, Case, referenced
from tests.support.triplet_cases import padded, ranking, ranking_options, recorded_triplets
from tvae.domains.dual_vae.terms import entropy_alignment
from tvae.domains.operations.tree import TREE
from tvae.geometry import poincare
from tvae.losses import (
    divergence,
    hyperbolic_prior,
    likelihood,
    radial,
    regularizers,
    ultrametric,
)
from tvae.losses.pairs import Pairs

TOPIC = "loss_dual_vae/"
ENCODERS = "AB"
N_PAIRS = 64
RANKINGS = {"rank": "", "v2": "triplet_v2_", "hyp": "triplet_hyp_"}


def _digits(x):
    return jnp.asarray(x + 1, jnp.int32)


def _cross_entropy(logits, x):
    return likelihood.cross_entropy(logits, _digits(x)).mean()


def _case(name: str) -> Case:
    cases = referenced(name)
    if not cases:
        pytest.skip("needs ../shared/reference (outputs of the original system), which is absent")
    return cases[0]


def test_reconstruction_and_entropy():
    case = _case(TOPIC + "reconstruction_and_entropy")
    x = jnp.asarray(case["in.x"])
    for name, loss in {
        "reconstruction": lambda logits: _cross_entropy(logits, x),
        "negative_entropy": lambda logits: -regularizers.output_entropy(logits),
    }.items():
        value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(case["in.logits"]))
        case.assert_close(value, f"f32.{name}")
        case.assert_close(gradient, f"f32.grad.{name}.logits")


def test_divergence_with_free_bits():
    def loss(mu, logvar, free_bits):
        return divergence.free_bits_kl(mu, logvar, free_bits=free_bits).mean()

    both = jax.jit(jax.value_and_grad(loss, (0, 1)))
    for case in referenced(TOPIC + "kl_free_bits"):
        mu, logvar = jnp.asarray(case["in.mu"]), jnp.asarray(case["in.logvar"])
        value, gradients = both(mu, logvar, case.params["free_bits"])
        case.assert_close(value, "f32.kl")
        case.assert_close(gradients[0], "f32.grad.kl.mu")
        case.assert_close(gradients[1], "f32.grad.kl.logvar")


def test_repulsion():
    both = jax.jit(
        jax.value_and_grad(lambda z, mask, sigma: regularizers.repulsion(z, mask, sigma=sigma))
    )
    for case in referenced(TOPIC + "repulsion"):
        z = case["in.z"]
        mask = np.arange(40) < len(z)
        value, gradient = both(padded(z, 40), mask, case.params["sigma"])
        case.assert_close(value, "f32.loss")
        if case.has("f32.grad.loss.z"):
            case.assert_close(gradient[: len(z)], "f32.grad.loss.z")


def _of_encoder(side, x, index, draws, options):
    """Unweighted terms of one encoder; the p-adic ones of the triplets and pairs it drew."""
    z = side["z"]

    def of_triplets(triplets, options):
        return ranking(z, index, triplets, options, n_rows=len(z))[0]

    mu, point = (poincare.project(x, c=1.0, max_norm=0.95) for x in (side["mu"], z))
    # The weight by radius of the reference system, which is not cut where it would grow again.
    by_radius = jnp.square(1.0 - poincare.hyperbolic_radius(point, c=1.0) / 0.95) + 0.5
    prior = hyperbolic_prior.tangent_normal_kl(mu, side["logvar"], 1.0, scale=0.9)
    rankings = dict(zip(RANKINGS, jax.vmap(of_triplets)(draws["triplets"], options), strict=True))
    return {
        "ce": _cross_entropy(side["logits"], x),
        "kl": divergence.free_bits_kl(side["mu"], side["logvar"], free_bits=0.5).mean(),
        "entropy": regularizers.output_entropy(side["logits"]),
        "repulsion": regularizers.repulsion(z, sigma=0.5),
        "hyp_kl": prior.mean(),
        "hyp_recon": (by_radius * likelihood.cross_entropy(side["logits"], _digits(x))).mean(),
        "padic_metric": ultrametric.ultrametric_match(z, index, TREE, 1.0, draws["pairs"]),
        "padic_norm": ultrametric.padic_norm(z, index, TREE).mean(),
        "padic_ranking": rankings["rank"],
        "padic_ranking_v2": rankings["v2"],
        "padic_hyp": rankings["hyp"],
    }


def _total(sides, x, index, draws, options, weights):
    """The sum of the reference system with its weights, and all parts."""
    of_both = jax.vmap(lambda side, drawn: _of_encoder(side, x, index, drawn, options))
    both = of_both(sides, draws)
    parts = {e: {name: part[k] for name, part in both.items()} for k, e in enumerate(ENCODERS)}
    total, losses = weights["alignment"], {}
    for encoder, part in parts.items():
        losses[encoder] = sum(weights[encoder][name] * part[name] for name in weights[encoder])
        total = total + weights["scale"][encoder] * losses[encoder]
        for added in (weights["padic"], weights["ball"][encoder]):
            total = total + sum(added[name] * part[name] for name in added)
    return total, (parts, losses)


@pytest.fixture(scope="module")
def total():
    return jax.jit(jax.value_and_grad(_total, has_aux=True), compiler_options=VECTORISED)


def _stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _draws(case, encoder, index):
    call = "" if encoder == "A" else "call1_"
    ends = ("anchor", "pos", "neg")
    pairs = np.zeros((2, N_PAIRS), np.int32)  # of a row with itself: they do not count
    if case.has(f"in.metric_i_{encoder}"):
        rows = [case[f"in.metric_{end}_{encoder}"] for end in "ij"]
        pairs[:, : len(rows[0])] = rows
    names = {name: [f"{prefix}{call}{end}" for end in ends] for name, prefix in RANKINGS.items()}
    names["rank"] = [f"rank_{end}_{encoder}" for end in ends]
    triplets = _stacked(recorded_triplets(case, index, named) for named in names.values())
    return {"triplets": triplets, "pairs": Pairs(*pairs)}


def _weights(case):
    p, padic = case.params, case.params["padic_config"] or {}
    ratio = case["in.grad_norm_B_ema"] / case["in.grad_norm_A_ema"]
    balanced = p["gradient_balance"] and p["training"]
    scales = np.clip([ratio, 1 / ratio], 0.5, 2.0) if balanced else np.ones(2)
    hyperbolic = padic.get("ranking_hyperbolic", {}).get("weight", 0.5)
    override = p["ranking_weight_override"]
    weights = {
        "padic_metric": padic.get("metric_loss_weight", 0.1) * ("metric_n_pairs" in padic),
        "padic_norm": padic.get("norm_loss_weight", 0.05) * ("norm_loss_weight" in padic),
        "padic_ranking": 0.5 * padic.get("enable_ranking_loss", False),
        "padic_ranking_v2": 0.5 * padic.get("enable_ranking_loss_v2", False),
        "padic_hyp": (hyperbolic if override is None else override)
        * padic.get("enable_ranking_loss_hyperbolic", False),
    }
    ball = padic.get("hyperbolic_v10", {})
    # The prior of the ball takes the place of the normal one, unscaled.
    of_prior = {"A": p["lambda1"] * p["beta_A"], "B": p["lambda2"] * p["beta_B"]}
    of_prior = {e: weight * bool(ball) for e, weight in of_prior.items()}
    of_recon = ball.get("recon", {}).get("weight", 0.0)
    aligned = entropy_alignment(case["in.H_A"], case["in.H_B"])
    regular = {"entropy": -p["entropy_weight_B"], "repulsion": p["repulsion_weight_B"]}
    return {
        "A": {"ce": 1.0, "kl": p["beta_A"], "entropy": 0.0, "repulsion": 0.0},
        "B": {"ce": 1.0, "kl": p["beta_B"], **regular},
        "scale": {"A": p["lambda1"] * scales[0], "B": p["lambda2"] * scales[1]},
        "alignment": p["lambda3"] * aligned,
        "padic": weights,
        "ball": {
            e: {"hyp_kl": weight, "kl": -weight, "hyp_recon": of_recon}
            for e, weight in of_prior.items()
        },
    }


NAMES = ("logits", "mu", "logvar", "z")


@pytest.mark.parametrize("case", referenced(TOPIC + "dual_vae_loss"), ids=lambda case: case.name)
def test_the_sum_equals_the_reference_system(case: Case, total):
    if not case.tolerance:  # one case has none: float32 rounding of sums of some tens
        case = case._replace(tolerance=dict.fromkeys(case.arrays, 1e-6))
    index, padic = np.asarray(case["in.indices"]), case.params["padic_config"] or {}
    options = (  # in the order of RANKINGS
        ranking_options({}, plain=True, hyperbolic=False),
        ranking_options(padic.get("ranking_v2", {}), plain=False, hyperbolic=False),
        ranking_options(padic.get("ranking_hyperbolic", {}), plain=False, hyperbolic=True),
    )
    options = jax.tree.map(lambda *x: np.asarray(x, np.float32), *options)
    sides = _stacked({name: case[f"in.{name}_{e}"] for name in NAMES} for e in ENCODERS)
    draws = _stacked(_draws(case, e, index) for e in ENCODERS)
    (value, (parts, losses)), gradients = total(
        sides, case["in.x"], index, draws, options, _weights(case)
    )
    for encoder in ENCODERS:
        for name, part in (parts[encoder] | {"loss": losses[encoder]}).items():
            recorded = f"f32.{name}_{encoder}"
            if case.has(recorded) and case[recorded] != 0.0:
                case.assert_close(part, recorded)
    compared = NAMES
    if "hyperbolic_v10" in padic:
        # The reference's centroids are of intervals of indices, which are no balls of the tree.
        centroids = case["f32.centroid_loss_A"] + case["f32.centroid_loss_B"]
        value += padic["hyperbolic_v10"]["centroid"]["weight"] * centroids
        compared = ("logits", "mu", "logvar")
    case.assert_close(value, "f32.loss")
    for k, encoder in enumerate(ENCODERS):
        for name in compared:
            if case.has(f"f32.grad.loss.{name}_{encoder}"):
                case.assert_close(gradients[name][k], f"f32.grad.loss.{name}_{encoder}")


def _components(case, x):
    """What the reference system's components sum over both encoders, by name."""
    level = TREE.level(jnp.asarray(case["in.indices"]))

    def both(loss):
        return loss("A") + loss("B")

    def kl(free_bits):
        def of(e):
            rows = divergence.free_bits_kl(x[f"mu_{e}"], x[f"logvar_{e}"], free_bits=free_bits)
            return case[f"in.beta_{e}"] * rows.mean()

        return both(of)

    def entropy(e):
        return -regularizers.output_entropy(x[f"logits_{e}"])

    def stratification(inner, outer, c, weighted):
        def of(e):
            radius = poincare.hyperbolic_radius(x[f"z_{e}"], c=c)
            rows = radial.radial_stratification(
                radius, level, tree=TREE, inner=inner, outer=outer, weighted=weighted
            )
            return rows.mean()

        return both(of)

    return {
        "reconstruction": both(lambda e: _cross_entropy(x[f"logits_{e}"], case["in.targets"])),
        "kl": kl(0.0),
        "kl_free_bits": kl(0.4),
        "entropy_A": entropy("A"),
        "entropy_B": entropy("B"),
        "entropy_both": both(entropy),
        "repulsion_A": regularizers.repulsion(x["z_A"], sigma=0.5),
        "repulsion_B": regularizers.repulsion(x["z_B"], sigma=0.5),
        "repulsion_both": both(lambda e: regularizers.repulsion(x[f"z_{e}"], sigma=0.8)),
        "entropy_align": entropy_alignment(case["in.H_A"], case["in.H_B"]),
        "radial_stratification": stratification(0.1, 0.85, 1.0, True),
        "radial_stratification_unweighted_c0.5": stratification(0.2, 1.0, 0.5, False),
    }


def test_components_equal_the_reference_system():
    case = _case("loss_components/deterministic")
    x = {f"{name}_{e}": jnp.asarray(case[f"in.{name}_{e}"]) for name in NAMES for e in ENCODERS}
    # A registry of the reference system: weights of the components, one of them replaced.
    weights = {
        "reconstruction": 1.3,
        "kl": 0.25,
        "repulsion_B": 0.01,
        "radial_stratification": 0.3,
    }

    def values(x):
        found = _components(case, x)
        return found | {"registry": sum(w * found[name] for name, w in weights.items())}

    found, jacobian = jax.jit(lambda x: (values(x), jax.jacrev(values)(x)))(x)
    for name, value in found.items():
        case.assert_close(value, f"f32.{name}")
        for of, gradient in jacobian[name].items():
            if case.has(f"f32.grad.{name}.{of}"):
                case.assert_close(gradient, f"f32.grad.{name}.{of}")
