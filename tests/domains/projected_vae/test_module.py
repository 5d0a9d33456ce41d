"""ProjectedVAE: counts, variants, what reaches what, and the original's models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tests.support.golden_modules import random_params, size
from tvae.domains.projected_vae.module import PARTS, ProjectedVAE, batch_statistics
from tvae.geometry import padic, poincare
from tvae.models.decoders import Decoder
from tvae.models.encoders import Encoder
from tvae.models.projections import HyperbolicProjection

IMPROVED = {
    "encoder": Encoder(normalize=True, dropout=0.1, logvar_bounds=(-10.0, 2.0)),
    "decoder": Decoder(normalize=True, dropout=0.1),
}
PROJECTION = HyperbolicProjection(n_layers=2, dropout=0.1, learnable_curvature=True)
V5_11 = ProjectedVAE(projection=HyperbolicProjection(learnable_curvature=True), decode_ball=False)
PUBLISHED = ProjectedVAE(projection=PROJECTION, dual_projection=True)
DOCUMENTED = ProjectedVAE(projection=PROJECTION, dual_projection=True, **IMPROVED)
INDEX = jnp.arange(0, 19683, 1234)
X, VALUATION = padic.values(INDEX), padic.valuation(INDEX)


@functools.cache
def init(model):
    return random_params(model, X, method=model.touch)


@functools.partial(jax.jit, static_argnums=0)
def forward(model, x=X, **noise):
    return model.apply({"params": init(model)}, x, **noise)


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
    found = {name: size(part) for name, part in init(model).items()}
    assert found == expected
    assert sum(found.values()) == total
    assert set(found) <= set(PARTS)


def test_shared_direction_leaves_b_only_a_radius_net():
    model = ProjectedVAE(projection=PROJECTION, dual_projection=True, share_direction=True)
    assert set(init(model)["projection_b"]) == {"radius", "inverse_softplus_c"}
    out = forward(model)
    unit = HyperbolicProjection(n_layers=2).apply(
        {"params": init(model)["projection_a"]}, out.z_euc_b, method="directions"
    )
    np.testing.assert_allclose(out.ball_b.direction, unit, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="share_direction needs dual_projection"):
        init(ProjectedVAE(share_direction=True))


def test_one_projection_serves_both():
    latents = forward(V5_11).latents
    twice = latents.replace(mu_b=latents.mu_a)
    out = V5_11.apply({"params": init(V5_11)}, twice, method=V5_11.from_latents)
    np.testing.assert_array_equal(out.ball_a.z, out.ball_b.z)


def test_means_by_default_and_noise_in_units_of_the_posterior():
    out = forward(PUBLISHED)
    np.testing.assert_array_equal(out.z_euc_a, out.latents.mu_a)
    moved = forward(PUBLISHED, noise_b=jnp.ones_like(out.z_euc_b))
    np.testing.assert_allclose(moved.z_euc_a, out.z_euc_a, rtol=1e-6)
    deviation = jnp.exp(0.5 * out.latents.logvar_b)
    np.testing.assert_allclose(moved.z_euc_b, out.latents.mu_b + deviation, rtol=1e-5)


@pytest.mark.parametrize("model", [PUBLISHED, V5_11], ids=["ball", "latent"])
def test_decoder_reads_the_ball_or_the_latent(model):
    out = forward(model)
    tangent = poincare.log_map_origin(out.ball_a.z, c=out.ball_a.c)
    np.testing.assert_allclose(out.z_tangent_a, tangent, rtol=1e-6)
    params = {"params": init(model)}
    if model.decode_ball:
        logits = model.apply(params, out.ball_a.z, method=model.decode_points)
    else:
        logits = model.apply(params, out.z_euc_a, method=model.decode)
    np.testing.assert_allclose(out.logits_a, logits, rtol=1e-5, atol=1e-6)


def test_cached_latents_give_the_same_outputs_and_no_encoder():
    params = init(DOCUMENTED)
    out = forward(DOCUMENTED)
    behind = {name: part for name, part in params.items() if not name.startswith("encoder")}

    @jax.jit
    def from_cache(latents):
        return DOCUMENTED.apply({"params": behind}, latents, method=DOCUMENTED.from_latents)

    again = from_cache(out.latents)
    np.testing.assert_allclose(again.logits_a, out.logits_a, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again.ball_b.z, out.ball_b.z, rtol=1e-5, atol=1e-6)


def test_dropout_acts_only_in_parts_that_train_and_gates_do_not_recompile():
    reads = {
        "encoder_a": lambda out: out.latents.mu_a,
        "encoder_b": lambda out: out.latents.mu_b,
        "projection_a": lambda out: out.ball_a.hyperbolic_radius,
        "projection_b": lambda out: out.ball_b.hyperbolic_radius,
        "decoder_a": lambda out: out.logits_a,
    }

    @jax.jit
    def training(gates):
        streams = {"dropout": jax.random.key(1)}
        return DOCUMENTED.apply({"params": init(DOCUMENTED)}, X, train=gates, rngs=streams)

    still = training({name: jnp.asarray(False) for name in PARTS})
    np.testing.assert_allclose(still.logits_a, forward(DOCUMENTED).logits_a, rtol=1e-4, atol=1e-5)
    behind = {"encoder_a": {"projection_a", "decoder_a"}, "encoder_b": {"projection_b"},
              "projection_a": {"decoder_a"}}  # fmt: skip
    for part in reads:
        out = training({name: jnp.asarray(name == part) for name in PARTS})
        moved = {name for name, read in reads.items() if np.any(read(out) != read(still))}
        assert moved == {part} | behind.get(part, set())
    assert training._cache_size() == 1


def test_misspelt_parts_are_refused():
    with pytest.raises(ValueError, match="unknown parts \\['encoder_c'\\]"):
        PUBLISHED.apply({"params": init(PUBLISHED)}, X, train={"encoder_c": True})


def test_logvar_clamp_of_the_improved_encoder():
    model = Encoder(logvar_bounds=(-0.01, 0.01))
    _, logvar = model.apply({"params": random_params(model, X)}, X)
    assert np.abs(logvar).max() == np.float32(0.01)


def test_controller_reads_the_batch_and_constants_stand_in():
    out = forward(PUBLISHED)

    @jax.jit
    @jax.grad
    def rho(radius):
        moved = out.replace(ball_a=out.ball_a.replace(hyperbolic_radius=radius))
        variables = {"params": init(PUBLISHED)}
        return PUBLISHED.apply(variables, moved, VALUATION, method=PUBLISHED.control).rho

    assert np.any(rho(out.ball_a.hyperbolic_radius) != 0.0)
    without = ProjectedVAE(use_controller=False)
    assert "controller" not in init(without)
    variables = {"params": init(without)}
    control = without.apply(variables, forward(without), VALUATION, method=without.control)
    assert control.rho == 0.0
    assert control.weight_geodesic == 1.0


def test_equal_settings_are_one_static_value():
    again = ProjectedVAE(
        projection=HyperbolicProjection(n_layers=2, dropout=0.1, learnable_curvature=True),
        dual_projection=True,
    )
    assert again == PUBLISHED
    assert hash(again) == hash(PUBLISHED)


def test_statistics_are_real_and_their_ranks_carry_no_gradient():
    rng = np.random.default_rng(1)
    mu, logvar = (jnp.asarray(a, jnp.float32) for a in rng.normal(size=(2, 6, 4)))
    valuation = jnp.asarray([0, 0, 1, 1, 2, 3])
    radius = jnp.asarray([3.0, 2.5, 2.0, 2.2, 1.0, 0.5])

    def statistics(radius):
        rising = jnp.flip(radius)
        return batch_statistics((mu, logvar), (mu, logvar), radius, rising, valuation=valuation)

    s = jax.jit(statistics)(radius)
    rho = scipy.stats.spearmanr(valuation, radius).statistic
    np.testing.assert_allclose(s[:2], radius.mean(), rtol=1e-6)
    np.testing.assert_allclose(s[2], rho, rtol=1e-6)
    assert s[3] > 0.9
    # KL = -1/2 Σ_d (1 + logvar - mu² - e^logvar), mean over rows.
    kl = np.mean(-0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar), axis=-1))
    np.testing.assert_allclose(s[4:6], kl, rtol=1e-6)
    np.testing.assert_array_equal(s[6:], 0.0)
    jacobian = jax.jit(jax.jacrev(statistics))(radius)
    np.testing.assert_allclose(jacobian[0], 1 / 6)
    np.testing.assert_array_equal(jacobian[2], 0.0)
