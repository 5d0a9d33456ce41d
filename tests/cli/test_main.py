"""Commands: a whole run, resume after a kill, and every mistake refused in one line."""

import json
import shutil
import signal
import time

import jax
import numpy as np
import pytest

from tests.conftest import load_config
from tests.support.engines import last_state
from tvae.runs import parameters

CONFIG = "--config=configs/fast.py"
FAST = (CONFIG, "--config.report=False")  # but for the tests of the report


def finish(process, timeout=300):
    """Wait for a process: ``(exit code, stdout, stderr)``."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def last_params(workdir, config):
    """Parameters of the newest checkpoint of a run."""
    return last_state(config, workdir).params


@pytest.fixture(scope="module")
def finished_run(command, tmp_path_factory):
    """One uninterrupted run of the fast configuration."""
    workdir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    code, out, err = finish(command("main", *FAST, f"--workdir={workdir}"))
    assert code == 0, err
    return workdir, out


def test_a_run_leaves_metrics_config_and_checkpoints(finished_run):
    workdir, out = finished_run
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(40))
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    final = json.loads((workdir / "metrics.json").read_text())
    assert final["eval/coverage_mu_train_b"] > 0.9
    assert "eval/coverage_mu_a" in out
    assert json.loads((workdir / "config.json").read_text())["data"]["n_digits"] == 5
    assert set(json.loads((workdir / "run.json").read_text())) >= {"command", "git_commit"}
    assert list((workdir / "tensorboard").iterdir())
    # The latest and the best checkpoint are kept.
    best = final["train/best_epoch"]
    steps = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    per_epoch = 7  # 194 training operations in batches of 32
    assert steps == {40 * per_epoch, best * per_epoch}


# Rows of metrics to wait for; with none, a signal finds the first epoch being compiled.
STOPS = [(signal.SIGKILL, 23, -9), (signal.SIGTERM, 0, 143), (signal.SIGINT, 0, 130)]


@pytest.mark.parametrize(("number", "rows", "status"), STOPS)
def test_stopped_and_resumed_equals_uninterrupted(
    command, tmp_path, finished_run, number, rows, status
):
    """A signal, then resume: bit-identical parameters and metrics."""
    workdir = tmp_path / "stopped"
    process = command("main", *FAST, f"--workdir={workdir}")
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and len(metrics.read_text().splitlines()) >= rows:
            break
        time.sleep(0.001)
    process.send_signal(number)
    code, _, err = finish(process)
    assert code == status
    assert "Traceback" not in err
    assert "compiling" in err
    assert (f"stopped by {number.name} after" in err) == (number != signal.SIGKILL)
    code, _, err = finish(command("main", *FAST, f"--workdir={workdir}", "--resume"))
    assert code == 0, err
    config = load_config("fast")
    uninterrupted, _ = finished_run
    jax.tree.map(
        np.testing.assert_array_equal,
        last_params(workdir, config),
        last_params(uninterrupted, config),
    )
    assert metrics.read_text() == (uninterrupted / "metrics.jsonl").read_text()


def test_resuming_a_finished_run_repeats_its_final_metrics(command, finished_run):
    workdir, _ = finished_run
    before = (workdir / "metrics.json").read_text()
    code, _, err = finish(command("main", *FAST, f"--workdir={workdir}", "--resume"))
    assert code == 0, err
    assert (workdir / "metrics.json").read_text() == before


def test_the_report_comes_by_itself_and_its_failure_costs_nothing(command, finished_run, tmp_path):
    workdir = tmp_path / "reported"
    shutil.copytree(finished_run[0], workdir)
    config = json.loads((workdir / "config.json").read_text()) | {"report": True}
    (workdir / "config.json").write_text(json.dumps(config))
    again = ("main", CONFIG, f"--workdir={workdir}", "--resume")
    code, out, err = finish(command(*again))
    assert code == 0, err
    assert f"report   {workdir / 'report.html'}" in out
    assert "warning" not in err
    text = (workdir / "report.html").read_text()
    assert "all 40 epochs" in text
    (workdir / "report.html").unlink()
    (workdir / "report.html").mkdir()
    code, out, err = finish(command(*again))
    assert code == 0
    assert "eval/coverage_mu_a" in out
    assert "warning: no report (workdir " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], "--workdir: needed"), (["--workdir=nowhere"], "nowhere: no such folder")],
)
def test_reporting_mistakes_are_one_line(command, flags, expected):
    code, _, err = finish(command("report", *flags))
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert expected in err


def test_a_second_start_compiles_nothing(command, compilation_cache, finished_run, tmp_path):
    def entries():
        return {path.name for path in compilation_cache.iterdir() if path.suffix != ".atime"}

    before = {name for name in entries() if "atime" not in name}
    code, _, err = finish(command("main", *FAST, f"--workdir={tmp_path / 'again'}"))
    assert code == 0, err
    assert len(before) > 3
    assert {name for name in entries() if "atime" not in name} == before


def test_a_damaged_checkpoint_is_named_and_nothing_is_lost(command, finished_run, tmp_path):
    workdir = tmp_path / "damaged"
    shutil.copytree(finished_run[0], workdir)
    newest = max((workdir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    largest = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])
    code, _, err = finish(command("main", *FAST, f"--workdir={workdir}", "--resume"))
    assert code == 2
    assert f"checkpoint {newest}" in err
    assert (workdir / "metrics.json").read_text() == (finished_run[0] / "metrics.json").read_text()
    assert (workdir / "metrics.jsonl").read_text() == (
        finished_run[0] / "metrics.jsonl"
    ).read_text()


MISTAKES = [
    ([], "expected a configuration file"),
    (["--config=configs/absent.py"], "no such file: configs/absent.py"),
    ([*FAST, "--config.epocs=3"], "config.epocs: unknown field; did you mean config.epochs?"),
    ([*FAST, "--noconfig.reprt"], "config.reprt: unknown field; did you mean config.report?"),
    ([*FAST, "--config.epochs=many"], "flag --config.epochs=many: invalid literal for int()"),
    ([*FAST, "--wrokdir=x"], "Unknown command line flag 'wrokdir'. Did you mean: workdir"),
    (
        [*FAST, "--config.data.batch_size=0"],
        "config.data.batch_size: expected a number >= 1, got 0",
    ),
    ([*FAST, "--config.data.batch_size=244"], "expected at most the 243 operations"),
    ([*FAST, "--config.data.train_fraction=0.5"], "expected a sum of 1"),
    (
        [*FAST, "--config.optimizer.eps=nan"],
        "config.optimizer.eps: expected a number >= 1e-30, got nan",
    ),
    ([*FAST, "--resume"], "--resume: needs --workdir"),
    ([*FAST, "extra"], "unexpected argument 'extra'"),
]


@pytest.mark.parametrize(("flags", "expected"), MISTAKES)
def test_a_mistake_gives_one_line_and_a_status(command, flags, expected):
    code, out, err = finish(command("main", *flags))
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert "Traceback" not in err


def test_an_early_stop_metric_that_does_not_exist_is_named(command, tmp_path):
    flags = [*FAST, f"--workdir={tmp_path / 'run'}", "--config.early_stop.metric=eval/absent"]
    code, _, err = finish(command("main", *flags))
    assert code == 2
    assert "early_stop.metric: expected one of" in err
    assert "eval/coverage_mu_a" in err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()  # before the first epoch


def test_divergence_is_named(command, tmp_path):
    flags = [*FAST, f"--workdir={tmp_path / 'run'}", "--config.learning_rate.peak=1e30"]
    flags.append("--config.dynamics.statenet=False")  # it would bound the rate
    code, _, err = finish(command("main", *flags))
    assert code == 2
    assert "training has diverged" in err
    assert "in epoch" in err


def test_a_folder_with_other_things_is_refused_untouched(command, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    code, _, err = finish(command("main", *FAST, f"--workdir={tmp_path}"))
    assert code == 2
    assert "expected an empty folder or a run to resume" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_workdir_that_cannot_be_made_is_refused(command, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = finish(command("main", *FAST, f"--workdir={tmp_path / 'file' / 'run'}"))
    assert code == 2
    assert "cannot be written" in err


def test_a_finished_run_is_not_overwritten(command, finished_run):
    workdir, _ = finished_run
    before = (workdir / "metrics.jsonl").read_text()
    code, _, err = finish(command("main", *FAST, f"--workdir={workdir}"))
    assert code == 2
    assert "holds a run already" in err
    assert (workdir / "metrics.jsonl").read_text() == before


def test_a_run_of_another_config_is_refused_with_the_difference(command, finished_run):
    workdir, _ = finished_run
    code, _, err = finish(
        command("main", *FAST, f"--workdir={workdir}", "--resume", "--config.seed=9")
    )
    assert code == 2
    assert "another config: seed: 0 -> 9" in err


def test_a_shipped_run_is_small_and_loads_back(command, finished_run, tmp_path):
    workdir, _ = finished_run
    target = tmp_path / "shipped"
    code, _, err = finish(command("ship", f"--workdir={workdir}", f"--output={target}"))
    assert code == 0, err
    params, metadata = parameters.load_params(target)
    jax.tree.map(np.testing.assert_array_equal, params, last_params(workdir, load_config("fast")))
    assert metadata["config"]["seed"] == 0
    assert metadata["command"] == " ".join(["python -m tvae.main", *FAST])
    final = json.loads((workdir / "metrics.json").read_text())
    assert metadata["metrics"] == final
    assert f"{final['eval/coverage_mu_a']:.6g}" in (target / "README.md").read_text()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "--workdir and --output are needed"),
        (["--workdir=nowhere", "--output=x"], "metrics.json is missing"),
    ],
)
def test_shipping_mistakes_are_one_line(command, flags, expected):
    code, _, err = finish(command("ship", *flags))
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
