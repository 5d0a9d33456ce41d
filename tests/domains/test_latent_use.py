"""Use of the latent space, for every domain."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tests.conftest import REPOSITORY
from tvae.domains import latent_use
from tvae.geometry import padic
from tvae.metrics.definitions import define


def measured(name):
    """A shipped model, and measures of the use of its latent space."""
    model = tvae.load(REPOSITORY / "checkpoints" / name)
    x = model.items.inputs(jnp.arange(model.n_items))
    posteriors = jax.jit(model.views.posteriors)(model.params, x)
    return model, latent_use.measure(posteriors)


def test_every_dimension_of_v6_is_informative():
    model, found = measured("v6")
    per_dimension = np.asarray(found["latent/kl_per_dimension_a"])
    assert per_dimension.shape == (16,)
    assert per_dimension.min() > 0.5
    assert found["latent/informed_dimensions_a"] == 16
    assert found["latent/active_dimensions_a"] == 16
    assert found["latent/kl_a"] == pytest.approx(per_dimension.sum(), rel=1e-5)
    # In units of the prior: by hand, for one operation.
    scale, one = model.config.model.prior_scale, jnp.arange(1)
    point, logvar = model.embed(one)[0], model.encode(one).logvar_a[0]
    norm = float(jnp.linalg.norm(point))
    mean = 2.0 * math.atanh(norm) / norm * point / scale
    x = padic.values(one)
    posteriors = model.views.posteriors(model.params, x)
    [(mean_here, logvar_here)] = posteriors.values()
    np.testing.assert_allclose(mean_here[0], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(jnp.exp(logvar_here[0]), jnp.exp(logvar) / scale**2, rtol=1e-4)


def test_the_measures_are_those_of_the_dual_vae_s_own_evaluation():
    model, found = measured("v5_5")
    recorded = model.card["metrics"]
    for mine, its in (("kl", "kl"), ("entropy", "latent_entropy"), ("kl_per_dimension",) * 2):
        for vae in "ab":
            np.testing.assert_allclose(
                found[f"latent/{mine}_{vae}"], recorded[f"eval/{its}_{vae}"], atol=1e-5
            )
    # Nine digits take nine dimensions; the other seven carry nothing, and are counted as such.
    assert found["latent/informed_dimensions_a"] == 9


def test_both_encoders_of_the_projected_vae_are_measured_and_every_key_defined():
    _, found = measured("v5_12_4")
    assert all(define(key, latent_use.DEFINITIONS).measured_on for key in found)
    assert {key[-2:] for key in found} == {"_a", "_b"}
    assert min(float(found["latent/kl_a"]), float(found["latent/kl_b"])) > 9 * math.log(3)


def test_a_collapsed_posterior_is_seen():
    collapsed = latent_use.use(jnp.zeros((81, 4)), jnp.zeros((81, 4)))
    assert (int(collapsed["informed_dimensions"]), float(collapsed["kl"])) == (0, 0.0)
    assert int(collapsed["active_dimensions"]) == 0
    mean = jnp.zeros((81, 4)).at[:, 1].set(jax.random.normal(jax.random.key(0), (81,)))
    informative = latent_use.use(mean, jnp.zeros((81, 4)))
    assert int(informative["informed_dimensions"]) == int(informative["active_dimensions"]) == 1
