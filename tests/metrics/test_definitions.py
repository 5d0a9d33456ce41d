"""Every metric of a final evaluation has a definition, whose ceiling is the measure's own."""

import json

import jax
import numpy as np
import pytest

from tests.conftest import REPOSITORY, load_config
from tests.support.engines import bound_engine
from tests.support.small_configs import small
from tvae.config import default
from tvae.domains import latent_use, registry
from tvae.domains.operations.tree import TREE
from tvae.engine import compilation
from tvae.geometry.padic import PadicTree
from tvae.metrics import hierarchy, tree
from tvae.metrics.definitions import Entry, define


def defined(key, domain="projected_vae", **data):
    config = default(domain)
    with config.unlocked():
        config.data.update(data)
    return registry.get(domain).define(key, config)


def keys_of(config):
    """Shapes of both evaluations' metrics."""
    engine = bound_engine(config)
    task, hparams = engine.task, engine.hparams

    def everything(key):
        init_key, key, final_key = jax.random.split(key, 3)
        params, aux = task.init(init_key, hparams)
        periodic = task.evaluate(params, aux, key, hparams)
        return periodic | task.final_evaluate(params, aux, final_key, hparams)

    return config.task, jax.eval_shape(everything, jax.random.key(0))


def dual_keys():
    config = load_config("fast")
    return keys_of(config)


def projected_keys():
    return keys_of(small())


def hyperbolic_keys():
    config = load_config("v6")
    config.data.held_out_share = 0.1
    return keys_of(config)


@pytest.mark.parametrize("emitted", [dual_keys, projected_keys, hyperbolic_keys])
def test_every_key_of_every_domain_is_defined(emitted, monkeypatch):
    # Its compiler options are refused inside the transformation that finds the shapes.
    monkeypatch.setattr(compilation, "jit_once", lambda function: function)
    domain, keys = emitted()
    assert len(keys) > 20
    every_run = {
        "train/epochs",
        "train/best_epoch",
        *(f"{key}_a" for key in latent_use.DEFINITIONS),
    }
    for key in {*keys} | every_run:
        found = defined(key, domain)
        assert found is not None, key
        assert found.text
        assert found.measured_on
        assert "\n" not in found.text + found.note


def test_every_key_of_the_model_cards_is_defined_and_below_its_ceiling():
    for path in sorted((REPOSITORY / "checkpoints").glob("*/metadata.json")):
        card = json.loads(path.read_text())
        domain = card.get("config", {}).get("task", "dual_vae")
        for key, value in card["metrics"].items():
            found = defined(key, domain)
            assert found is not None, (path.parent.name, key)
            if found.ceiling is None or found.better == "neither":
                continue
            sign = 1 if found.better == "higher" else -1
            # Samples of pairs and draws scatter around the ceiling of all of them.
            assert sign * np.max(value) <= sign * found.ceiling + 2e-3, (path.parent.name, key)


def test_ceilings_are_those_of_the_measures_and_of_the_tree():
    assert defined("eval/hierarchy_a").ceiling == hierarchy.hierarchy_ceiling(TREE)
    assert defined("eval/q_quick").ceiling == tree.q_ceiling(TREE)
    small_tree = PadicTree(3, 2)
    assert defined("eval/hierarchy", n_digits=2).ceiling == hierarchy.hierarchy_ceiling(small_tree)
    assert defined("latent/entropy_b").ceiling == pytest.approx(3.912, abs=1e-3)
    assert defined("eval/prior_coverage_argmax_50k_a").ceiling == pytest.approx(0.9212, abs=1e-4)


def test_published_figures_belong_to_one_model():
    assert defined("eval/hierarchy", "hyperbolic_vae").published is None
    assert defined("eval/hierarchy_a", "projected_vae").published == -0.6078
    assert defined("eval/q_quick_a", "projected_vae").published is None
    assert defined("eval/coverage_ball", "projected_vae").published is None
    assert defined("eval/prior_coverage_195k_a", "dual_vae").published == 0.99624
    assert defined("eval/prior_coverage_195k_a", "projected_vae").published is None
    assert defined("eval/prior_coverage_195k_a", "dual_vae", n_digits=5).published is None


def test_suffixes_are_not_parts_of_names():
    assert defined("eval/coverage_mu_test_a", "dual_vae").measured_on.endswith("(A)")
    assert defined("eval/score", "hyperbolic_vae").measured_on[-1] != ")"
    for unknown in ("eval/hierarchy_c", "eval/nothing", "_a", "eval/prior_coverage_x_a"):
        assert defined(unknown) is None
    entries = {"x_a": Entry("text", "items")}
    assert define("x_a", entries).measured_on == "items"
    assert define("x_b", entries) is None
