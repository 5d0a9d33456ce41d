"""TernaryVAE: counts, variants, what reaches what, and the original's models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.geometry import poincare, ternary
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.projections import HyperbolicProjection
from tvae.models.ternary_vae import PARTS, TernaryVAE

IMPROVED = {
    "encoder": Encoder(normalize=True, dropout=0.1, logvar_bounds=(-10.0, 2.0)),
    "decoder": Decoder(normalize=True, dropout=0.1),
}
PROJECTION = HyperbolicProjection(n_layers=2, dropout=0.1, learnable_curvature=True)
V5_11 = TernaryVAE(projection=HyperbolicProjection(learnable_curvature=True), decode_ball=False)
PUBLISHED = TernaryVAE(projection=PROJECTION, dual_projection=True)
DOCUMENTED = TernaryVAE(projection=PROJECTION, dual_projection=True, **IMPROVED)
X = ternary.values(jnp.arange(0, 19683, 1234))


def init(model):
    return jax.jit(lambda key: model.init(key, X, method=model.touch))(jax.random.key(0))["params"]


def sizes(params) -> dict[str, int]:
    return {k: sum(leaf.size for leaf in jax.tree.leaves(v)) for k, v in params.items()}


PLAIN_SIZES = {"encoder_a": 45_792, "encoder_b": 45_792, "decoder_a": 4_411, "controller": 1_606}
IMPROVED_SIZES = PLAIN_SIZES | {"encoder_a": 46_688, "encoder_b": 46_688, "decoder_a": 4_603}
DUAL = {"projection_a": 8_178, "projection_b": 8_178}


@pytest.mark.parametrize(
    ("model", "expected", "total"),
    [
        (V5_11, PLAIN_SIZES | {"projection_a": 2_834}, 100_435),
        (PUBLISHED, PLAIN_SIZES | DUAL, 113_957),
        (DOCUMENTED, IMPROVED_SIZES | DUAL, 115_941),
    ],
    ids=["v5.11", "v5.12 published", "v5.12 documented"],
)
def test_parameter_counts_are_those_of_the_original(model, expected, total):
    found = sizes(init(model))
    assert found == expected
    assert sum(found.values()) == total
    assert set(found) <= set(PARTS)


def test_shared_direction_leaves_b_only_a_radius_net():
    model = TernaryVAE(projection=PROJECTION, dual_projection=True, share_direction=True)
    params = init(model)
    assert set(params["projection_b"]) == {"radius", "inverse_softplus_c"}
    out = model.apply({"params": params}, X)
    z_b = out.z_euc_b / jnp.linalg.norm(out.z_euc_b, axis=-1, keepdims=True)
    np.testing.assert_allclose(out.ball_b.direction, z_b, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="share_direction needs dual_projection"):
        init(TernaryVAE(share_direction=True))


def test_one_projection_serves_both():
    model = TernaryVAE()
    params = init(model)
    latents = model.apply({"params": params}, X, method=model.encode)
    twice = latents.replace(mu_b=latents.mu_a)
    out = model.apply({"params": params}, twice, method=model.from_latents)
    np.testing.assert_array_equal(out.ball_a.z, out.ball_b.z)


def test_means_by_default_and_noise_in_units_of_the_posterior():
    params = {"params": init(PUBLISHED)}
    out = PUBLISHED.apply(params, X)
    np.testing.assert_array_equal(out.z_euc_a, out.latents.mu_a)
    noise = jnp.ones_like(out.z_euc_b)
    moved = PUBLISHED.apply(params, X, noise_b=noise)
    np.testing.assert_array_equal(moved.z_euc_a, out.z_euc_a)
    deviation = jnp.exp(0.5 * out.latents.logvar_b)
    np.testing.assert_allclose(moved.z_euc_b, out.latents.mu_b + deviation, rtol=1e-6)


def test_decoder_reads_the_ball_or_the_latent():
    for model in (PUBLISHED, V5_11):
        params = {"params": init(model)}
        out = model.apply(params, X)
        tangent = poincare.log_map_origin(out.ball_a.z, c=1.0)
        np.testing.assert_allclose(out.z_tangent_a, tangent, rtol=1e-6)
        source = out.z_tangent_a if model.decode_ball else out.z_euc_a
        logits = model.apply(params, source, method=model.decode)
        np.testing.assert_allclose(out.logits_a, logits, rtol=1e-6)
    again = PUBLISHED.apply(
        {"params": init(PUBLISHED)},
        PUBLISHED.apply({"params": init(PUBLISHED)}, X).ball_a.z,
        method=PUBLISHED.decode_points,
    )
    assert again.shape == (len(X), 9, 3)


def test_cached_latents_give_the_same_outputs():
    params = {"params": init(DOCUMENTED)}
    cached = DOCUMENTED.apply(params, X, method=DOCUMENTED.encode)
    from_cache = DOCUMENTED.apply(params, cached, method=DOCUMENTED.from_latents)
    for ours, theirs in zip(
        jax.tree.leaves(from_cache), jax.tree.leaves(DOCUMENTED.apply(params, X)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_dropout_acts_only_in_parts_that_train_and_gates_do_not_recompile():
    params = {"params": init(DOCUMENTED)}

    @jax.jit
    def forward(gates, key):
        return DOCUMENTED.apply(params, X, train=gates, rngs={"dropout": key})

    still = DOCUMENTED.apply(params, X)
    for part, read in {
        "encoder_a": lambda out: out.latents.mu_a,
        "encoder_b": lambda out: out.latents.mu_b,
        "projection_a": lambda out: out.ball_a.hyperbolic_radius,
        "projection_b": lambda out: out.ball_b.hyperbolic_radius,
        "decoder_a": lambda out: out.logits_a,
    }.items():
        gates = {name: jnp.asarray(name == part) for name in PARTS}
        out = forward(gates, jax.random.key(1))
        assert np.any(read(out) != read(still)), part
        untouched = "mu_b" if part == "encoder_a" else "mu_a"
        if part != "encoder_a":
            np.testing.assert_array_equal(out.latents.mu_a, forward_means(still, "mu_a"))
        np.testing.assert_allclose(
            getattr(out.latents, untouched), forward_means(still, untouched), rtol=1e-6, atol=1e-6
        )
    assert forward._cache_size() == 1


def forward_means(out, name):
    return getattr(out.latents, name)


def test_misspelt_parts_are_refused():
    with pytest.raises(ValueError, match="unknown parts \\['encoder_c'\\]"):
        PUBLISHED.apply({"params": init(PUBLISHED)}, X, train={"encoder_c": True})


def test_logvar_clamp_of_the_improved_encoder():
    model = Encoder(logvar_bounds=(-0.01, 0.01))
    params = jax.jit(model.init)(jax.random.key(0), X)
    _, logvar = model.apply(params, X)
    assert np.abs(logvar).max() == np.float32(0.01)


def test_controller_reads_the_batch_and_constants_stand_in():
    params = {"params": init(PUBLISHED)}
    out = PUBLISHED.apply(params, X)
    valuation = ternary.valuation(jnp.arange(0, 19683, 1234))

    def rho(radius):
        moved = out.replace(ball_a=out.ball_a.replace(hyperbolic_radius=radius))
        return PUBLISHED.apply(params, moved, valuation, method=PUBLISHED.control).rho

    assert np.any(jax.grad(rho)(out.ball_a.hyperbolic_radius) != 0.0)
    without = TernaryVAE(use_controller=False)
    bare = init(without)
    assert "controller" not in bare
    out = without.apply({"params": bare}, X)
    control = without.apply({"params": bare}, out, valuation, method=without.control)
    assert control.rho == 0.0
    assert control.weight_geodesic == 1.0


def test_equal_settings_are_one_static_value():
    again = TernaryVAE(
        projection=HyperbolicProjection(n_layers=2, dropout=0.1, learnable_curvature=True),
        dual_projection=True,
    )
    assert again == PUBLISHED
    assert hash(again) == hash(PUBLISHED)
