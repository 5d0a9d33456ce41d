"""Search: no finished trial is lost or doubled, and the frontier is what no trial dominates."""

import itertools
import json
import multiprocessing
import os
import pathlib
import runpy
import shutil
import subprocess
import tempfile

import numpy as np
import pytest
from absl import flags

import tvae
from tvae import config as config_lib
from tvae.cli import search as cli_search
from tvae.engine.loop import Control
from tvae.errors import UserError
from tvae.population import TABLE_FILE
from tvae.reporting.search_page import write_page
from tvae.runs.run import Run

pytest.importorskip("optuna", reason="needs Optuna, of the extra 'search'")

pytestmark = pytest.mark.usefixtures("rings")
AXES = {"learning_rate.peak": tvae.Between(1e-4, 1e-1, log=True), "loss.kl": [0.0, 0.01, 0.1]}
OBJECTIVES = {"eval/error": "min", "train/best_epoch": "min"}
PLAN = {"axes": AXES, "objectives": OBJECTIVES, "trials": 6, "batch": 4}


@pytest.fixture(scope="module")
def found(rings, tmp_path_factory):
    return tvae.search(config_lib.default("rings"), tmp_path_factory.mktemp("s") / "all", **PLAN)


def test_trials_are_runs_with_the_values_that_were_chosen(found):
    assert [trial.number for trial in found.trials] == list(range(6))
    for trial in found.trials:
        config = Run.open(trial.folder).config
        assert config.learning_rate.peak == trial.changes["learning_rate.peak"]
        assert 1e-4 <= config.learning_rate.peak <= 1e-1
        assert config.loss.kl == trial.changes["loss.kl"]
        assert config.loss.kl in AXES["loss.kl"]
        metrics = Run.open(trial.folder).final
        assert trial.values == {key: metrics[key] for key in OBJECTIVES}
    assert len({trial.changes["learning_rate.peak"] for trial in found.trials}) == 6


def test_no_trial_dominates_one_of_the_frontier(found):
    values = np.array([[t.values[key] for key in OBJECTIVES] for t in found.trials])
    better = (values[:, None] <= values).all(-1) & (values[:, None] < values).any(-1)
    expected = np.flatnonzero(~better.any(0)).tolist()
    assert list(found.frontier) == expected
    summary = json.loads((found.folder / "search.json").read_text())
    assert summary["frontier"] == expected
    assert [trial["values"] for trial in summary["trials"]] == [t.values for t in found.trials]


def test_each_point_of_the_frontier_has_a_configuration_that_trains_it(found):
    for number in found.frontier:
        made = runpy.run_path(str(found.folder / "frontier" / f"{number:04d}.py"))["get_config"]()
        assert made == tvae.load(found.trials[number].folder).config


def test_the_page_shows_every_trial_and_needs_nothing_else(found):
    page = write_page(found).read_text()
    assert page.count("<circle") == page.count("<polyline") == len(found.trials)
    assert page.count('class="best" cx=') == len(found.frontier)
    assert "http" not in page
    assert "PED-ANOVA" not in page  # of six trials nothing is said


def test_the_command_prints_the_frontier(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.py").write_text(
        "from tvae import config\n\n\ndef get_config():\n    return config.default('rings')\n"
    )
    (tmp_path / "search.py").write_text(
        "import tvae\n\n\ndef get_search():\n"
        "    axes = {'learning_rate.peak': tvae.Between(1e-3, 1e-1, log=True)}\n"
        "    return {'axes': axes, 'objectives': {'eval/error': 'min'}, 'trials': 12}\n"
    )
    options = flags.FlagValues()
    cli_search.define_flags(options)
    given = [f"--{name}={tmp_path / name}.py" for name in ("config", "search")]
    options(["search", *given, f"--workdir={tmp_path / 'all'}"])
    cli_search.main(options)
    out = capsys.readouterr().out.splitlines()
    summary = json.loads((tmp_path / "all" / "search.json").read_text())
    assert [line[:4] for line in out[:-2]] == [f"{i:04d}" for i in summary["frontier"]]
    assert summary["importance"] == {"eval/error": {"learning_rate.peak": pytest.approx(1.0)}}
    assert "PED-ANOVA" in (tmp_path / "all" / "search.html").read_text()


def test_killed_and_resumed_it_finds_the_same(found, tmp_path):
    config, calls = config_lib.default("rings"), itertools.count()

    def kill(*_):
        if next(calls) == 7:  # in the second round
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tvae.search(config, tmp_path, **PLAN, control=Control(progress=kill))
    stamp = (tmp_path / "0000" / "metrics.json").stat().st_mtime_ns
    resumed = tvae.search(config, tmp_path, **PLAN, resume=True)
    assert [(t.changes, t.values) for t in resumed.trials] == [
        (t.changes, t.values) for t in found.trials
    ]
    assert (tmp_path / "0000" / "metrics.json").stat().st_mtime_ns == stamp
    assert not (tmp_path / TABLE_FILE).exists()


def _work(folder, storage):
    from tests.support import toy_domain

    config = config_lib.default(toy_domain.DOMAIN.name)
    tvae.search(config, folder, **PLAN, storage=storage)


@pytest.fixture(scope="module")
def postgresql():
    """Address of a database of Debian's PostgreSQL, on a socket of its own."""
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("needs PostgreSQL: Debian's package postgresql")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path must be short
    # It refuses to run as root.
    as_user = {"user": "postgres"} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, "postgres")

    def run(program, *arguments):
        command = [str(programs[-1].with_name(program)), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_user)

    run("initdb", "-A", "trust", "-U", "tvae", "--no-sync")
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", options)
    yield f"postgresql+psycopg://tvae@/postgres?host={folder}"
    run("pg_ctl", "stop", "-m", "immediate")
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_processes_share_a_study_without_a_double(kind, tmp_path, request):
    if kind == "sqlite":
        storage = f"sqlite:///{tmp_path / 'shared.db'}"
    else:
        storage = request.getfixturevalue("postgresql")
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(tmp_path / name, storage)) for name in ("a", "b")
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
        assert worker.exitcode == 0
    rates = {}
    for name in ("a", "b"):
        for path in sorted((tmp_path / name).glob("[0-9]*")):
            assert path.name not in rates
            rates[path.name] = Run.open(path).config.learning_rate.peak
    assert len(set(rates.values())) == len(rates)
    assert 6 <= len(rates) <= 6 + PLAN["batch"]  # both may ask for the last ones at once


def test_a_trial_that_diverges_has_no_values(tmp_path):
    axes = {"learning_rate.peak": [1e-3, 1e30]}
    found = tvae.search(
        config_lib.default("rings"),
        tmp_path,
        axes=axes,
        objectives={"eval/error": "min"},
        trials=4,
        batch=4,
    )
    assert {bool(t.values) for t in found.trials} == {True, False}
    for trial in found.trials:
        assert bool(trial.values) == (trial.changes["learning_rate.peak"] == 1e-3)
    assert found.trials[found.frontier[0]].values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": {}}, "axes: expected a field or more"),
        ({"axes": {"loss.kk": [1.0]}}, "did you mean config.loss.kl"),
        ({"axes": {"loss.kl": tvae.Between(1.0, 0.0)}}, "expected Between"),
        ({"axes": {"loss.kl": tvae.Between(-1.0, 1.0)}}, "config.loss.kl: expected a number"),
        ({"objectives": {"eval/eror": "min"}}, "no metric 'eval/eror'"),
        ({"objectives": {"eval/error": "least"}}, "expected 'max' or 'min'"),
        ({"trials": 0}, "expected trials and batch >= 1"),
        ({"storage": "nowhere://x"}, "search: database nowhere://x"),
    ],
)
def test_a_mistake_is_one_line(change, message, tmp_path):
    with pytest.raises(UserError, match=message):
        tvae.search(config_lib.default("rings"), tmp_path, **PLAN | change)


def test_another_search_is_not_gone_on_with(found):
    config = config_lib.default("rings")
    with pytest.raises(UserError, match="holds a search already"):
        tvae.search(config, found.folder, **PLAN)
    other = PLAN | {"objectives": {"eval/error": "max"}}
    with pytest.raises(UserError, match="a search of another plan"):
        tvae.search(config, found.folder, **other, resume=True)
