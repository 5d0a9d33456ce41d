"""Commands: each command, its output, and one line for every mistake."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tvae.artifacts import ledger

# All commands in one process: importing JAX for each would take most of the time.
DRIVER = """
import contextlib, io, json, pathlib, shutil, sys
from tvae.artifacts import checks, latency, promote
from tvae.cli import command

answers = []
# What test_lifecycle.py does for real, and takes time: the same weights give the same again.
known = pathlib.Path("artifacts/production/tiny/1.0")
figures = json.loads((known / "performance/benchmarks.json").read_text())["metrics"]
profile = json.loads((known / "performance/latency_profile.json").read_text())
checks.measure = lambda model: dict(figures)
latency.profile = lambda *_, **__: profile
promote.export_model = lambda model, target: shutil.copytree(known / "export", target)
for arguments in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), None
    sys.argv = ["artifacts", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command.run("tvae.cli.artifacts")
        except SystemExit as end:
            code = end.code or 0
    answers.append([code, out.getvalue(), err.getvalue()])
json.dump(answers, sys.stdout)
"""


@pytest.fixture
def folder(life, tmp_path):
    """A copy of the repository, to change, beside a run and a damaged one."""
    shutil.copytree(life.repository.root, tmp_path / "artifacts")
    shutil.copytree(life.run, tmp_path / "runs" / "tiny")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "config.json").write_text("{")
    return tmp_path


@pytest.fixture
def ask(folder):
    """Run commands there: ``[(exit code, stdout, stderr), ...]``."""

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
        return [tuple(answer) for answer in json.loads(done.stdout)]

    return start


def test_commands(folder, ask):
    answers = ask(
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
        f"ledger: 4 lines, seal {ledger.read_seals(folder / 'artifacts')[-1]}",
    ]
    assert one.splitlines()[0] == "production tiny/1.0: intact"


def test_a_life_by_commands(folder, ask):
    answers = ask(
        ["register", "--workdir=runs/tiny", "--name=other/1"],
        ["validate", "--name=other/1"],
        ["promote", "--name=other/1"],
        ["register", "--workdir=runs/tiny", "--name=other/2"],
        ["validate", "--name=other/2"],
        ["promote", "--name=other/2", "--note=Better."],
        ["rollback", "--name=other", "--note=Not better."],
        ["list", "--where=state = 'current' AND name LIKE 'other/%'", "--columns=name"],
    )
    assert [code for code, _, _ in answers] == [0] * len(answers), answers
    outputs = [out for _, out, _ in answers]
    checks = outputs[1].splitlines()
    assert checks[0].split()[:2] == ["coverage", "passed"]
    assert "hierarchy           not applicable  the latent space is flat" in outputs[1]
    assert checks[-1] == f"validated  {folder}/artifacts/validated/other/1"
    assert outputs[5] == f"production  {folder}/artifacts/production/other/2\n"
    assert outputs[6] == "current  1; before 2\n"
    assert outputs[7].split() == ["name", "other/1"]


def test_a_model_that_fails_is_refused_with_the_reasons(folder, ask):
    config = json.loads((folder / "runs" / "tiny" / "config.json").read_text())
    config["targets"]["at_least"]["eval/coverage_mu_a"] = 0.9
    shutil.copytree(folder / "runs" / "tiny", folder / "weak")
    (folder / "weak" / "config.json").write_text(json.dumps(config))
    answers = ask(
        ["register", "--workdir=weak", "--name=weak/1"],
        ["validate", "--name=weak/1"],
        ["promote", "--name=weak/1"],
    )
    assert [code for code, _, _ in answers] == [0, 2, 2]
    _, (_, out, err), (_, _, refusal) = answers
    assert "coverage            failed          eval/coverage_mu_a = 0.037037, target >= 0.9" in out
    assert err == "error: validate weak/1: refused: coverage failed\n"
    assert refusal.startswith("error: validated weak/1: no such artifact")


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
    (["verify", "--seal=0123"], "verify: the ledger never had the seal 0123"),
    (["rollback", "--name=tiny"], "no version of tiny came before 1.0"),
    (["rollback"], "rollback: needs --name"),
]


def test_a_mistake_gives_one_line_and_a_status(ask):
    answers = ask(*(command for command, _ in MISTAKES))
    for (command, expected), (code, out, err) in zip(MISTAKES, answers, strict=True):
        assert code == 2, command
        assert out == "", command
        assert err.startswith("error: "), command
        assert err.count("\n") == 1, command
        assert expected in err, command


def test_damage_is_named_and_gives_a_status(folder, ask):
    card = folder / "artifacts" / "production" / "tiny" / "1.0" / "README.md"
    card.chmod(0o644)
    card.write_text("# Better than it is\n")
    kept = ledger.read_seals(folder / "artifacts")[-1]
    [(code, out, err)] = ask(["verify", "--stage=production", f"--seal={kept}"])
    assert code == 2
    assert out.startswith("production tiny/1.0: changed: README.md has 20 bytes, not ")
    assert err == "error: verify: 1 of 1 artifacts are not what was recorded\n"
