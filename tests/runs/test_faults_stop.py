"""Signals that ask a run to stop, and a second run where one is at work already."""

import os
import signal
import threading
import time

import jax
import numpy as np
import pytest

from tests.support import toy_task
from tvae.cli import command
from tvae.cli import signals as interruption
from tvae.errors import UserError
from tvae.runs import files

CONFIG = {"epochs": 40, "log_every_epochs": 5, "evaluation.every_epochs": 10}
CONFIG |= {"checkpoint.every_epochs": 20}


@pytest.fixture(scope="module")
def uninterrupted(trainers, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("stop") / "uninterrupted"
    assert trainers.run(workdir, CONFIG) == (0, [])
    return workdir


def wait_for_rows(workdir, count):
    """Until there are so many rows of metrics, or for ten seconds."""
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if metrics.exists() and metrics.read_text().count("\n") >= count:
            return
        time.sleep(0.005)


def last_state(workdir):
    return toy_task.last_state(workdir)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops_and_the_run_goes_on_from_there(
    trainers, tmp_path, uninterrupted, number
):
    """Stopped in the middle of an interval, at its end, at an evaluation and in the last epoch."""
    workdir, done = tmp_path / "run", 0
    for epochs in (3, 7, 10, 20):
        status, messages = trainers.run(workdir, CONFIG, signal_at=(number, epochs))
        assert status == command.SIGNAL_STATUS + number
        assert len(messages) == 2
        assert messages[0].startswith(f"{number.name}: finishing what runs, then saving")
        done += epochs
        assert (workdir / "metrics.jsonl").read_text().count("\n") == done
        assert f"stopped by {number.name} after {done} epochs, saved in" in messages[1]
        assert int(last_state(workdir).step) == done * toy_task.STEPS
    assert trainers.run(workdir, CONFIG) == (0, [])
    jax.tree.map(np.testing.assert_array_equal, last_state(workdir), last_state(uninterrupted))
    for name in ("metrics.jsonl", "metrics.json"):
        assert (workdir / name).read_text() == (uninterrupted / name).read_text()
    kept = [{p.name for p in (w / "checkpoints").iterdir()} for w in (workdir, uninterrupted)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("when", ["final", "between"])
def test_a_signal_after_the_last_epoch_loses_nothing(trainers, tmp_path, uninterrupted, when):
    workdir = tmp_path / "run"
    status, messages = trainers.run(workdir, CONFIG, signal_at_the_end=(signal.SIGTERM, when))
    assert status == command.SIGNAL_STATUS + signal.SIGTERM
    assert messages[-1] == (
        "stopped by SIGTERM after the last epoch, which is saved; --resume repeats the final "
        "evaluation"
    )
    assert not (workdir / "metrics.json").exists()
    assert trainers.run(workdir, CONFIG) == (0, [])
    for name in ("metrics.jsonl", "metrics.json"):
        assert (workdir / name).read_text() == (uninterrupted / name).read_text()


def test_the_second_signal_stops_at_once(trainers, tmp_path):
    """However long the main thread is busy: here it sleeps for a minute."""
    pid = trainers.start(tmp_path / "run", CONFIG, pace=60.0)
    wait_for_rows(tmp_path / "run", 1)
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    began = time.monotonic()
    os.kill(pid, signal.SIGINT)
    status, messages = trainers.wait(pid)
    assert status == command.SIGNAL_STATUS + signal.SIGINT
    assert time.monotonic() - began < 10
    assert len(messages) == 1


def test_handlers_are_put_back_and_ignored_signals_stay_ignored():
    def mine(*_):
        raise AssertionError("not while it is watched")

    before = signal.signal(signal.SIGTERM, mine), signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption.watch() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            assert asked.received is None
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + 10
            while asked.received is None and time.monotonic() < deadline:
                time.sleep(0.001)
            assert asked.received == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_outside_the_main_thread_nothing_is_watched():
    seen = []

    def watch():
        with interruption.watch() as asked:
            seen.append((asked.received, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


def test_a_second_run_in_the_folder_is_refused_until_the_first_is_killed(trainers, tmp_path):
    workdir = tmp_path / "run"
    pid = trainers.start(workdir, CONFIG, pace=0.2)
    wait_for_rows(workdir, 1)
    before = (workdir / "metrics.jsonl").read_text()
    status, messages = trainers.run(workdir, CONFIG)
    assert status == command.USER_ERROR_STATUS
    expected = f"error: workdir {workdir} is in use by another process (pid {pid})"
    assert [message[: len(expected)] for message in messages] == [expected]
    assert (workdir / "metrics.jsonl").read_text().startswith(before)
    os.kill(pid, signal.SIGKILL)
    assert trainers.wait(pid)[0] == -signal.SIGKILL
    assert trainers.run(workdir, CONFIG) == (0, [])


def test_the_lock_is_free_again_after_the_block(tmp_path):
    for _ in range(2):
        with files.hold_lock(tmp_path):
            assert (tmp_path / files.LOCK_FILE).read_text() == f"{os.getpid()}\n"
            with pytest.raises(UserError, match="in use"), files.hold_lock(tmp_path):
                pass


def test_a_folder_that_refuses_the_lock_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", refuse)
    with (
        pytest.raises(UserError, match=r"run: cannot be written \(Permission denied\)"),
        files.hold_lock(tmp_path / "run"),
    ):
        pass
