"""The door: each command, its output, and one line for every mistake."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

# All commands in one process: importing JAX for each would take most of the time.
DRIVER = """
import contextlib, io, json, sys
import jax
from absl import flags
from tvae import door
from tvae.artifacts import __main__ as artifacts

jax.config.config_with_absl = lambda: None  # defines flags; once is all that a process takes
answers = []
for arguments in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), None
    sys.argv = ["artifacts", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            door.run(artifacts.main, commands=tuple(artifacts.COMMANDS))
        except SystemExit as end:
            code = end.code or 0
    answers.append([code, out.getvalue(), err.getvalue()])
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def ask(life, tmp_path_factory):
    """Run commands on a copy of the repository: ``[(exit code, stdout, stderr), ...]``."""
    folder = tmp_path_factory.mktemp("door")
    shutil.copytree(life.repository.root, folder / "artifacts")
    shutil.copytree(life.run, folder / "runs" / "tiny")
    (folder / "runs" / "broken").mkdir()
    (folder / "runs" / "broken" / "config.json").write_text("{")

    def start(*commands):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER],
            input=json.dumps([[*command] for command in commands]),
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return folder, [tuple(answer) for answer in json.loads(done.stdout)]

    return start


def test_commands(ask):
    folder, answers = ask(
        ["register", "--workdir=runs/tiny", "--name=tiny/2.0", "--note=Again."],
        ["list", "--sort=-eval/coverage_mu_a", "--limit=2", "--format=json"],
        ["list", "--stage=production"],
        ["--columns=name,state", "list", "--where=stage = 'run'", "--format=csv"],
        ["show", "--name=tiny/1.0"],
        ["show", "--name=tiny/1.0", "--stage=production", "--format=json"],
        ["verify"],
        ["verify", "--name=tiny/1.0", "--stage=production"],
    )
    assert [code for code, _, _ in answers] == [0] * len(answers)
    registered, best, stage, csv, shown, events, everything, one = (out for _, out, _ in answers)
    assert registered == f"raw  {folder}/artifacts/raw/tiny/2.0\n"
    assert len(json.loads(best)) == 2
    row = ["production", "tiny/1.0", "dual_vae", "0", "current"]
    assert stage.splitlines()[1].split()[:5] == row
    assert csv == "name,state\ntiny,finished\n"
    assert answers[1][2].startswith("skipped: runs/broken/config.json: not readable as JSON")
    assert answers[1][2].count("\n") == 1
    assert "register" in shown
    assert "Good enough." in shown
    assert "# tiny/1.0" in shown
    [event] = json.loads(events)
    assert (event["action"], event["stage"]) == ("promote", "production")
    assert everything.splitlines() == [
        "production tiny/1.0: intact",
        "raw tiny/1.0: intact",
        "raw tiny/2.0: intact",
        "validated tiny/1.0: intact",
    ]
    assert one == "production tiny/1.0: intact\n"


MISTAKES = [
    ([], "expected one of register, validate, promote, list, show, verify, rollback; got none"),
    (["promot"], "got promot"),
    (["list", "extra"], "unexpected argument 'extra'"),
    (["list", "--sort=eval/absent", "--runs=absent"], "--sort: no column 'eval/absent'"),
    (["list", "--stage=done"], "--stage: expected one of run, raw, validated, production"),
    (["list", "--format=xml"], "format"),
    (["list", "--limit=-1"], "limit"),
    (["register", "--name=tiny/9"], "register: needs --workdir"),
    (["register", "--workdir=runs/tiny", "--name=../../etc"], "name: expected <model>/<version>"),
    (["register", "--workdir=runs/tiny"], "name: expected <model>/<version>"),
    (["register", "--workdir=runs/broken", "--name=tiny/9"], "runs/broken/config.json: not"),
    (["validate", "--name=tiny/9"], "raw tiny/9: no such artifact; there are: tiny/1.0"),
    (["promote", "--name=tiny/9"], "validated tiny/9: no such artifact"),
    (["promote", "--name=tiny/1.0"], "production tiny/1.0: exists already"),
    (["show", "--name=tiny/9"], "artifact tiny/9: no such artifact"),
    (["verify", "--name=tiny/9"], "artifact tiny/9: no such artifact"),
    (["rollback", "--name=tiny"], "no version of tiny came before 1.0"),
    (["rollback"], "rollback: needs --name"),
]


def test_a_mistake_gives_one_line_and_a_status(ask):
    _, answers = ask(*(command for command, _ in MISTAKES))
    for (command, expected), (code, out, err) in zip(MISTAKES, answers, strict=True):
        assert code == 2, command
        assert out == "", command
        assert err.startswith("error: "), command
        assert err.count("\n") == 1, command
        assert expected in err, command


def test_damage_is_named_and_gives_a_status(ask):
    folder, _ = ask()
    card = folder / "artifacts" / "production" / "tiny" / "1.0" / "README.md"
    card.chmod(0o644)
    card.write_text("# Better than it is\n")
    _, [(code, out, err)] = ask(["verify", "--stage=production"])
    assert code == 2
    assert out.startswith("production tiny/1.0: changed: README.md has 20 bytes, not ")
    assert err == "error: verify: 1 of 1 artifacts are not what was recorded\n"
