"""Disks that are full or cannot be written: one clear line, earlier checkpoints intact."""

import os
import re
import resource
import shutil
import subprocess

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.support import toy_task
from tvae.cli import command
from tvae.runs import archive, checkpoint

CONFIG = {"epochs": 12}
REPEATS = 3


@pytest.fixture(scope="module")
def reference(trainers, tmp_path_factory):
    """The last state of a run on a good disk."""
    workdir = tmp_path_factory.mktemp("disk") / "run"
    assert trainers.run(workdir, CONFIG) == (0, [])
    return last_state(workdir)


def last_state(workdir):
    return toy_task.last_state(workdir)


def assert_one_line(messages, *parts):
    assert len(messages) == 1, messages
    assert messages[0].startswith("error: ")
    for part in parts:
        assert part in messages[0]


def assert_goes_on(trainers, workdir, reference):
    """With the fault gone, the run ends as if there had been none."""
    status, _ = trainers.run(workdir, CONFIG)
    assert status == 0
    jax.tree.map(np.testing.assert_array_equal, last_state(workdir), reference)
    assert not [p for p in (workdir / "checkpoints").iterdir() if not p.name.isdigit()]


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_no_space_for_a_checkpoint(trainers, tmp_path, reference, repeat):
    workdir = tmp_path / "run"
    limit = 6 + 6 * repeat
    status, messages = trainers.run(workdir, CONFIG, pace=0.05, full_disk=limit)
    assert status == command.USER_ERROR_STATUS
    assert_one_line(messages, "could not be saved", "No space left on device", "are intact")
    kept = int(last_state(workdir).step)
    assert 0 < kept < limit
    assert_goes_on(trainers, workdir, reference)


@pytest.mark.parametrize("size", [0, 200, 2000])
def test_files_that_may_not_grow(trainers, tmp_path, reference, size):
    """The kernel's own refusal, at the lock, the metrics, the arrays: whichever comes first."""
    workdir = tmp_path / "run"
    status, _ = trainers.run(workdir, {"epochs": 4})
    assert status == 0
    before = (workdir / "metrics.jsonl").read_text()
    status, messages = trainers.run(workdir, CONFIG, small_files=size)
    assert status == command.USER_ERROR_STATUS
    assert_one_line(messages, "File too large")
    assert int(last_state(workdir).step) >= 4 * toy_task.STEPS
    assert (workdir / "metrics.jsonl").read_text().startswith(before)
    assert_goes_on(trainers, workdir, reference)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, or None where the system does not let us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if not mount or subprocess.run([mount, *command], capture_output=True).returncode:
        yield None
        return
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up(trainers, small_disk, tmp_path, reference):
    """A real one; where mounting is not allowed, a limit on the size of files stands for it."""
    workdir = (small_disk or tmp_path) / "run"
    status, _ = trainers.run(workdir, {"epochs": 4})
    assert status == 0
    if small_disk is None:
        status, messages = trainers.run(workdir, CONFIG, small_files=3000)
    else:
        space = os.statvfs(small_disk)
        with (small_disk / "other").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (space.f_bavail - 8) * space.f_frsize)
        status, messages = trainers.run(workdir, CONFIG)
        os.remove(small_disk / "other")
    assert status == command.USER_ERROR_STATUS
    assert_one_line(messages, "File too large" if small_disk is None else "No space left on device")
    assert int(last_state(workdir).step) >= 4 * toy_task.STEPS
    assert_goes_on(trainers, workdir, reference)


def test_a_folder_that_cannot_be_written(trainers, tmp_path):
    """One line, and nothing touched: a new run, and one to resume."""
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    workdir = tmp_path / "run"
    workdir.mkdir()
    for name in ("new", "run"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if name == "run":
            assert trainers.run(folder, {"epochs": 2}) == (0, [])
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        folder.chmod(0o555)
        status, messages = trainers.run(folder, CONFIG, nobody=None)
        folder.chmod(0o755)
        assert status == command.USER_ERROR_STATUS, "\n".join(messages)
        assert_one_line(messages, f"workdir {folder}: cannot be written (Permission denied)")
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_write_that_fails_in_the_background(tmp_path, monkeypatch):
    """Past the check beforehand, TensorStore's own error becomes the same line."""
    monkeypatch.setattr(archive, "reserve", lambda folder, size: None)
    noise = {"x": np.random.default_rng(0).random(100_000)}
    store = checkpoint.RunCheckpoints(tmp_path)
    store.save(1, noise, {"epoch": 1}, score=0.0)
    store.wait()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        store.save(2, noise, {"epoch": 2}, score=1.0)
        with pytest.raises(checkpoint.UserError, match=r"/2 could not be saved: File too large"):
            store.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.close()
    with checkpoint.RunCheckpoints(tmp_path) as again:
        assert again.restore_newest(noise)[1] == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("way", ["wait", "close"])
def test_a_failed_write_is_told_by_every_way_out(tmp_path, monkeypatch, way):
    wait = ocp.CheckpointManager.wait_until_finished

    def fail_late(self):
        wait(self)
        raise OSError(28, "No space left on device")

    store = checkpoint.RunCheckpoints(tmp_path)
    store.save(1, {"x": np.ones(3)}, {}, score=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "wait_until_finished", fail_late)
        with pytest.raises(checkpoint.UserError, match=re.escape(str(tmp_path / "1"))):
            getattr(store, way)()
    store.close()


@pytest.mark.parametrize(("number", "saved"), [(95, True), (28, False), (122, False), (27, False)])
def test_space_is_asked_for_where_the_disk_can_tell(tmp_path, monkeypatch, number, saved):
    """A disk that cannot reserve (EOPNOTSUPP) is written to; one without space is not begun."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with checkpoint.RunCheckpoints(tmp_path) as store:
        if saved:
            store.save(1, {"x": np.ones(3)}, {}, score=0.0)
        else:
            with pytest.raises(checkpoint.UserError, match=os.strerror(number)):
                store.save(1, {"x": np.ones(3)}, {}, score=0.0)
    assert [path.name for path in tmp_path.iterdir()] == (["1"] if saved else [])
