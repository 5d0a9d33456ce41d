"""The whole life of a domain that is registered from outside and has no finite set of items."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tests.conftest import REPOSITORY
from tvae import config as config_lib
from tvae import training
from tvae.artifacts import latency, names, promote, register, validate
from tvae.artifacts.repository import Repository
from tvae.domains import registry
from tvae.errors import UserError
from tvae.exports.folder import export_model
from tvae.reporting.page import write_report
from tvae.runs.run import Run

# The domain is not imported here: an entry point names it.
KILLED = """
import os, signal, sys
import tvae
from tvae import config
from tvae.engine.loop import Control

def kill(done, *_):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

tvae.train(config.default("rings"), sys.argv[1], control=Control(progress=kill))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Environment of a process in which a package with the entry point is installed."""
    site = tmp_path_factory.mktemp("site")
    package = site / "rings-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: rings\nVersion: 1.0\n")
    entry_point = "[tvae.domains]\nrings = tests.support.toy_domain:DOMAIN\n"
    (package / "entry_points.txt").write_text(entry_point)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY)])}


@pytest.fixture(scope="module")
def model(rings, tmp_path_factory):
    """The model of an uninterrupted run."""
    config = config_lib.default("rings")
    config.targets.at_most = {"eval/error": 0.5}
    return tvae.train(config, tmp_path_factory.mktemp("runs") / "whole")


def test_the_file_is_short_and_names_no_digits():
    text = (REPOSITORY / "tests" / "support" / "toy_domain.py").read_text()
    assert len(text.splitlines()) < 60
    assert "digit" not in text


def test_it_learns_and_its_parameters_alone_give_the_metrics(rings, model):
    rows = Run.open(model.path).rows
    assert rows[-1]["eval/error"] < rows[0]["eval/error"]
    assert model.metrics() == {"eval/error": model.card["metrics"]["eval/error"]}
    x = np.asarray([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    posterior = model.encode(x)
    assert posterior.mu_a.shape == (2, 2)
    assert posterior.mu_b is None
    np.testing.assert_allclose(
        model.decode(posterior.mu_a), rings.decode(model.params, posterior.mu_a), rtol=1e-6
    )
    draw = model.sample(jax.random.key(0), 3)
    assert (draw.outputs.shape, draw.index) == ((3, 4), None)


def test_a_run_goes_on_with_more_epochs(model, tmp_path, capsys):
    """Started anew where there is none, then extended: as one run of so many epochs."""
    config, folder = model.config.copy_and_resolve_references(), tmp_path / "run"
    config.epochs = 2
    tvae.train(config, folder, resume=True)
    assert "holds no run to resume; starting a new one\n" in capsys.readouterr().err
    config.epochs = 4
    with pytest.raises(UserError, match="epochs: 2 -> 4; --extend goes on with more epochs"):
        tvae.train(config, folder, resume=True)
    assert Run.open(folder).finished
    longer = tvae.train(config, folder, extend=True)
    assert capsys.readouterr().err == ""
    jax.tree.map(np.testing.assert_array_equal, longer.params, model.params)
    assert longer.config.epochs == 4
    assert longer.card["metrics"]["train/epochs"] == 4
    for name in ("metrics.jsonl", "metrics.json"):
        assert (folder / name).read_text() == (model.path / name).read_text()
    # Not with fewer, and not with another change.
    for name, value in (("epochs", 3), ("seed", 7)):
        changed = config.copy_and_resolve_references()
        changed[name] = value
        with pytest.raises(UserError, match=f"another config: {name}: "):
            tvae.train(changed, folder, extend=True)
    # A new run from its parameters.
    changed.epochs = 4
    start = training.read_start(
        changed, registry.make_task(changed), config_lib.hparams(changed), folder
    )
    jax.tree.map(np.testing.assert_array_equal, start.params, model.params)
    assert int(start.step) == 0


def test_questions_that_do_not_apply_are_refused_in_one_line(model):
    with pytest.raises(UserError, match="the items of domain rings are not a finite set"):
        model.nearest(0, 1)
    with pytest.raises(UserError, match="the items of domain rings are not a finite set"):
        _ = model.n_items
    with pytest.raises(UserError, match="embedding: a model of task rings has none"):
        model.embed(jnp.zeros((1, 4)))
    with pytest.raises(UserError, match=r"items: expected an array \(..., 4\), got \(1, 3\)"):
        model.encode(jnp.zeros((1, 3)))
    with pytest.raises(UserError, match="a model of task rings has no Flax module"):
        _ = model.module


def test_a_killed_run_resumes_to_the_same_bits(model, installed, tmp_path):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "run")],
        cwd=REPOSITORY,
        env=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    path = tmp_path / "run" / "config.json"
    stored = json.loads(path.read_text())
    assert stored["task"] == "rings"
    resumed = tvae.train(config_lib.complete(stored), tmp_path / "run", resume=True)
    jax.tree.map(np.testing.assert_array_equal, resumed.params, model.params)
    assert resumed.card["metrics"] == model.card["metrics"]
    errors = [[row["eval/error"] for row in Run.open(m.path).rows] for m in (resumed, model)]
    assert errors[0] == errors[1]


def test_the_commands_find_it_through_the_entry_point(model, installed):
    done = subprocess.run(
        [sys.executable, "-m", "tvae", "evaluate", f"--checkpoint={model.path}"],
        cwd=REPOSITORY,
        env=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "eval/error" in done.stdout


def test_its_report_shows_curves_and_states_what_is_missing(model, tmp_path):
    text = write_report(model.path).read_text()
    assert "eval/error" in text
    assert "has no finite set of items" in text


def test_it_is_exported_without_tables(model, tmp_path):
    manifest = export_model(model, tmp_path / "out")
    reason = "the items of domain rings are not a finite set"
    assert manifest["absent"] == {"tables": reason, "projector": reason}
    assert set(manifest["programs"]) == {"encode", "decode_a"}
    assert not (tmp_path / "out" / "tables").exists()

    def run(*arguments):
        script = [sys.executable, "-I", str(tmp_path / "out" / "run_exported.py"), *arguments]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        return done.stdout or done.stderr

    assert json.loads(run())["ok"]
    (tmp_path / "items.json").write_text("[[1.0, 0.0, 0.0, 0.0]]")
    found = json.loads(run("--items", str(tmp_path / "items.json")))
    expected = model.decode(model.encode(jnp.asarray([[1.0, 0.0, 0.0, 0.0]])).mu_a)[0]
    np.testing.assert_allclose(found["decoded"], expected, atol=1e-6)
    assert "the items are not a finite set" in run("--index", "0")


def test_it_becomes_a_production_artifact(model, tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "_SECONDS", 0.0)
    repository, name = Repository(tmp_path / "artifacts"), names.parse_name("rings/1.0")
    register.register(repository, name, Run.open(model.path))
    assert validate.validate(repository, name).failed == []
    folder = promote.promote(repository, name)
    assert json.loads((folder / "export" / "manifest.json").read_text())["items"] is None
    assert repository.current("rings") == "1.0"


def test_a_second_domain_of_the_same_name_is_refused(rings, installed, monkeypatch):
    assert tvae.register(rings.DOMAIN) is rings.DOMAIN
    with pytest.raises(UserError, match="domain 'dual_vae' exists already"):
        tvae.register(dataclasses.replace(rings.DOMAIN, name="dual_vae"))
    other = dataclasses.replace(rings.DOMAIN)
    with pytest.raises(UserError, match="domain 'rings' exists already"):
        tvae.register(other)
    # Also where an installed package names it that is not imported yet.
    monkeypatch.syspath_prepend(installed["PYTHONPATH"].split(os.pathsep)[0])
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.delitem(sys.modules, "tests.support.toy_domain")
    with pytest.raises(UserError, match="domain 'rings' exists already"):
        tvae.register(other)
