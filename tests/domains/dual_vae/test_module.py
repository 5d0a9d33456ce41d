"""v5.5's modules: sizes, shapes, and who receives whose gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tvae.domains.dual_vae.module import DualVAE

PARAMETERS = {
    "encoder_a": 45_792,
    "encoder_b": 45_792,
    "decoder_a": 4_411,
    "decoder_b": 71_707,
    "state_net": 1_068,
}


@pytest.fixture(scope="module")
def params():
    init = jax.jit(lambda key: DualVAE().init(key, jnp.zeros((1, 9)), method=DualVAE.touch))
    return init(jax.random.key(0))["params"]


def test_parameter_counts_are_complete_and_exact(params):
    counts = {part: sum(x.size for x in jax.tree.leaves(tree)) for part, tree in params.items()}
    assert counts == PARAMETERS
    assert sum(counts.values()) == 168_770


def test_initial_weights_fill_their_interval(params):
    # U(-1/sqrt(256), 1/sqrt(256)): 32,768 draws come close to both ends.
    layer = params["encoder_a"]["hidden_1"]
    for weights in layer.values():
        assert jnp.abs(weights).max() <= 1 / 16
    assert layer["kernel"].max() > 0.999 / 16
    assert layer["kernel"].min() < -0.999 / 16
    assert layer["bias"].std() == pytest.approx(1 / 16 / 3**0.5, rel=0.2)


def outputs(params, rho):
    x = jnp.eye(9)[:4]
    zeros = jnp.zeros((4, 16))
    return DualVAE().bind({"params": params})(x, zeros, zeros, rho=rho)


def test_shapes(params):
    out = outputs(params, rho=0.1)
    assert out.logits_a.shape == out.logits_b.shape == (4, 9, 3)
    assert out.z_a.shape == out.z_b.shape == out.latents.logvar_b.shape == (4, 16)


def test_gradients_do_not_cross_between_the_vaes(params):
    grads = jax.grad(lambda p: outputs(p, rho=0.3).logits_a.sum())(params)
    size = {part: max(jnp.abs(g).max() for g in jax.tree.leaves(t)) for part, t in grads.items()}
    assert size["encoder_a"] > 0
    assert size["decoder_a"] > 0
    assert size["encoder_b"] == size["decoder_b"] == size["state_net"] == 0


def test_mixing_is_convex(params):
    # At rho = 1 decoder A sees B's latent alone.
    bound = DualVAE().bind({"params": params})
    out = outputs(params, rho=1.0)
    np.testing.assert_allclose(out.logits_a, bound.decode_a(out.z_b), rtol=1e-6)
