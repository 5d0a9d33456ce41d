"""One model's life, lived once: a tiny run, registered, validated and promoted for real."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

import tvae
from tests.conftest import load_config
from tests.support.engines import bound_engine
from tvae.artifacts import checks, latency, names, promote, register, validate
from tvae.artifacts.repository import Repository
from tvae.cli import command
from tvae.runs import checkpoint, files, workdir
from tvae.runs.run import Run

FIRST, SECOND, THIRD = map(names.parse_name, ("tiny/1.0", "tiny/2.0", "tiny/3.0"))

TARGETS = {
    "eval/coverage_mu_a": 0.01,
    "eval/coverage_mu_test_a": 0.0,
    "latent/informed_dimensions_a": 1,
    "latent/active_dimensions_a": 0,
    "latent/entropy_a": 0.1,
}


def write_run(folder: pathlib.Path) -> pathlib.Path:
    """A finished run of 27 operations: the loop's files around parameters that saw no training."""
    config = load_config("fast")
    config.data.n_digits, config.data.batch_size = 3, 9
    config.targets.at_least = TARGETS
    engine = bound_engine(config)
    key = jax.random.key(config.seed)
    state = engine.init(key)
    workdir.prepare(folder, config, resume=False)
    with contextlib.closing(checkpoint.RunCheckpoints(folder / files.CHECKPOINTS)) as store:
        store.save(0, state, {"epoch": 0, "best_score": 0.0, "best_epoch": 0}, score=0.0)
    final = files.to_plain(jax.device_get(engine.final_evaluate(state, key)))
    (folder / files.FINAL_FILE).write_text(json.dumps(final))
    rows = [{"epoch": i, "train/loss": 3.0 - i, "eval/coverage_mu_a": i / 3} for i in range(2)]
    (folder / files.METRICS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


class Life(NamedTuple):
    """What one model left.

    Attributes:
      run: its working directory.
      repository: with its three stages.
      figures: everything that its weights tell.
    """

    run: pathlib.Path
    repository: Repository
    figures: Mapping[str, Any]


@contextlib.contextmanager
def compiled_once(folder):
    """What is measured four times is compiled once."""
    command.enable_compilation_cache(folder)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def life(tmp_path_factory):
    """Nothing simulated but the training, which there was none of."""
    repository = Repository(tmp_path_factory.mktemp("life") / "artifacts")
    with (
        compiled_once(tmp_path_factory.mktemp("programs")),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(latency, "_SECONDS", 0.0)
        run = write_run(tmp_path_factory.mktemp("runs") / "tiny")
        register.register(repository, FIRST, Run.open(run), note="The first one.")
        examined = validate.validate(repository, FIRST)
        assert examined.failed == []
        promote.promote(repository, FIRST, note="Good enough.")
        return Life(run, repository, checks.measure(tvae.load(run)))


@pytest.fixture(scope="session")
def run(life):
    """The run; not to be changed."""
    return life.run


@pytest.fixture(scope="session")
def first(life):
    """The repository with one version in production; not to be changed."""
    return life.repository


@pytest.fixture
def repository(first, tmp_path):
    """A copy of that repository, to change."""
    shutil.copytree(first.root, tmp_path / "artifacts")
    return Repository(tmp_path / "artifacts")


@pytest.fixture
def quickly(monkeypatch, life):
    """Neither measure nor export the same weights again."""
    known = life.repository.folder("production", FIRST)
    profile = json.loads((known / "performance" / "latency_profile.json").read_text())

    def export(model, target):
        shutil.copytree(known / "export", target, copy_function=shutil.copyfile)
        target.chmod(0o755)

    monkeypatch.setattr(checks, "measure", lambda model: dict(life.figures))
    monkeypatch.setattr(promote, "export_model", export)
    monkeypatch.setattr(latency, "profile", lambda *_, **__: profile)
