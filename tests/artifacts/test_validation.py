"""Validation: aspects of every task, what counts as failed, and cards that say so."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import load_config
from tvae import config as config_lib
from tvae.artifacts import cards, checks, latency
from tvae.artifacts.checks import FAILED, NOT_APPLICABLE, PASSED
from tvae.artifacts.ledger import Event

GOOD = {
    "dual_vae": {
        "at_least": {
            "eval/coverage_mu_a": 0.9,
            "latent/informed_dimensions_a": 9,
            "latent/active_dimensions_a": 9,
            "latent/entropy_b": 1.0,
            "eval/coverage_mu_test_a": 0.9,
        },
        "at_most": {},
    },
    "projected_vae": {
        "at_least": {
            "eval/coverage_ball": 0.9,
            "latent/kl_b": 1.0,
            "latent/active_dimensions_a": 9,
            "latent/entropy_a": 1.0,
        },
        "at_most": {"eval/hierarchy_b": -0.8},
    },
    "hyperbolic_vae": {
        "at_least": {
            "eval/coverage_ball": 0.9,
            "latent/informed_dimensions_a": 9,
            "latent/active_dimensions_a": 9,
            "latent/entropy_a": 1.0,
            "eval/coverage_ball_held_out": 0.5,
        },
        "at_most": {"eval/hierarchy": -0.8},
    },
}
NOT_THERE = {
    "dual_vae": {"hierarchy"},
    "projected_vae": {"generalisation"},
    "hyperbolic_vae": set(),
}


def with_targets(task):
    config = config_lib.default(task)
    if task == "hyperbolic_vae":
        config.data.held_out_share = 0.1
    for side, bounds in GOOD[task].items():
        for key, bound in bounds.items():
            config.targets[side][key] = bound
    config_lib.validate(config)
    return config


def just_met(task):
    """Metrics exactly at their bounds."""
    return {key: bound for bounds in GOOD[task].values() for key, bound in bounds.items()}


def statuses(metrics, config):
    return {c.aspect: c.status for c in checks.check_targets(metrics, config)}


@pytest.mark.parametrize("task", GOOD)
def test_a_good_model_passes_every_aspect_that_its_task_has(task):
    found = statuses(just_met(task), with_targets(task))
    assert set(found) == {
        "coverage",
        "hierarchy",
        "posterior collapse",
        "active dimensions",
        "entropy",
        "generalisation",
    }
    assert {aspect for aspect, s in found.items() if s == NOT_APPLICABLE} == NOT_THERE[task]
    assert {s for aspect, s in found.items() if aspect not in NOT_THERE[task]} == {PASSED}


@pytest.mark.parametrize("task", GOOD)
def test_each_missed_bound_fails_its_aspect_alone(task):
    config = with_targets(task)
    for side, bounds in GOOD[task].items():
        for key, bound in bounds.items():
            worse = -1e-4 if side == "at_least" else 1e-4
            for value in (bound + worse, math.nan):
                found = statuses(just_met(task) | {key: value}, config)
                assert list(found.values()).count(FAILED) == 1, key
            absent = {k: v for k, v in just_met(task).items() if k != key}
            assert FAILED in statuses(absent, config).values()


def test_an_aspect_without_a_target_has_failed():
    config = config_lib.default("projected_vae")
    found = checks.check_targets(just_met("projected_vae"), config)
    failed = {check.aspect: check.reasons[0] for check in found if check.status == FAILED}
    assert set(failed) == {
        "coverage",
        "hierarchy",
        "posterior collapse",
        "active dimensions",
        "entropy",
    }
    assert "give config.targets.at_least['eval/coverage_ball'] or" in failed["coverage"]
    assert "config.targets.at_most['eval/hierarchy_a']" in failed["hierarchy"]
    # A bound on the wrong side is none.
    config.targets.at_least["eval/hierarchy_a"] = -0.9
    assert statuses({"eval/hierarchy_a": -0.8}, config)["hierarchy"] == FAILED


def test_what_a_model_does_not_have_is_said():
    config = with_targets("projected_vae")
    config.model.posterior_noise = 0.0
    found = {c.aspect: c for c in checks.check_targets({}, config)}
    assert found["posterior collapse"].status == NOT_APPLICABLE
    assert "trained on means" in found["posterior collapse"].reasons[0]
    config = config_lib.default("hyperbolic_vae")
    found = {c.aspect: c for c in checks.check_targets({}, config)}
    assert found["generalisation"].reasons == ["config.data.held_out_share is 0"]


def test_every_other_target_counts_too():
    config = with_targets("dual_vae")
    config.targets.at_least["eval/prior_coverage_195k_a"] = 0.9
    metrics = just_met("dual_vae")
    assert statuses(metrics, config)["other targets"] == FAILED
    metrics["eval/prior_coverage_195k_a"] = 0.95
    assert statuses(metrics, config)["other targets"] == PASSED


def test_a_target_on_what_does_not_apply_still_counts():
    config = with_targets("projected_vae")
    config.model.posterior_noise = 0.0
    metrics = just_met("projected_vae") | {"latent/kl_b": 0.5}
    found = statuses(metrics, config)
    assert found["posterior collapse"] == NOT_APPLICABLE
    assert found["other targets"] == FAILED


def test_recorded_figures_must_be_those_of_the_weights():
    def status(new, old):
        return checks._check_recorded(new, old).status

    assert status({"a": 1.0, "b": [1.0, 2.0]}, {"a": 1.0 + 9e-7, "b": [1.0, 2.0]}) == PASSED
    assert status({"a": 1.0}, {"a": 1.0 + 2e-6}) == FAILED
    assert status({"a": 0.0}, {"a": 2e-6}) == FAILED
    assert status({"b": [1.0, 2.0]}, {"b": [1.0, 2.1]}) == FAILED
    assert status({"b": [1.0, 2.0]}, {"b": [1.0]}) == FAILED
    assert status({"a": math.nan}, {"a": math.nan}) == PASSED
    assert status({"a": math.nan}, {"a": 1.0}) == FAILED
    # Wherever among the others it stands.
    for order in ("ab", "ba"):
        new = {"a": math.nan, "b": 1.0}
        assert status({key: new[key] for key in order}, dict.fromkeys(order, 1.0)) == FAILED
    assert status({"a": math.inf}, {"a": math.inf}) == PASSED
    assert status({"a": -math.inf}, {"a": math.inf}) == FAILED
    assert status({"a": 1.0}, {"a": math.inf}) == FAILED
    assert status({"a": 1.0}, {"train/epochs": 1.0}) == FAILED


def test_same_bits():
    tree = {"w": np.float32([0.0, 1.0])}
    assert checks._same_bits(tree, {"w": np.float32([0.0, 1.0])})
    assert not checks._same_bits(tree, {"w": np.float32([-0.0, 1.0])})
    assert not checks._same_bits(tree, {"w": np.float64([0.0, 1.0])})
    assert not checks._same_bits(tree, {"v": np.float32([0.0, 1.0])})


@pytest.mark.parametrize("name", ["v6", "v5_12_4", "v5_12_published", "v5_5_base", "fast"])
def test_recipes_bound_every_aspect_that_they_have(name):
    config = load_config(name)
    found = checks.check_targets({}, config)
    unbounded = [c.aspect for c in found if c.reasons[0].startswith("no target")]
    assert unbounded == []


def test_latency_waits_for_the_result():
    calls = []

    def call():
        calls.append(1)
        return jax.jit(lambda x: x + 1)(jnp.ones(3))

    seconds = latency.sample(call)
    assert len(seconds) == len(calls) - 1 >= 30
    assert min(seconds) > 0.0


def test_the_changelog_says_what_moved_and_keeps_the_history():
    first = Event("2026-01-01T00:00:00+00:00", "promote", "production", "v6/1", "", None, "New.")
    text = cards.changelog(first, {"eval/a": 1.0}, None, "")
    assert text == (
        "# Changelog\n\n## 1 (2026-01-01)\n\nNew.\n\nThe first version in production.\n"
    )
    second = first._replace(name="v6/2", previous="1", note="")
    old = {"eval/a": 1.0, "eval/b": 1.0, "eval/c": [1.0]}
    new = {"eval/a": 1.1, "eval/b": 3.0, "eval/c": [2.0]}
    text = cards.changelog(second, new, old, text)
    assert text.startswith("# Changelog\n\n## 2 (2026-01-01)\n\nNo note was given.\n")
    assert text.index("- `eval/b`: 1 -> 3\n- `eval/a`: 1 -> 1.1") < text.index("## 1 (2026")
    assert text.count("# Changelog") == 1
    assert "none" in cards.changelog(second, old, old, "")
