"""A run's whole life, with real weights: registered, validated, promoted, rolled back."""

import errno
import json
import random
import shutil
import stat

import jax
import numpy as np
import pytest
import yaml

import tvae
from tests.artifacts.conftest import FIRST, SECOND, THIRD
from tvae.artifacts import checks, manifest, promote, register, validate
from tvae.artifacts.repository import Repository
from tvae.errors import UserError
from tvae.runs import directories, table
from tvae.runs import find as runs
from tvae.runs.run import Run


def files_of(folder):
    return {path for path, status in directories.walk(folder) if stat.S_ISREG(status.st_mode)}


def test_every_stage_holds_what_the_layout_says(first, run):
    raw_files = files_of(first.folder("raw", FIRST))
    assert raw_files >= files_of(run) | {
        "config.yaml",
        "training.log",
        "README.md",
        "manifest.json",
        "metrics/training_metrics.json",
        "metrics/coverage_history.json",
        "metrics/loss_history.json",
    }
    shipped = files_of(first.folder("validated", FIRST))
    reports = {"test_results", *validate.REPORTS.values()}
    assert shipped >= {f"validation/{report}.json" for report in reports} | {
        "config.yaml",
        "metadata.json",
        "README.md",
        "params/_METADATA",
    }
    assert files_of(first.folder("production", FIRST)) >= shipped | {
        "CHANGELOG.md",
        "performance/benchmarks.json",
        "performance/latency_profile.json",
        "performance/resource_usage.json",
        "deployment/config.json",
        "deployment/docker/Dockerfile",
        "deployment/kubernetes/job.yaml",
        "export/weights/params.safetensors",
        "export/programs/encode.jax_export",
        "export/run_exported.py",
    }
    stages = ("raw", "validated", "production")
    assert [first.verify(stage, FIRST) for stage in stages] == [[], [], []]


def test_every_stage_is_a_model_with_the_same_weights(first, run):
    original = tvae.load(run)
    for stage in ("raw", "validated", "production"):
        model = tvae.load(first.folder(stage, FIRST))
        jax.tree.map(np.testing.assert_array_equal, model.params, original.params)


def test_curves_and_configuration_are_those_of_the_run(first, run):
    folder = first.folder("raw", FIRST)
    history = json.loads((folder / "metrics" / "coverage_history.json").read_text())
    assert history == [{"epoch": i, "eval/coverage_mu_a": i / 3} for i in range(2)]
    losses = json.loads((folder / "metrics" / "loss_history.json").read_text())
    assert [row["train/loss"] for row in losses] == [3.0, 2.0]
    assert (folder / "training.log").read_text().splitlines()[0] == (
        "epoch 0  loss 3.0000, coverage_mu_a 0.0000"
    )
    # YAML says the same as JSON, numbers such as 1e-05 included.
    stored = json.loads((run / "config.json").read_text())
    assert yaml.safe_load((folder / "config.yaml").read_text()) == stored
    assert stored["optimizer"]["eps"] == 1e-8


def test_the_card_says_where_it_comes_from_and_what_was_checked(first):
    folder = first.folder("production", FIRST)
    card = json.loads((folder / "metadata.json").read_text())
    assert (card["model_id"], card["validation_status"]) == ("tiny/1.0", "passed")
    assert card["source"]["stage"] == "validated"
    assert card["checkpoint"] == {"step": 0}
    recorded = first.recorded("validated", FIRST)
    assert card["source"]["manifest_sha256"] == recorded.manifest_sha256
    assert card["validation_results"]["hierarchy"] == "not applicable"
    assert card["validation_results"]["determinism"] == "passed"
    assert card["metrics"]["latent/kl_a"] > 0
    text = (folder / "README.md").read_text()
    for wanted in (
        "# tiny/1.0",
        "| coverage | passed | eval/coverage_mu_a = ",
        "| hierarchy | not applicable | the latent space is flat",
        "two evaluations: bit-equal",
        "## Latency of the exported programs on",
        "| encode | 64 |",
    ):
        assert wanted in text
    assert "Good enough." in (folder / "CHANGELOG.md").read_text()


def test_latencies_are_those_of_the_exported_programs(first):
    folder = first.folder("production", FIRST) / "performance"
    profile = json.loads((folder / "latency_profile.json").read_text())
    rows = {(row["program"], row["batch"]): row for row in profile["latency"]}
    programs = ("encode", "decode_a", "decode_b", "inputs", "read")
    assert set(rows) == {(program, batch) for program in programs for batch in (1, 64, 27)}
    for row in rows.values():
        assert 0.0 < row["p50_ms"] <= row["p95_ms"]
        assert row["per_second"] == pytest.approx(1e3 * row["batch"] / row["p50_ms"])
        assert row["calls"] >= 30
    usage = json.loads((folder / "resource_usage.json").read_text())
    assert usage["parameter_bytes"] == 4 * usage["parameters"] > 10_000
    assert usage["peak_resident_bytes"] > 2**26
    benchmarks = json.loads((folder / "benchmarks.json").read_text())
    assert benchmarks["metrics"]["eval/coverage_mu_a"] == pytest.approx(1 / 27)


def test_five_hundred_flipped_bits_are_found(repository):
    """One random bit of one random file at a time, the manifest's among them."""
    folder = repository.folder("production", FIRST)
    manifest.make_writable(folder)
    draw = random.Random(0)
    paths = sorted(path for path in files_of(folder) if (folder / path).stat().st_size)
    flipped = set()
    for _ in range(500):
        path = draw.choice(paths)
        content = (folder / path).read_bytes()
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        (folder / path).chmod(0o644)
        (folder / path).write_bytes(damaged)
        [line] = repository.verify("production", FIRST)
        assert line.startswith(f"changed: {path} ")
        (folder / path).write_bytes(content)
        flipped.add(path)
    assert repository.verify("production", FIRST) == []
    assert "manifest.json" in flipped
    assert len(flipped) > 0.9 * len(paths)


def next_version(repository, run, name, **changes):
    """Register and validate another version, with changed files of the run."""
    folder = repository.root.parent / f"run-{name.version}"
    shutil.copytree(run, folder)
    for file, content in changes.items():
        (folder / f"{file}.json").write_text(json.dumps(content))
    register.register(repository, name, Run.open(folder))
    return validate.validate(repository, name)


def test_a_failing_model_cannot_be_promoted(repository, run, quickly):
    config = json.loads((run / "config.json").read_text())
    config["targets"]["at_least"]["eval/coverage_mu_a"] = 0.9
    examined = next_version(repository, run, SECOND, config=config)
    assert examined.failed == ["coverage"]
    assert repository.recorded("validated", SECOND) is None
    assert not (repository.root / "validated" / "tiny" / "2.0").exists()
    with pytest.raises(UserError, match=r"validated tiny/2.0: no such artifact; there are: tiny/1"):
        promote.promote(repository, SECOND)
    assert repository.current("tiny") == "1.0"
    with pytest.raises(UserError, match="exists already; artifacts never change"):
        promote.promote(repository, FIRST)


def test_promotion_measures_again(repository, run, quickly, monkeypatch):
    assert next_version(repository, run, SECOND).failed == []
    real = checks.measure
    monkeypatch.setattr(checks, "measure", lambda model: real(model) | {"eval/coverage_mu_a": 0.0})
    with pytest.raises(UserError, match=r"refused: eval/coverage_mu_a = 0, target >= 0.01"):
        promote.promote(repository, SECOND)
    assert repository.current("tiny") == "1.0"
    assert not (repository.root / ".staging").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(repository, run, quickly, monkeypatch):
    assert next_version(repository, run, SECOND).failed == []

    def full(model, target):
        (target / "programs").mkdir(parents=True)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(promote, "export_model", full)
    with pytest.raises(UserError, match="No space left on device"):
        promote.promote(repository, SECOND)
    assert not (repository.root / ".staging").exists()
    assert not (repository.root / "production" / "tiny" / "2.0").exists()
    assert repository.current("tiny") == "1.0"
    assert set(map(tuple, repository.verify_all().values())) == {()}


def test_figures_that_are_not_the_weights_are_refused(repository, run, quickly):
    final = json.loads((run / "metrics.json").read_text())
    lie = final | {"eval/coverage_mu_a": 1.0}
    assert next_version(repository, run, SECOND, metrics=lie).failed == ["recorded metrics"]


def test_a_model_that_is_not_deterministic_is_refused(repository, run, quickly, monkeypatch):
    real, calls = checks.measure, []

    def noisy(model):
        calls.append(1)
        return real(model) | {"eval/coverage_mu_b": 1e-9 * len(calls)}

    monkeypatch.setattr(checks, "measure", noisy)
    assert "determinism" in next_version(repository, run, SECOND).failed


def test_a_changed_artifact_goes_no_further(repository, quickly):
    folder = repository.folder("raw", FIRST)
    (folder / "metrics.json").chmod(0o644)
    (folder / "metrics.json").write_text("{}")
    damaged = [known for known, lines in repository.verify_all().items() if lines]
    assert damaged == [("raw", FIRST)]
    with pytest.raises(UserError, match=r"raw tiny/1.0: not what was recorded: changed: metrics"):
        validate.validate(repository, FIRST)


def test_three_versions_and_back(repository, run, quickly):
    for name in (SECOND, THIRD):
        assert next_version(repository, run, name).failed == []
        promote.promote(repository, name, note=f"Note of {name.version}.")
    log = (repository.folder("production", THIRD) / "CHANGELOG.md").read_text()
    places_in_log = [log.index(f"## {name.version} (") for name in (THIRD, SECOND, FIRST)]
    assert places_in_log == sorted(places_in_log)
    assert "Figures that differ from 2.0" in log
    assert promote.rollback(repository, "tiny", note="3.0 is slow") == ("3.0", "2.0")
    assert promote.rollback(repository, "tiny") == ("2.0", "1.0")
    with pytest.raises(UserError, match=r"no version of tiny came before 1.0"):
        promote.rollback(repository, "tiny")
    assert promote.rollback(repository, "tiny/3.0") == ("1.0", "3.0")
    with pytest.raises(UserError, match=r"tiny/3.0 is current already"):
        promote.rollback(repository, "tiny/3.0")
    with pytest.raises(UserError, match=r"no version of other is in production"):
        promote.rollback(repository, "other")
    with pytest.raises(UserError, match="name: expected"):
        promote.rollback(repository, "../etc")
    damaged = repository.folder("production", SECOND) / "README.md"
    damaged.chmod(0o644)
    damaged.write_text("")
    with pytest.raises(UserError, match=r"production tiny/2.0: not what was recorded"):
        promote.rollback(repository, "tiny/2.0")
    assert repository.current("tiny") == "3.0"


def test_a_damaged_predecessor_does_not_stop_its_successor(repository, run, quickly):
    (repository.folder("production", FIRST) / "CHANGELOG.md").chmod(0o644)
    (repository.folder("production", FIRST) / "CHANGELOG.md").write_text("forged history")
    assert next_version(repository, run, SECOND).failed == []
    promote.promote(repository, SECOND)
    log = (repository.folder("production", SECOND) / "CHANGELOG.md").read_text()
    assert "1.0 is damaged: changed: CHANGELOG.md" in log
    assert "forged" not in log


def test_the_record_lists_every_stage(first, run):
    found = runs.collect(first.rows())
    assert found.damaged == []
    assert [row["stage"] for row in found.rows] == ["raw", "validated", "production"]
    assert found.rows[-1]["state"] == "current"
    both = found.rows + runs.find_runs(run.parent).rows
    rows = table.select(both, columns=["stage", "eval/coverage_mu_a"], sort="stage")
    assert [row["stage"] for row in rows] == ["production", "raw", "run", "validated"]
    assert {row["eval/coverage_mu_a"] for row in rows} == {
        json.loads((run / "metrics.json").read_text())["eval/coverage_mu_a"]
    }


def test_runs_that_cannot_be_kept_are_refused(tmp_path, run):
    repository = Repository(tmp_path / "artifacts")

    def refusal(change):
        folder = tmp_path / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(run, folder)
        change(folder)
        with pytest.raises(UserError) as caught:
            register.register(repository, FIRST, Run.open(folder))
        return str(caught.value)

    assert "no such folder" in refusal(shutil.rmtree)
    assert "metrics.json is missing" in refusal(lambda f: (f / "metrics.json").unlink())
    assert "config.json: not readable" in refusal(lambda f: (f / "config.json").write_text("{"))
    assert "metrics.json: not readable" in refusal(lambda f: (f / "metrics.json").write_text("{"))
    assert "metrics.jsonl:1: not" in refusal(lambda f: (f / "metrics.jsonl").write_text("{\n"))
    assert "holds no checkpoint" in refusal(lambda f: shutil.rmtree(f / "checkpoints"))
    assert "README.md of its own" in refusal(lambda f: (f / "README.md").write_text("mine"))
    assert "symbolic link" in refusal(lambda f: (f / "more").symlink_to("/etc/hostname"))
    assert repository.events() == []
    assert {path.name for path in repository.root.iterdir()} <= {".lock"}
