"""The production task: gates without retracing, rollback, caches, the base, phases, refusals."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import load_config
from tests.support.engines import bound_engine, train
from tests.support.objectives import SPARE_ROWS, add_rows
from tests.support.production_cases import FAST_COMPILE
from tests.support.small_configs import Recorder, small, untraced
from tvae import config as config_lib
from tvae.domains.projected_vae.base import load_base, make_model
from tvae.domains.projected_vae.task import make_task
from tvae.engine.task import weighted_sum
from tvae.errors import UserError
from tvae.geometry import padic
from tvae.runs import parameters


def task_of(**changes):
    """The task of :func:`small`, and its traced fields."""
    config = small(**changes)
    return make_task(config), config_lib.hparams(config)


def state_of(task, hparams):
    """Initial parameters and state, without compiling for speed."""
    return jax.jit(task.init, compiler_options=FAST_COMPILE)(jax.random.key(0), hparams)


def same(tree, other):
    return all(
        np.array_equal(x, y)
        for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    )


EAGER = {
    # Encoder B is frozen at the first evaluation that may, and unfrozen at the next.
    "homeostasis.warmup": 0,
    "homeostasis.hysteresis": 0,
    "homeostasis.plateau_threshold": 9.0,
    "homeostasis.plateau_patience": 1,
    "homeostasis.reset_moments": True,
    "homeostasis.restart_schedule": True,
}


def test_one_trace_through_freezing_and_unfreezing():
    config = small(epochs=5, **EAGER)
    engine = bound_engine(config)
    key = jax.random.key(0)
    state = engine.init(key)
    gates = []
    for epoch in range(5):
        before = jax.device_get(state.params)
        state, metrics = engine.train_epoch(state, key)
        is_open = bool(metrics["gate/encoder_b"])
        gates.append(is_open)
        assert same(before["encoder_b"], state.params["encoder_b"]) == (not is_open)
        assert same(before["encoder_a"], state.params["encoder_a"])
        assert not same(before["projection_b"], state.params["projection_b"])
        if epoch == 3:  # a hierarchy that fell unfreezes B
            memory = state.aux.homeostasis
            state = dataclasses.replace(
                state,
                aux=dataclasses.replace(
                    state.aux,
                    homeostasis=dataclasses.replace(memory, hierarchy=memory.hierarchy - 2.0),
                ),
            )
        was_frozen = bool(state.aux.homeostasis.frozen[1])
        state, _ = engine.evaluate(state, key)
        moved = was_frozen != bool(state.aux.homeostasis.frozen[1])
        # A change restarts the learning rate and the moments.
        assert (int(state.aux.restart_epoch) == epoch + 1) == moved
        moments = optim_moments(state.opt_state)
        assert all(not leaf.any() for leaf in moments) == moved
    assert gates[0]
    assert False in gates
    assert gates[-1]
    assert engine.engine.train_epoch._cache_size() == 1
    assert engine.engine.observe._cache_size() == 1


def test_riemannian_adam_moves_the_translations_inside_the_ball():
    changes = {"model.translated": True, "model.curvature": 2.0}
    params = {}
    for kind in ("riemannian_adam", "adam_l2"):
        config = small(**changes, **{"optimizer.kind": kind})
        engine = bound_engine(config)
        key = jax.random.key(0)
        state, metrics = engine.train_epoch(engine.init(key), key)
        assert metrics["train/skipped_updates"] == 0
        params[kind] = jax.device_get(state.params)
    for projection in ("projection_a", "projection_b"):
        by_ball, flat = (params[kind][projection]["translation"]["point"] for kind in params)
        assert 1e-3 < np.linalg.norm(by_ball) < 2.0**-0.5
        assert not np.allclose(by_ball, flat, rtol=1e-2)


def test_riemannian_adam_needs_a_ball_of_fixed_curvature():
    changes = {"model.translated": True, "model.learnable_curvature": True}
    with pytest.raises(UserError, match="learnable_curvature False, got True"):
        small(**changes, **{"optimizer.kind": "riemannian_adam"})


def optim_moments(opt_state):
    leaves = jax.tree_util.tree_flatten_with_path(opt_state)[0]
    return [leaf for path, leaf in leaves if ".mu" in jax.tree_util.keystr(path)]


def measured(**changes):
    metrics = {
        "eval/coverage_ball": 1.0,
        "eval/coverage_mu_a": 1.0,
        "eval/hierarchy_a": -0.5,
        "eval/hierarchy_b": -0.5,
        "eval/dist_corr_quick_a": 0.5,
        "eval/dist_corr_quick_b": 0.5,
    }
    return {name: jnp.float32(value) for name, value in (metrics | changes).items()}


def test_encoder_a_is_rolled_back_to_its_last_good_weights():
    task, hparams = task_of(**{"homeostasis.warmup": 0})
    params, aux = state_of(task, hparams)
    learning = dataclasses.replace(aux.homeostasis, frozen=jnp.zeros(3, jnp.bool_))
    aux = dataclasses.replace(aux, homeostasis=learning)
    good = params | {"encoder_a": jax.tree.map(lambda x: x + 1.0, params["encoder_a"])}
    aux, kept, reset = task.observe(aux, good, measured(), hparams)
    assert reset is None
    assert same(kept, good)
    assert same(aux.snapshot, good["encoder_a"])
    worse = params | {"encoder_a": jax.tree.map(lambda x: x - 1.0, params["encoder_a"])}
    aux, rolled, _ = task.observe(aux, worse, measured(**{"eval/coverage_ball": 0.9}), hparams)
    assert same(rolled["encoder_a"], good["encoder_a"])
    assert same(rolled["projection_a"], worse["projection_a"])
    assert aux.homeostasis.frozen[0]


def test_parity_keeps_the_damage_and_mixes_the_encoders():
    changes = {"homeostasis.corrected": False, "homeostasis.warmup": 0}
    task, hparams = task_of(**changes)
    params, aux = state_of(task, hparams)
    assert aux.snapshot == {}
    metrics = measured(**{"eval/dist_corr_quick_b": 0.25, "eval/coverage_ball": 0.0})
    aux, kept, _ = task.observe(aux, params, metrics, hparams)
    assert same(kept, params)
    # B's correlation with A's hierarchy, as the original's training script passes them.
    assert float(aux.homeostasis.q[0]) == pytest.approx(0.25 + 1.5 * 0.5)


def test_frozen_encoders_are_looked_up_and_equal_those_that_run():
    frozen = {"groups.encoder_a": "frozen", "groups.encoder_b": "frozen"}
    dry = {"model.projection_dropout": 0.0}
    cached, hparams = task_of(**frozen, **dry)
    running, _ = task_of(**dry)
    params, aux = state_of(cached, hparams)
    _, plain = state_of(running, hparams)
    index = cached.batches(jnp.int32(0), jax.random.key(1))[0]
    draws = cached.draw(jax.random.key(2))
    key = jax.random.key(3)

    def forward(task):
        return jax.jit(task.forward_with_draws, compiler_options=FAST_COMPILE)

    got = forward(cached)(params, aux, index, draws, key, hparams)
    wanted = forward(running)(params, plain, index, draws, jax.random.clone(key), hparams)
    assert set(aux.latents) == {"encoder_a", "encoder_b"}
    assert plain.latents == {}
    for x, y in zip(jax.tree.leaves(got.vae), jax.tree.leaves(wanted.vae), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
    # What is frozen for good has no optimizer group, and no gate.
    assert set(cached.groups(hparams)) == {"projection_a", "projection_b"}
    assert cached.group_of("encoder_a/mu/kernel") == "frozen"
    assert cached.gates(aux, hparams) == {}


def test_tuning_opens_encoder_and_decoder_then_closes_them():
    tuned = {"groups.encoder_a": "tuned", "groups.decoder": "tuned", "groups.tuning_epochs": 3}
    task, hparams = task_of(**tuned)
    _, aux = state_of(task, hparams)
    for epoch, is_open in ((0, True), (2, True), (3, False)):
        now = task.begin_epoch(aux, jnp.int32(epoch), hparams)
        gates = task.gates(now, hparams)
        assert bool(gates["encoder_a"]) == bool(gates["decoder"]) == is_open
        # Dropout follows the gate; the decoder's part has another name than its group.
        assert bool(task._training_parts(now, hparams)["decoder_a"]) == is_open


def test_a_base_of_plain_networks_fits_improved_ones(tmp_path):
    source, hparams = task_of()
    params, _ = state_of(source, hparams)
    parameters.save_params(tmp_path / "base", params, {})
    improved = small(**{"model.encoder": "improved", "model.decoder": "improved"})
    improved.base_checkpoint = str(tmp_path / "base")
    placed, _ = state_of(make_task(improved), config_lib.hparams(improved))
    kernel = ("encoder_a", "hidden_0", "kernel")
    np.testing.assert_array_equal(leaf(placed, kernel), leaf(params, kernel))
    np.testing.assert_array_equal(placed["encoder_a"]["norm_0"]["scale"], np.ones(8))
    # The other way round the norms have no place.
    parameters.save_params(tmp_path / "improved", placed, {})
    with pytest.raises(UserError, match="encoder_a/norm_0/bias unexpected"):
        load_base(str(tmp_path / "improved"), source.module)
    wide = make_model(small(**{"model.latent_dim": 5}))
    with pytest.raises(UserError, match=r"encoder_a/mu/bias \[4\] instead of \[5\]"):
        load_base(str(tmp_path / "base"), wide)
    parameters.save_params(tmp_path / "half", {"encoder_a": params["encoder_a"]}, {})
    with pytest.raises(UserError, match="lacks encoder_b, decoder_a"):
        load_base(str(tmp_path / "half"), source.module)
    with pytest.raises(UserError, match="nowhere"):
        load_base(str(tmp_path / "nowhere"), source.module)


def leaf(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def test_phases_and_curriculum():
    config = small(**{"loss.geodesic_hold_hierarchy": -0.7, "loss.geodesic_ramp_epochs": 10})
    task, hparams = make_task(config), config_lib.hparams(config)
    _, aux = state_of(task, hparams)
    early, late = (task.begin_epoch(aux, jnp.int32(e), hparams) for e in (29, 35))
    assert task.weights(early, hparams)["radial_a"] == 1.0
    assert task.weights(early, hparams)["geodesic_b"] == 0.0
    assert task.weights(late, hparams)["radial_a"] == 0.5
    assert task.weights(late, hparams)["geodesic_b"] == pytest.approx(0.3 * 0.5)
    # A hierarchy at the mark holds the ramp where it was.
    held = dataclasses.replace(late, hierarchy_a=jnp.float32(-0.7))
    assert task.begin_epoch(held, jnp.int32(40), hparams).tau == late.tau
    assert task.begin_epoch(late, jnp.int32(40), hparams).tau == 1.0


def test_published_weights_are_the_originals():
    config = load_config("v5_12_published")
    hparams = config_lib.hparams(config)
    task = make_task(config)
    aux = task.begin_epoch(state_of(task, hparams)[1], jnp.int32(30), hparams)
    weights = task.weights(aux, hparams)
    expected = {"coverage": 1.0, "hierarchy_b": 5.0, "richness_b": 2.0, "separation_b": 3.0}
    both = {"radial": 0.5, "rank": 0.5, "geodesic": 0.3, "zero": 0.5}
    expected |= {f"{name}_{e}": weight for name, weight in both.items() for e in "ab"}
    assert {name: float(w) for name, w in weights.items()} == pytest.approx(expected)


def test_euclidean_targets_and_the_spread_reference():
    changes = {"loss.radius_unit": "euclidean", "loss.richness_spread": 0.5}
    task, hparams = task_of(**changes)
    bounds = task.targets.bounds(jnp.float32(1.0), hparams)
    assert bounds["outer"] == pytest.approx(2.0 * np.arctanh(0.9), rel=1e-5)
    _, aux = state_of(task, hparams)
    spacing = 2.0 * (np.arctanh(0.9) - np.arctanh(0.08)) / 9.0
    valuation = padic.valuation(jnp.arange(padic.count()))
    for level in (0, 4, 8):
        radii = np.asarray(aux.reference_radius)[np.asarray(valuation) == level]
        assert radii.std() == pytest.approx(0.5 * spacing, rel=1e-4)


def gradient(task, hparams):
    """Gradient of the whole objective in the middle of training, and the names of its terms."""
    params, aux = state_of(task, hparams)
    aux = task.begin_epoch(aux, jnp.int32(40), hparams)
    index = task.batches(jnp.int32(0), jax.random.key(1))[0]
    draws = task.draw(jax.random.key(2))

    def loss(params):
        outputs = task.forward_with_draws(params, aux, index, draws, jax.random.key(3), hparams)
        terms = task.terms(outputs, index, hparams)
        return weighted_sum(terms, task.weights(aux, hparams)), terms

    grad = jax.grad(loss, has_aux=True)
    return jax.jit(grad, compiler_options=FAST_COMPILE)(params)


def test_controller_and_curvature_are_alive():
    changes = {
        "model.controller": True,
        "model.learnable_curvature": True,
        "loss.radius_unit": "euclidean",
        "objective.rank_a.pairs": 0,
        "objective.rank_b.pairs": 0,
    }
    config = add_rows(small(**changes), *SPARE_ROWS, control_penalty={"term": "control_penalty"})
    grads, terms = gradient(make_task(config), config_lib.hparams(config))
    assert {"control_penalty", "monotonic_a", "stratification_b", "zero_a"} < set(terms)
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(grads["controller"]["output"]))
    curvature = grads["projection_b"]["inverse_softplus_c"]
    assert abs(float(curvature)) > 1e-6


def test_every_field_is_read_by_training(tmp_path):
    config = add_rows(small(epochs=1, **{"model.controller": True}), "zero_a", "zero_b")
    seen = set()
    train(Recorder(config, seen), tmp_path, hparams=config_lib.hparams(config))
    # The command reads config.report.
    assert untraced(config) - seen == {"report"}
    final = json.loads((tmp_path / "metrics.json").read_text())
    for name in ("coverage_mu_a", "coverage_ball", "hierarchy_a", "q_comprehensive_b"):
        assert np.isfinite(final[f"eval/{name}"])


BAD = [
    ("data.batch_size", 16),
    ("data.batch_size", 20_000),
    ("loss.inner_radius", 0.95),
    ("model.logvar_min", 3.0),
    ("optimizer.kind", "riemannian_adam"),
    ("groups.encoder_a", "tuned"),
    ("homeostasis.enabled", False),
    ("model.max_norm", 1.0),
]


@pytest.mark.parametrize(("path", "value"), BAD)
def test_a_bad_value_is_refused(path, value):
    config = config_lib.default("projected_vae")
    config.update_from_flattened_dict({path: value})
    with pytest.raises(UserError, match=r"expected|nothing to act on") as refusal:
        config_lib.validate(config)
    assert "\n" not in str(refusal.value)


def test_euclidean_radii_stay_in_the_ball():
    config = config_lib.default("projected_vae")
    config.loss.radius_unit = "euclidean"
    config.loss.outer_radius = 1.0
    with pytest.raises(UserError, match=r"loss\.outer_radius"):
        config_lib.validate(config)
