"""The table of metrics is complete, and says what the metrics' own functions say."""

import json

import jax
import numpy as np
import pytest

from tests.conftest import REPOSITORY, load_config
from tests.domains.projected_vae.test_task import small
from tvae.domains.dual_vae import task as dual_vae
from tvae.domains.hyperbolic_vae import evaluation as hyperbolic_vae_evaluation
from tvae.domains.hyperbolic_vae import task as hyperbolic_vae
from tvae.domains.projected_vae import evaluation as ternary_evaluation
from tvae.domains.projected_vae import task as projected_vae
from tvae.metrics import hierarchy, tree
from tvae.metrics.definitions import TABLE, definition


def dual_keys():
    config = load_config("fast")
    config.loss.repulsion_weight = config.loss.entropy_weight = 0.1
    domain = dual_vae.make_domain(config)

    def everything(key):
        init_key, key, final_key = jax.random.split(key, 3)
        params, aux = domain.init(init_key)
        return domain.evaluate(params, aux, key) | domain.final_evaluate(params, aux, final_key)

    return jax.eval_shape(everything, jax.random.key(0))


def ternary_keys():
    domain = projected_vae.make_domain(small())

    def everything(key):
        return ternary_evaluation.measure(domain.model, domain.init(key)[0], noise=None)

    return jax.eval_shape(everything, jax.random.key(0))


def hyperbolic_keys():
    config = load_config("v6")
    config.data.held_out_share = 0.1
    domain = hyperbolic_vae.make_domain(config)

    def everything(key):
        init_key, key = jax.random.split(key)
        params, _ = domain.init(init_key)
        learned = domain.tables.learned
        return hyperbolic_vae_evaluation.full(domain.model, params, key, learned=learned)

    return jax.eval_shape(everything, jax.random.key(0))


@pytest.mark.parametrize("emitted", [dual_keys, ternary_keys, hyperbolic_keys])
def test_every_key_of_every_task_is_defined(emitted):
    keys = set(emitted())
    assert len(keys) > 20
    for key in keys:
        found = definition(key)
        assert found.text
        assert found.measured_on
        assert "\n" not in found.text + found.note


def test_every_key_of_the_model_cards_is_defined_and_below_its_ceiling():
    for path in sorted((REPOSITORY / "checkpoints").glob("*/metadata.json")):
        for key, value in json.loads(path.read_text())["metrics"].items():
            found = definition(key)
            if found.ceiling is None or found.better == "neither":
                continue
            sign = 1 if found.better == "higher" else -1
            # Samples of pairs and draws scatter around what holds for all of them.
            assert sign * np.max(value) <= sign * found.ceiling + 2e-3, (path.parent.name, key)


def test_entries_agree_with_the_ceilings_of_the_metrics():
    assert definition("eval/hierarchy_a").ceiling == hierarchy.hierarchy_ceiling()
    assert definition("eval/q_quick").ceiling == tree.q_ceiling()
    assert definition("eval/hierarchy", n_digits=2).ceiling == hierarchy.hierarchy_ceiling(
        n_digits=2
    )
    assert definition("eval/latent_entropy_b").ceiling == pytest.approx(3.912, abs=1e-3)


def test_published_figures_belong_to_one_encoder():
    """The headline is no model's: its figures stand at the keys without a suffix alone."""
    assert definition("eval/hierarchy").published == -0.8321
    assert definition("eval/hierarchy_a").published == -0.6078
    assert definition("eval/q_quick_a").published is None
    assert definition("eval/coverage_ball").published is None
    assert definition("eval/prior_coverage_195k_a").published == 0.99624
    assert definition("eval/prior_coverage_20k_a").published is None


def test_suffixes_are_told_from_names():
    assert definition("eval/coverage_mu_test_a").measured_on.endswith("(A)")
    assert definition("eval/score").measured_on[-1] != ")"
    assert not [key for key in TABLE if key.endswith(("_a", "_b"))]
    for unknown in ("eval/hierarchy_c", "eval/nothing", "_a", "eval/prior_coverage_x_a"):
        with pytest.raises(KeyError):
            definition(unknown)
