"""The whole objective of one recorded step: values, totals and gradients of the latents."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.support.production_cases import FAST_COMPILE
from tests.support.rich_hierarchy import rich_hierarchy
from tvae.domains.operations.tree import TREE
from tvae.domains.projected_vae import zero_structure
from tvae.geometry import padic, poincare
from tvae.losses import distances, radial, ranking
from tvae.losses.pairs import Pairs

ENDS = {"inner": 0.08, "outer": 0.9}
BOUNDS = {"tree": TREE, **ENDS}


def _decoder(data, z):
    """Decoder of either family from its torch parameters."""
    prefix = "param0/decoder_A.decoder."
    layers = sorted({int(key[len(prefix) :].split(".")[0]) for key in data if prefix in key})
    for layer in layers:
        weight, bias = data[f"{prefix}{layer}.weight"], data[f"{prefix}{layer}.bias"]
        if weight.ndim == 1:
            z = jax.nn.standardize(z, epsilon=1e-5) * weight[None] + bias[None]
            z = jax.nn.silu(z)
            continue
        z = z @ weight.T + bias[None]
        if layer != layers[-1] and layers == [0, 2, 4]:
            z = jax.nn.relu(z)
    return z.reshape(-1, 9, 3)


def _side_terms(z, side, data, index):
    """The terms that both encoders have."""
    valuation = TREE.level(index)
    radius = poincare.hyperbolic_radius(z, c=1.0)

    def pairs(name):
        return Pairs(*(jnp.asarray(data[f"{name}_{side}/{end}"], jnp.int32) for end in "ij"))

    weight = radial.exponential_weight(valuation)
    return {
        "radial": (weight * radial.radial_hierarchy(radius, valuation, **BOUNDS)).mean()
        + 0.5 * radial.radial_margin(radius, valuation, pairs=pairs("radial"), **BOUNDS),
        "rank": ranking.global_rank(radius, valuation, temperature=0.1, pairs=pairs("rank")),
        "zero": 0.5 * zero_structure.zero_valuation_loss(radius, index, **ENDS).mean()
        + 0.3 * zero_structure.zero_sparsity_loss(radius, index),
        "geo": distances.tree_geodesic(z, index, tree=TREE, c=1.0, pairs=pairs("geo")),
    }


def _terms(z_a, z_b, data):
    index = jnp.asarray(data["batch_idx"], jnp.int32)
    radius = poincare.hyperbolic_radius(z_b, c=1.0)
    reference = jnp.asarray(data["original_radii"])[index]
    rich = rich_hierarchy(radius, TREE.level(index), reference, **BOUNDS)
    logits = _decoder(data, poincare.log_map_origin(z_a, c=1.0))
    terms = {
        "hierarchy": rich.hierarchy,
        "richness": rich.richness,
        "separation": rich.separation,
        "coverage": optax.softmax_cross_entropy_with_integer_labels(
            logits, padic.digits(index)
        ).mean(),
    }
    for side, z in (("A", z_a), ("B", z_b)):
        terms |= {f"{k}_{side}": v for k, v in _side_terms(z, side, data, index).items()}
    return terms


def _total(terms, phase):
    both = {k: terms[f"{k}_A"] + terms[f"{k}_B"] for k in ("radial", "rank", "zero", "geo")}
    rich = 5 * terms["hierarchy"] + terms["coverage"]
    rich += 2 * terms["richness"] + 3 * terms["separation"]
    common = rich + 0.5 * both["rank"] + 0.5 * both["zero"]
    if phase == 1:
        return common + both["radial"]
    return common + 0.5 * both["radial"] + 0.3 * both["geo"]


@pytest.mark.parametrize("family", ["frozen", "improved"])
def test_recorded_step(family, reference):
    with np.load(reference / "v5_12" / f"golden_step_init_{family}.npz") as file:
        data = {key: file[key] for key in file.files}
    z_a, z_b = jnp.asarray(data["out/z_A_hyp"]), jnp.asarray(data["out/z_B_hyp"])

    @partial(jax.jit, compiler_options=FAST_COMPILE)
    def step(z_a, z_b):
        def totals(z_a, z_b):
            terms = _terms(z_a, z_b, data)
            return jnp.stack([_total(terms, 1), _total(terms, 2)]), terms

        return totals(z_a, z_b), jax.jacrev(totals, argnums=(0, 1), has_aux=True)(z_a, z_b)[0]

    (totals, terms), (gradient_a, gradient_b) = step(z_a, z_b)
    for name in ("hierarchy", "coverage", "richness", "separation"):
        np.testing.assert_allclose(terms[name], data[f"rich/{name}_loss"], rtol=2e-5, err_msg=name)
    for name in ("radial", "rank", "zero", "geo"):
        for side in "AB":
            key = f"{name}_{side}"
            np.testing.assert_allclose(terms[key], data[f"{key}/loss"], rtol=2e-5, err_msg=key)
    np.testing.assert_allclose(totals, [data["total_phase1"], data["total_phase2"]], rtol=2e-5)
    for phase in (1, 2):
        for side, gradient in (("A", gradient_a), ("B", gradient_b)):
            expected = data[f"gradz_{side}_phase{phase}"]
            np.testing.assert_allclose(
                gradient[phase - 1], expected, rtol=2e-5, atol=2e-6 * np.abs(expected).max()
            )
