"""Populations: each member is the run that it would be alone, whatever happens to the others."""

import csv
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tests.conftest import REPOSITORY
from tvae import config as config_lib
from tvae.cli.sweep import read_plan
from tvae.engine.loop import Control
from tvae.errors import UserError
from tvae.population import expand
from tvae.runs.run import Run

pytestmark = pytest.mark.usefixtures("rings")
AXES = {"learning_rate.peak": [1e-3, 1e-2]}


@pytest.fixture(scope="module")
def population(rings, tmp_path_factory):
    """Two seeds of two rates, in chunks of three."""
    folder = tmp_path_factory.mktemp("population") / "whole"
    return tvae.train_population(config_lib.default("rings"), folder, seeds=2, axes=AXES, chunk=3)


def params(population):
    return [jax.device_get(population.load(i).params) for i in population.finished]


def test_each_member_is_the_run_that_it_would_be_alone(population, tmp_path):
    for i, row in enumerate(population.rows):
        config = config_lib.default("rings")
        config.update_from_flattened_dict(row.changes)
        alone = tvae.train(config, tmp_path / str(i))
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
            population.load(i).params,
            alone.params,
        )
        assert population.load(i).config == alone.config
        recorded = alone.card["metrics"]
        assert row.metrics.keys() == recorded.keys()
        np.testing.assert_allclose(row.metrics["eval/error"], recorded["eval/error"], rtol=1e-4)


def test_chunks_change_nothing(population, tmp_path):
    whole = tvae.train_population(
        config_lib.default("rings"), tmp_path, seeds=2, axes=AXES, chunk=64
    )
    jax.tree.map(np.testing.assert_array_equal, params(whole), params(population))


def test_the_table_has_a_line_for_each_member(population):
    lines = list(csv.DictReader((population.folder / "table.csv").read_text().splitlines()))
    assert [line["member"] for line in lines] == [f"{i:04d}" for i in range(4)]
    for line, row in zip(lines, population.rows, strict=True):
        assert float(line["learning_rate.peak"]) == row.changes["learning_rate.peak"]
        assert float(line["eval/error"]) == row.metrics["eval/error"]


def test_a_stacked_model_maps(population):
    x = jnp.eye(4)
    stacked = jax.vmap(lambda model: model.encode(x).mu_a)(population.model())
    single = [population.load(i).encode(x).mu_a for i in range(4)]
    np.testing.assert_allclose(stacked, jnp.stack(single), rtol=1e-6)


def test_one_that_diverges_is_named_and_changes_no_other(population, tmp_path):
    rates = [*AXES["learning_rate.peak"], 1e30]
    found = tvae.train_population(
        config_lib.default("rings"), tmp_path, seeds=2, axes={"learning_rate.peak": rates}
    )
    assert found.finished == list(range(4))
    assert all("diverged" in row.error and not row.metrics for row in found.rows[4:])
    assert "diverged" in (tmp_path / "table.csv").read_text()
    jax.tree.map(np.testing.assert_array_equal, params(found), params(population))


def test_interrupted_between_two_saves_it_goes_on_to_the_same_end(population, tmp_path):
    config = config_lib.default("rings")

    def kill(done, *_):
        if done == 2:
            raise KeyboardInterrupt

    whole = {"seeds": 2, "axes": AXES}
    with pytest.raises(KeyboardInterrupt):
        tvae.train_population(config, tmp_path, **whole, control=Control(progress=kill))
    # One member has lost its checkpoints: it begins anew, behind the others.
    shutil.rmtree(tmp_path / "0001" / "checkpoints")
    resumed = tvae.train_population(config, tmp_path, **whole, resume=True)
    jax.tree.map(np.testing.assert_array_equal, params(resumed), params(population))
    assert [row["epoch"] for row in Run.open(tmp_path / "0001").rows] == [0, 1, 2, 3]
    # All is done: nothing is trained again.
    again = tvae.train_population(config, tmp_path, **whole, resume=True)
    assert [row.metrics for row in again.rows] == [row.metrics for row in resumed.rows]


def test_fields_that_are_not_traced_make_groups(tmp_path):
    axes = {"epochs": [1, 2]}
    found = tvae.train_population(config_lib.default("rings"), tmp_path, seeds=[5], axes=axes)
    assert [row.metrics["train/epochs"] for row in found.rows] == [1, 2]
    with pytest.raises(UserError, match="not traced"):
        found.model()


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"learning_rate.peek": [1.0]}, "did you mean config.learning_rate.peak"),
        ({"learning_rate.peak": []}, r"expected a list of values of config.learning_rate.peak"),
        ({"learning_rate.peak": "fast"}, "expected a list of values"),
        ({"learning_rate.peak": [-1.0]}, "config.learning_rate.peak: expected a number"),
    ],
)
def test_a_mistake_in_an_axis_is_one_line(axes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        tvae.train_population(config_lib.default("rings"), tmp_path / "new", axes=axes)
    assert not (tmp_path / "new").exists()


def test_another_population_is_not_gone_on_with(population):
    config = config_lib.default("rings")
    with pytest.raises(UserError, match="a population of another plan"):
        tvae.train_population(config, population.folder, seeds=1, resume=True)
    with pytest.raises(UserError, match="holds a population already"):
        tvae.train_population(config, population.folder, seeds=2, axes=AXES)


def test_seeds_are_a_number_or_a_list():
    config = config_lib.default("rings")
    config.seed = 7
    assert [change["seed"] for change in expand(config, 2, {})] == [7, 8]
    assert [change["seed"] for change in expand(config, [3, 1], {})] == [3, 1]


# The command, with a device for each of eight cores.
EIGHT_CORES = """
import os, sys
os.cpu_count = lambda: 8
from tests.support import toy_domain
from tvae.__main__ import run
run()
import jax
assert jax.device_count() == 8
"""


def test_the_command_on_eight_devices_gives_what_one_gives(population, tmp_path):
    (tmp_path / "config.py").write_text(
        "from tvae import config\n\n\ndef get_config():\n    return config.default('rings')\n"
    )
    (tmp_path / "sweep.py").write_text(
        f"def get_sweep():\n    return {{'seeds': 2, 'axes': {AXES}}}\n"
    )
    flags = [f"--{name}={tmp_path / name}.py" for name in ("config", "sweep")]
    done = subprocess.run(
        [sys.executable, "-c", EIGHT_CORES, "sweep", *flags, f"--workdir={tmp_path / 'all'}"],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("0000  learning_rate.peak=0.001, seed=42")
    assert lines[-1] == f"table    {tmp_path / 'all' / 'table.csv'}"
    for i in range(4):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
            tvae.load(tmp_path / "all" / f"{i:04d}").params,
            population.load(i).params,
        )


def test_what_a_sweeps_file_returns_is_checked(tmp_path):
    path, keys = tmp_path / "sweep.py", {"seeds", "axes"}
    path.write_text("def get_sweep():\n    return {'seeds': 2, 'axes': {'loss.kl': [0.0, 1.0]}}\n")
    assert read_plan(str(path), "sweep", keys) == {"seeds": 2, "axes": {"loss.kl": [0.0, 1.0]}}
    path.write_text("def get_sweep():\n    return {'sids': 2}\n")
    with pytest.raises(UserError, match=r"'axes', 'seeds', got .'sids': 2"):
        read_plan(str(path), "sweep", keys)
    path.write_text("def get_sweep():\n    return 1 / 0\n")
    with pytest.raises(UserError, match=r"sweep.py:2: ZeroDivisionError"):
        read_plan(str(path), "sweep", keys)
