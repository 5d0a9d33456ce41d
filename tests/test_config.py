"""The configuration: complete checks, clear refusals, no unused field."""

import json
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import REPOSITORY, load_config
from tests.support.engines import train
from tests.support.small_configs import Recorder, untraced
from tvae import config as config_lib
from tvae.domains import registry
from tvae.engine.config import FIELDS
from tvae.engine.schedules import make_learning_rate
from tvae.errors import UserError

CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_file_is_valid_and_documented(name):
    config_lib.validate(load_config(name))
    text = (REPOSITORY / "configs" / f"{name}.py").read_text()
    assert f"python -m tvae.main --config=configs/{name}.py" in text


@pytest.mark.parametrize("task", registry.names())
def test_every_field_has_a_meaning_and_a_check_that_its_default_passes(task):
    fields, leaves = config_lib.fields(task), dict(config_lib.leaves(config_lib.default(task)))
    named = {path for path in leaves if re.fullmatch(r"objective\.\w+\.(term|on)", path)}
    tables = {path for path, field in fields.items() if field.check.kind is dict}
    assert fields.keys() - tables == leaves.keys() - named
    for path, field in fields.items():
        assert len(field.meaning) > 8, path
        assert field.check.expectation, path
        assert field.check.holds(field.default), path
        # A bound of the other type would refuse, or let through, what ConfigDict does not.
        several = field.check.several and isinstance(field.default, tuple)
        assert isinstance(field.default[0] if several else field.default, field.check.kind), path


@pytest.mark.parametrize("task", registry.names())
def test_tables_of_a_domain_name_fields_that_exist(task):
    domain = registry.get(task)
    assert domain.defaults.keys() <= FIELDS.keys()
    assert not domain.fields.keys() & FIELDS.keys()
    assert domain.tiny.keys() <= config_lib.fields(task).keys()


@pytest.mark.parametrize("task", registry.names())
def test_hyperparameters_are_the_traced_numbers(task):
    config, fields = config_lib.default(task), config_lib.fields(task)
    values = config_lib.hparams(config)
    assert values.keys() == {path for path, field in fields.items() if field.traced}
    leaves = dict(config_lib.leaves(config))
    for path, value in values.items():
        assert fields[path].check.kind in (int, float), path
        np.testing.assert_array_equal(value, np.float32(leaves[path]))
        assert value.dtype == np.float32


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_survives_its_file(name):
    config = load_config(name)
    stored = json.loads(config.to_json())
    del stored["report"]
    assert config_lib.complete(stored) == config


@pytest.mark.parametrize("value", ["many", None, True, 2.5, [1]])
def test_a_stored_value_of_another_type_is_refused(value):
    stored = config_lib.default().to_dict() | {"epochs": value}
    with pytest.raises(UserError, match=r"config\.epochs: expected a number >= 1, got"):
        config_lib.complete(stored)


BAD = [
    ("task", "triple_vae"),
    ("epochs", 0),
    ("data.batch_size", 0),
    ("data.batch_size", 19_684),
    ("data.n_digits", 0),
    ("data.train_fraction", 0.9),
    ("data.val_fraction", -0.1),
    ("model.encoder_widths", (64, 0)),
    ("optimizer.eps", 0.0),
    ("optimizer.weight_decay", float("nan")),
    ("learning_rate.kind", "linear"),
    ("learning_rate.boundaries", (1, 2)),
    ("learning_rate.rates", (1e-3,)),
    ("coupling.rho_max", 1.5),
    ("early_stop.mode", "best"),
    ("early_stop.metric", "loss"),
    ("early_stop.plateau.delta", 0.0),
    ("early_stop.drop.mode", "best"),
    ("targets.at_least.coverage", 1.0),
    ("targets.at_most.eval/loss", float("inf")),
    ("targets.at_most.eval/loss", "low"),
]


@pytest.mark.parametrize(("path", "value"), BAD)
def test_a_bad_value_is_refused_by_name(path, value):
    config = config_lib.default()
    with config.unlocked():
        config.update_from_flattened_dict({path: value})
    with pytest.raises(UserError) as refusal:
        config_lib.validate(config)
    message = str(refusal.value)
    assert path in message
    assert "expected" in message
    assert "\n" not in message


def test_targets_are_any_metric_keys():
    config = config_lib.default()
    config.targets.at_least["eval/coverage_mu_a"] = 0.5
    config_lib.validate(config)
    with config.unlocked():
        config.targets.exactly = ConfigDict({"eval/coverage_mu_a": 1.0})
    with pytest.raises(UserError, match=r"config\.targets\.exactly\.eval/coverage_mu_a: unknown"):
        config_lib.validate(config)


def test_unknown_and_missing_fields_are_refused():
    config = config_lib.default()
    config.data.batchsize = 3
    with pytest.raises(UserError, match=r"config\.data\.batchsize: unknown"):
        config_lib.validate(config)
    del config.data["batchsize"]
    del config.data["batch_size"]
    with pytest.raises(UserError, match=r"config\.data\.batch_size: missing"):
        config_lib.validate(config)


BAD_V6 = [
    ("data.block", 100),
    ("data.anchors", 244),
    ("data.held_out_share", 1.0),
    ("model.logvar_min", 3.0),
    ("objective.radius.inner", 3.6),
    ("objective.radius.outer", 3.7),
    ("objective.radius.gap", 0.96),
    ("objective.tree.ratio", 1.0),
    ("objective.chord.same", 1.35),
    ("objective.kl.weight", math.inf),
]


@pytest.mark.parametrize(("path", "value"), BAD_V6)
def test_a_bad_value_of_the_hyperbolic_vae_is_refused_by_name(path, value):
    config = config_lib.default("hyperbolic_vae")
    config.update_from_flattened_dict({path: value})
    with pytest.raises(UserError) as refusal:
        config_lib.validate(config)
    assert path in str(refusal.value)
    assert "expected" in str(refusal.value)


@pytest.mark.parametrize(
    ("table", "got"), [(None, "nothing"), ({}, "no row"), (3, "3"), ({"kl": 3}, "got 3")]
)
def test_an_objective_that_is_no_table_is_refused(table, got):
    stored = config_lib.default("hyperbolic_vae").to_dict() | {"objective": table}
    if table is None:
        del stored["objective"]
    with pytest.raises(UserError, match=r"config\.objective") as refusal:
        config_lib.validate(ConfigDict(stored))
    assert got in str(refusal.value) or "unknown field" in str(refusal.value)
    if table is not None:
        with pytest.raises(UserError, match=r"config\.objective"):
            config_lib.complete(stored)


@pytest.mark.parametrize("task", ["dual_vae", "hyperbolic_vae", "projected_vae"])
def test_a_damaged_configuration_of_before_the_table_is_refused(task):
    stored = config_lib.default(task).to_dict()
    del stored["objective"]
    for section in ("loss", "weights", "legacy", "dynamics"):
        with pytest.raises(UserError):
            config_lib.complete(stored | {section: 5, "unknown": 1})


RATE_FIELDS = {
    "piecewise": {"learning_rate.boundaries", "learning_rate.rates"},
    "cosine": {"learning_rate.peak", "learning_rate.end"},
    "warm_restarts": {"learning_rate.peak"},
}


@pytest.mark.parametrize("kind", RATE_FIELDS)
def test_a_learning_rate_reads_the_fields_of_its_kind(kind):
    config = load_config("fast")
    config.learning_rate.kind = kind
    rate = make_learning_rate(config.learning_rate, epochs=config.epochs)
    given = config_lib.hparams(config)
    rate(jnp.int32(3), {path: given[path] for path in RATE_FIELDS[kind]})


# What is traced is covered by tests/engine/test_hparams.py. The command reads config.report, and
# the test split is what the other two leave: validate() holds its share to that.
@pytest.mark.parametrize(
    ("name", "unread"),
    [("fast", {"report", "data.test_fraction"}), ("v6", {"report"})],
)
def test_every_field_is_read_by_training(tmp_path, name, unread):
    config = load_config(name)
    config.epochs, config.learning_rate.warmup_epochs = 1, 0.1
    seen = set()
    train(Recorder(config, seen), tmp_path, hparams=config_lib.hparams(config))
    assert untraced(config) - seen == unread


BROKEN_FILES = {
    "def get_config(:\n    pass\n": r":1: SyntaxError: invalid syntax",
    "import absent_module\n": r":1: ModuleNotFoundError: No module named 'absent_module'",
    "def get_config():\n    x = 0\n    return 1 / x\n": r":3: ZeroDivisionError: division by zero",
    "x = 1\n": r": expected get_config\(\) that returns a ConfigDict, got no such function",
    "get_config = dict\n": r": expected get_config\(\) that returns a ConfigDict, got dict",
}


@pytest.mark.parametrize("text", BROKEN_FILES)
def test_a_mistake_in_a_config_file_is_one_line_with_its_place(text, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError, match=f"^config {path}{BROKEN_FILES[text]}$") as caught:
        config_lib.read_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("epocs", "epochs"),
        ("data.batchsize", "data.batch_size"),
        ("dta.batch_size", "data.batch_size"),
        ("batch_size", "data.batch_size"),
        ("data.batch_size.x", "data.batch_size"),
    ],
)
def test_a_mistyped_field_is_named_by_its_path(path, near):
    with pytest.raises(UserError) as caught:
        config_lib.require_path(config_lib.default(), path)
    assert str(caught.value) == f"config.{path}: unknown field; did you mean config.{near}?"
    config_lib.require_path(config_lib.default(), near)
    config_lib.require_path(config_lib.default(), "targets.at_least")
