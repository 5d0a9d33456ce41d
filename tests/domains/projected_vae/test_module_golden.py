"""ProjectedVAE and its parts against the original: forward passes, gradients, both checkpoints."""

import json

import jax
import jax.numpy as jnp
import pytest

from tests.support.golden_modules import (
    assert_close,
    cotangent,
    load,
    params,
    random_params,
    size,
    weights,
)
from tests.support.torch_checkpoints import module_of
from tvae.convert import names
from tvae.convert.importer import import_checkpoint
from tvae.convert.torch_file import read_torch_file
from tvae.domains.projected_vae.module import ProjectedVAE
from tvae.geometry import padic
from tvae.models.controllers import DifferentiableController
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.projections import HyperbolicProjection

IMPROVED = {
    "encoder": Encoder(normalize=True, dropout=0.1, logvar_bounds=(-10.0, 2.0)),
    "decoder": Decoder(normalize=True, dropout=0.1),
    "projection": HyperbolicProjection(n_layers=2, dropout=0.1, learnable_curvature=True),
    "dual_projection": True,
}
PLAIN = {"projection": HyperbolicProjection(learnable_curvature=True)}
# The original's radius is absolute: 0.68 in the ball of c = 2, whose radius is 1/√2.
SQUEEZED = {"projection": HyperbolicProjection(curvature=2.0, max_norm=0.68 * 2**0.5)}

READS = {
    "z_A_euc": lambda out: out.z_euc_a,
    "z_B_euc": lambda out: out.z_euc_b,
    "mu_A": lambda out: out.latents.mu_a,
    "mu_B": lambda out: out.latents.mu_b,
    "logvar_A": lambda out: out.latents.logvar_a,
    "logvar_B": lambda out: out.latents.logvar_b,
    "z_A_hyp": lambda out: out.ball_a.z,
    "z_B_hyp": lambda out: out.ball_b.z,
    "z_tangent_A": lambda out: out.z_tangent_a,
    "logits_A": lambda out: out.logits_a,
}


# Not jitted: operations of one shape compile once for all cases.
def forward(model, parameters, x, noise_a, noise_b):
    return model.apply({"params": parameters}, x, noise_a=noise_a, noise_b=noise_b)


def full_case(reference, name):
    folder = reference / "golden" / "models_full"
    family = "improved_dual" if "improved" in name else "frozen_single"
    found = load(folder / f"weights_{family}.npz")
    return load(folder / f"{name}.npz"), import_checkpoint(dict(weights(found) or found)).params


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("v5_11_frozen_single_eps", PLAIN),
        ("v5_11_frozen_single_noiseless", PLAIN),
        ("v5_11_frozen_single_batch1", PLAIN),
        ("v5_11_frozen_single_one_valuation", PLAIN),
        ("v5_11_improved_dual_eps", IMPROVED),
        ("partialfreeze_frozen_single_eps", PLAIN),
        ("partialfreeze_improved_dual_eps", IMPROVED),
        ("partialfreeze_improved_dual_noiseless", IMPROVED),
        ("partialfreeze_improved_all_unfrozen_eps", IMPROVED),
        ("partialfreeze_no_controller_c2", SQUEEZED),
    ],
)
def test_forward_pass(reference, name, settings):
    golden, parameters = full_case(reference, name)
    model = ProjectedVAE(**settings, decode_ball=name.startswith("partialfreeze"))
    noise = (jnp.asarray(golden["in.eps_A"]), jnp.asarray(golden["in.eps_B"]))
    out = forward(model, parameters, jnp.asarray(golden["in.x"]), *noise)
    for key, read in READS.items():
        if f"f32.{key}" in golden:
            assert_close(read(out), golden[f"f32.{key}"])
    if "f32.controller_input" not in golden:
        return
    if name.startswith("v5_11"):
        valuation = padic.valuation(golden["in.indices"])
        control = model.apply({"params": parameters}, out, valuation, method=model.control)
    else:  # There the hierarchies were the constant 1 (ours are real): feed what it fed.
        variables = {"params": parameters["controller"]}
        control = DifferentiableController().apply(
            variables, jnp.asarray(golden["f32.controller_input"])
        )
    for key in ("rho", "weight_geodesic", "weight_radial", "tau"):
        assert_close(getattr(control, key), golden[f"f32.control.{key}"])
    assert_close(control.beta_a, golden["f32.control.beta_A"])
    assert_close(control.beta_b, golden["f32.control.beta_B"])


def test_gradients_through_every_part(reference):
    golden, parameters = full_case(reference, "partialfreeze_improved_all_unfrozen_eps")
    model = ProjectedVAE(**IMPROVED)
    noise = (jnp.asarray(golden["in.eps_A"]), jnp.asarray(golden["in.eps_B"]))
    keys = ("z_A_hyp", "z_B_hyp", "logits_A")

    @jax.jacrev
    def gradients(x):
        out = forward(model, parameters, x, *noise)
        return [jnp.sum(READS[key](out) * cotangent(golden, key)) for key in keys]

    for key, ours in zip(keys, gradients(jnp.asarray(golden["in.x"])), strict=True):
        assert_close(ours, golden[f"f32.grad.{key}.x"], 2e-5)


@pytest.mark.parametrize(
    ("case", "model"),
    [
        ("frozen_encoder", Encoder()),
        ("improved_encoder", Encoder(normalize=True, dropout=0.1, logvar_bounds=(-0.4, 0.3))),
    ],
)
def test_encoders(reference, case, model):
    folder = reference / "golden"
    golden = load(folder / "models_components" / f"{case}.npz")
    family = "improved_dual" if model.normalize else "frozen_single"
    found = load(folder / "models_full" / f"weights_{family}.npz")
    found = weights(found) or found
    named = {k: v for k, v in found.items() if k.startswith("encoder_B.")}
    variables = {"params": params(named, names.encoder("B", 16, improved=model.normalize))}
    x = jnp.asarray(golden["in.x"])
    (mu, logvar), pull = jax.vjp(jax.jit(lambda x: model.apply(variables, x)), x)
    assert_close(mu, golden["f32.mu"])
    assert_close(logvar, golden["f32.logvar"])
    zeros = jnp.zeros_like(mu)
    assert_close(pull((cotangent(golden, "mu"), zeros))[0], golden["f32.grad.mu.x"])
    assert_close(pull((zeros, cotangent(golden, "logvar")))[0], golden["f32.grad.logvar.x"])


@pytest.mark.parametrize(
    ("case", "model"),
    [("frozen_decoder", Decoder()), ("improved_decoder", Decoder(normalize=True, dropout=0.1))],
)
def test_decoders(reference, case, model):
    golden = load(reference / "golden/models_components" / f"{case}.npz")
    named = {f"decoder_A.{k}": v for k, v in weights(golden).items()}
    variables = {"params": params(named, names.decoder_a(16, improved=model.normalize))}
    z = jnp.asarray(golden["in.z"])
    logits, pull = jax.vjp(jax.jit(lambda z: model.apply(variables, z)), z)
    assert_close(logits, golden["f32.logits"])
    assert_close(pull(cotangent(golden, "logits"))[0], golden["f32.grad.logits.z"])


@pytest.mark.parametrize("name", ["published_path_ep20", "improved_ep99"])
def test_checkpoints(reference, name):
    """Means and samples of every fifth operation, to 1e-5 of each tensor's maximum."""
    imported = import_checkpoint(read_torch_file(reference / "v5_12" / f"{name}.pt"))
    golden = load(reference / "v5_12" / f"{name}.npz")
    model = module_of(imported)
    x = padic.values(jnp.asarray(golden["index"]))
    noise = (jnp.asarray(golden["eps_A"]), jnp.asarray(golden["eps_B"]))
    sampled = forward(model, imported.params, x, *noise)
    means = forward(model, imported.params, x, None, None)
    for part, letter in (("a", "A"), ("b", "B")):
        for out, suffix in ((sampled, ""), (means, "_mean")):
            ball = getattr(out, f"ball_{part}")
            assert_close(ball.z, golden[f"z_hyp_{letter}{suffix}"])
        assert_close(getattr(means.latents, f"mu_{part}"), golden[f"mu_{letter}"])
        assert_close(getattr(means.latents, f"logvar_{part}"), golden[f"logvar_{letter}"])
        assert_close(getattr(sampled, f"z_euc_{part}"), golden[f"z_euc_{letter}"])
    for out, suffix in ((sampled, ""), (means, "_mean")):
        assert_close(out.z_tangent_a, golden[f"z_tangent_A{suffix}"])
        assert_close(out.logits_a, golden[f"logits_A{suffix}"])
    variables = {"params": imported.params}
    logits = model.apply(variables, means.latents.mu_a, method=model.decode)
    assert_close(logits, golden["logits_mu"])


def test_parameter_groups(reference):
    counts = json.loads(str(load(reference / "golden/models_full/param_groups.npz")["out.json"]))
    model = ProjectedVAE(**IMPROVED)
    tree = random_params(model, jnp.zeros((1, 9)), method=model.touch)
    sizes = {name: size(part) for name, part in tree.items()}
    theirs = {
        group["name"].replace("proj", "projection").lower(): group["n_params"]
        for group in counts["all_unfrozen"]["groups"]
    }
    assert sizes == theirs
