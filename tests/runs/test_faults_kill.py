"""SIGKILL at any instant, then resume: parameters and metrics as if nothing had happened."""

import os
import random
import signal
import time

import jax
import numpy as np
import pytest

from tests.support import toy_task

EPOCHS = {"epochs": 40}
KILLS = 20


@pytest.fixture(scope="module")
def uninterrupted(trainers, tmp_path_factory):
    """Working directory of a run that nobody disturbed."""
    workdir = tmp_path_factory.mktemp("faults") / "uninterrupted"
    assert trainers.run(workdir, EPOCHS) == (0, [])
    return workdir


def last_state(workdir):
    return toy_task.last_state(workdir)


def assert_same_run(workdir, other):
    """The same state to the last bit, the same rows, nothing left lying about."""
    jax.tree.map(np.testing.assert_array_equal, last_state(workdir), last_state(other))
    for name in ("metrics.jsonl", "metrics.json"):
        assert (workdir / name).read_text() == (other / name).read_text()
    names = {path.name for path in (workdir / "checkpoints").iterdir()}
    assert names == {path.name for path in (other / "checkpoints").iterdir()}


def wait_for_a_row(workdir, before):
    """Until the trainer has written a row, or for 20 seconds: the first change opens the file."""
    metrics, changes = workdir / "metrics.jsonl", {before}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        changes.add(metrics.stat().st_mtime_ns if metrics.exists() else before)
        if len([change for change in changes if change > before]) == 2:
            return
        time.sleep(0.002)


def test_killed_at_random_instants(trainers, tmp_path, uninterrupted):
    """Each run of 0.8 s is killed up to five times, most of them while it saves."""
    instants, kills, runs, inside_a_save = random.Random(0), 0, [], 0
    while kills < KILLS:
        workdir = tmp_path / f"run_{len(runs)}"
        runs.append(workdir)
        for _ in range(5):
            before = time.time_ns()
            pid = trainers.start(workdir, EPOCHS, pace=0.02)
            wait_for_a_row(workdir, before)
            time.sleep(instants.uniform(0.0, 0.2))
            os.kill(pid, signal.SIGKILL)
            if trainers.wait(pid)[0] != -signal.SIGKILL:
                break  # it was done before
            kills += 1
            inside_a_save += any(workdir.glob("checkpoints/*.orbax-checkpoint-tmp"))
        status, messages = trainers.run(workdir, EPOCHS)
        assert (status, messages) == (0, [])
        assert_same_run(workdir, uninterrupted)
    assert kills >= KILLS
    assert inside_a_save > 0


def test_killed_at_each_change_that_a_save_makes(trainers, tmp_path, uninterrupted):
    """Before each folder made, renamed or deleted by saves, one after the other in one run."""
    workdir = tmp_path / "run"
    for call in range(1, 21):
        status, messages = trainers.run(workdir, EPOCHS, pace=0.01, die_at=call)
        assert (status, messages) == (-signal.SIGKILL, [])
    assert trainers.run(workdir, EPOCHS) == (0, [])
    assert_same_run(workdir, uninterrupted)


def test_a_finished_run_is_only_evaluated_again(trainers, tmp_path, uninterrupted):
    (tmp_path / "run").mkdir()
    for path in uninterrupted.rglob("*"):
        target = tmp_path / "run" / path.relative_to(uninterrupted)
        target.mkdir(exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "checkpoints").rglob("*")}
    assert trainers.run(tmp_path / "run", EPOCHS) == (0, [])
    assert_same_run(tmp_path / "run", uninterrupted)
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "checkpoints").rglob("*")}
    assert before == after


@pytest.mark.parametrize("hours", [-48, 48])
def test_the_clock_may_go_backwards(trainers, tmp_path, uninterrupted, hours):
    """A killed run goes on at another time, and its files bear times in the wrong order."""
    workdir = tmp_path / "run"
    status, _ = trainers.run(workdir, EPOCHS, pace=0.01, die_at=12)
    assert status == -signal.SIGKILL
    folders = sorted(workdir.glob("checkpoints/[0-9]*"), key=lambda path: int(path.stem))
    for age, path in enumerate([*folders, workdir / "metrics.jsonl"]):
        os.utime(path, (1e9 - age * 1e5, 1e9 - age * 1e5))
    assert trainers.run(workdir, EPOCHS, other_clock=hours * 3600) == (0, [])
    assert_same_run(workdir, uninterrupted)
