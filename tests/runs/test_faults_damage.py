"""Damage of every file of a checkpoint: named, and stepped over or refused, never used."""

import contextlib
import json
import pathlib
import pickle
import shutil
import sys

import jax
import numpy as np
import pytest

from tests.support import torch_files, toy_task
from tvae.convert.torch_file import reader as torch_file
from tvae.errors import UserError
from tvae.runs import archive, checkpoint, parameters

# A failed restore leaves Orbax's half-done coroutines to the garbage collector, which complains.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(step):
    """A state whose every value says of which step it is."""
    return {"w": np.full((20, 30), step, np.float32), "n": np.array(step, np.int32)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the checkpoints of steps 1 (the best) and 2."""
    folder = tmp_path_factory.mktemp("damage") / "checkpoints"
    with checkpoint.RunCheckpoints(folder) as store:
        for step in (1, 2):
            store.save(step, state(step), {"epoch": step}, score=-step)
    return folder


def files_of(folder):
    """Names of the files whose damage must show: not Orbax's empty marks of success."""
    paths = sorted(folder.rglob("*"))
    return [p.relative_to(folder) for p in paths if p.is_file() and p.stat().st_size > 0]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


DAMAGES = {"truncated": truncate, "flipped": flip, "deleted": pathlib.Path.unlink}


def restore(folder, target):
    """``(step of the restored state, its epoch)``, having checked all values."""
    with checkpoint.RunCheckpoints(folder, read_only=True) as store:
        restored, progress = store.restore_newest(target)
    jax.tree.map(np.testing.assert_array_equal, restored, state(int(restored["n"])))
    return int(restored["n"]), progress["epoch"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_file_in_turn(saved, tmp_path, capsys, damage):
    """Either the file did not matter, or the checkpoint is named and the one before it used."""
    stepped_over = []
    for name in files_of(saved / "2"):
        folder = tmp_path / str(name).replace("/", "_")
        shutil.copytree(saved, folder)
        DAMAGES[damage](folder / "2" / name)
        found = restore(folder, state(0))
        warning = capsys.readouterr().err
        if found == (2, 2):
            assert warning == ""
            continue
        assert found == (1, 1)
        assert warning.startswith(f"warning: checkpoint {folder / '2'} ")
        assert warning.count("\n") == 1
        stepped_over.append(str(name))
        shutil.rmtree(folder / "1")
        with pytest.raises(UserError, match="no intact checkpoint") as refusal:
            restore(folder, state(0))
        assert str(folder / "2") in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert archive.RECORD_FILE in stepped_over
    assert len(stepped_over) >= 3


@pytest.mark.parametrize("field", ["progress", "score", "sha256"])
def test_a_changed_record_is_damage(saved, tmp_path, field, capsys):
    """The digest covers what the loop goes on from, not the arrays alone."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    record = json.loads((folder / "2" / archive.RECORD_FILE).read_text())
    record[field] = {"epoch": 7} if field == "progress" else "other"
    (folder / "2" / archive.RECORD_FILE).write_text(json.dumps(record))
    assert restore(folder, state(0)) == (1, 1)
    assert "does not match its digest" in capsys.readouterr().err
    (folder / "2" / archive.RECORD_FILE).write_text("[]")
    assert restore(folder, state(0)) == (1, 1)


def test_the_arrays_of_another_checkpoint_are_damage(saved, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    shutil.rmtree(folder / "2" / archive.ARRAYS)
    shutil.copytree(folder / "1" / archive.ARRAYS, folder / "2" / archive.ARRAYS)
    assert restore(folder, state(0)) == (1, 1)


@pytest.mark.parametrize(
    ("target", "difference"),
    [
        (state(0) | {"w": np.zeros((30, 20), np.float32)}, r"w is float32\[20, 30\], expected"),
        (state(0) | {"w": np.zeros((20, 30), np.float16)}, r"expected float16\[20, 30\]"),
        (state(0) | {"x": np.zeros(3)}, r"x is absent, expected float64\[3\]"),
        ({"n": np.array(0, np.int32)}, r"w is float32\[20, 30\], expected absent"),
    ],
)
def test_another_layout_is_refused_by_the_leafs_name(saved, target, difference):
    with pytest.raises(UserError, match=difference):
        restore(saved, target)


@pytest.mark.parametrize("changed", [("FORMAT", archive.FORMAT + 1), ("tvae", "9.0.0")])
def test_another_version_is_refused_with_the_difference(saved, monkeypatch, changed):
    name, value = changed
    if name == "FORMAT":
        monkeypatch.setattr(archive, name, value)
    else:
        monkeypatch.setattr("tvae.__version__", value)
    with pytest.raises(UserError, match=f"another version: .* -> {value}"):
        restore(saved, state(0))


def test_the_first_format_is_refused_by_name(tmp_path):
    """Its folders hold ``progress/`` in place of the record."""
    (tmp_path / "7" / "progress").mkdir(parents=True)
    with pytest.raises(UserError, match=f"another version: format 1 -> {archive.FORMAT}"):
        restore(tmp_path, state(0))


def test_a_run_steps_over_damage_and_ends_as_if_there_had_been_none(trainers, tmp_path):
    """The newest checkpoint is set aside, its epochs are trained again."""
    # The loss falls: the best of "max" is the first, and an older one is there to go back to.
    workdir, changes = tmp_path / "run", {"early_stop.mode": "max"}
    assert trainers.run(workdir, changes) == (0, [])
    names = ("metrics.jsonl", "metrics.json")
    before = [(workdir / name).read_text() for name in names]
    task = toy_task.LineTask()
    reference = toy_task.last_state(workdir, task)
    newest = workdir / "checkpoints" / "24"
    for path in files_of(newest):
        truncate(newest / path)
    status, messages = trainers.run(workdir, changes)
    assert status == 0
    assert len(messages) == 1
    assert messages[0].startswith(f"warning: checkpoint {newest} cannot be read")
    assert messages[0].endswith("going back to step 3")
    again = toy_task.last_state(workdir, task)
    jax.tree.map(np.testing.assert_array_equal, again, reference)
    assert [(workdir / name).read_text() for name in names] == before
    assert {p.name for p in (workdir / "checkpoints").iterdir()} == {"3", "24", "24.damaged"}


def test_with_nothing_intact_a_run_refuses_and_changes_nothing(tmp_path):
    folder = tmp_path / "checkpoints"
    with checkpoint.RunCheckpoints(folder) as store:
        store.save(3, state(3), {}, score=0.0)
    truncate(folder / "3" / archive.RECORD_FILE)
    with pytest.raises(UserError, match=r"no intact checkpoint: .*checkpoints/3"):
        toy_task.train(toy_task.make_config(), toy_task.LineTask(), tmp_path)
    assert [path.name for path in folder.iterdir()] == ["3"]
    assert not (tmp_path / "metrics.jsonl").exists()


@contextlib.contextmanager
def no_pickles(monkeypatch):
    """Inside the block nothing is unpickled, neither by Python's pickle nor by C's."""
    watching, found = [True], []

    def hook(event, arguments):
        if watching and event == "pickle.find_class":
            found.append(arguments)

    def refuse(*_, **__):
        raise AssertionError("unpickles")

    sys.addaudithook(hook)
    with monkeypatch.context() as patch:
        for name in ("load", "loads", "Unpickler", "_Unpickler"):
            patch.setattr(pickle, name, refuse)
        yield
    watching.clear()
    assert found == []


def test_reading_checkpoints_runs_no_pickle(saved, tmp_path, monkeypatch):
    parameters.save_params(tmp_path / "p", state(1), {})
    torch = torch_files.save({"epoch": 3})
    with no_pickles(monkeypatch):
        assert restore(saved, state(0)) == (2, 2)
        parameters.load_params(tmp_path / "p")
        assert torch_file.read_torch_file(torch) == {"epoch": 3}
    with pytest.raises(AssertionError), no_pickles(monkeypatch):
        pickle.loads(pickle.dumps(UserError))
