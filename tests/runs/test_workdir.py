"""The working directory: whose it is, and with what it goes on."""

import json
import subprocess

import pytest

from tests.support import toy_task
from tvae import shipped
from tvae.errors import UserError
from tvae.runs import files, workdir
from tvae.runs.run import Run

CONFIG = toy_task.make_config()


def test_a_run_goes_on_with_its_own_config_alone(tmp_path, capsys):
    workdir.prepare(tmp_path / "run", CONFIG, resume=False)
    workdir.prepare(tmp_path / "run", CONFIG, resume=True)
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="holds a run already"):
        workdir.prepare(tmp_path / "run", CONFIG, resume=False)
    with pytest.raises(UserError, match="another config: epochs: 8 -> 9"):
        workdir.prepare(tmp_path / "run", toy_task.make_config(epochs=9), resume=True)


def test_another_commit_is_a_warning(tmp_path, capsys):
    workdir.prepare(tmp_path, CONFIG, resume=False)
    run = json.loads((tmp_path / files.PROVENANCE_FILE).read_text())
    (tmp_path / files.PROVENANCE_FILE).write_text(json.dumps(run | {"git_commit": "abc"}))
    workdir.prepare(tmp_path, CONFIG, resume=True)
    warning = capsys.readouterr().err
    assert warning.startswith("warning: the run began at commit abc, and goes on at ")
    assert warning.count("\n") == 1


def test_a_start_that_was_killed_is_begun_again(tmp_path):
    for name in (files.PROVENANCE_FILE, f"{files.PROVENANCE_FILE}.tmp", files.LOCK_FILE):
        (tmp_path / name).write_text("half of it")
    workdir.prepare(tmp_path, CONFIG, resume=True)
    run = Run.open(tmp_path)
    assert run.config.epochs == 8
    assert "git_commit" in run.provenance


def test_a_folder_with_other_things_or_in_use_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="expected an empty folder"):
        workdir.prepare(tmp_path, CONFIG, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    workdir.prepare(tmp_path / "run", CONFIG, resume=False)
    with files.hold_lock(tmp_path / "run"), pytest.raises(UserError, match="in use"):
        workdir.prepare(tmp_path / "run", CONFIG, resume=True)


def git(folder, *arguments):
    names = ("-c", "user.name=x", "-c", "user.email=x")
    return subprocess.check_output(["git", "-C", folder, *names, *arguments], text=True).strip()


def test_the_commit_is_that_of_the_own_source_tree_or_none(tmp_path, monkeypatch):
    """Inside another project's repository, or installed, the code has no commit."""
    own, other = tmp_path / "own", tmp_path / "other"
    for tree in (own, other, other / "copy"):
        (tree / "tvae").mkdir(parents=True)
    for tree, name in ((own, "tvae"), (other, "another"), (other / "copy", "tvae")):
        (tree / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    for repository in (own, other):
        git(repository, "init", "-q")
        git(repository, "commit", "-q", "--allow-empty", "-m", "first")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))  # as in a hook of the other project
    found = {}
    for tree in (own, other, other / "copy", tmp_path):
        monkeypatch.setattr(shipped, "PACKAGE", tree / "tvae")
        found[tree] = workdir.provenance()["git_commit"], workdir.provenance()["git_modified"]
    monkeypatch.delenv("GIT_DIR")
    assert found.pop(own) == (git(own, "rev-parse", "HEAD"), True)
    assert set(found.values()) == {(None, None)}
