"""``tvae.train``: a model from a configuration, in a process that stays as it was."""

import gc
import signal

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

import tvae
from tests.conftest import REPOSITORY, load_config
from tests.support.engines import bound_engine, last_state
from tests.support.small_models import write_untrained
from tvae import config as config_lib
from tvae import training
from tvae.convert import continuation
from tvae.domains import registry
from tvae.engine.loop import Control, Phase
from tvae.runs import workdir


@pytest.fixture
def config():
    """A few seconds of the dual VAE on 27 operations."""
    config = load_config("fast")
    config.data.n_digits, config.data.batch_size, config.epochs = 3, 9, 2
    return config


def test_three_lines_train_a_model_and_leave_the_process_alone(config, monkeypatch):
    traces = []

    @jax.jit
    def of_the_caller(x):
        traces.append(x)
        return x + 1

    def refuse(*_, **__):
        raise AssertionError("the caller's process")

    of_the_caller(1.0)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    settings = dict(jax.config.values)
    collected = gc.get_threshold()
    for owner, name in ((signal, "signal"), (signal, "set_wakeup_fd"), (jax, "clear_caches")):
        monkeypatch.setattr(owner, name, refuse)
    model = tvae.train(config)
    monkeypatch.undo()
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert all(x is y for x, y in zip(before, after, strict=True))
    assert dict(jax.config.values) == settings
    assert gc.get_threshold() == collected
    of_the_caller(2.0)
    assert len(traces) == 1
    assert model.task == "dual_vae"
    assert (model.path / "metrics.json").exists()
    assert model.card["metrics"]["train/epochs"] == 2


def test_a_run_resumes_and_calls_its_control(config, tmp_path):
    asked, phases, seen = [], [], []

    def stop_after_an_epoch():
        asked.append(True)
        return signal.SIGTERM

    with pytest.raises(Exception, match="stopped by SIGTERM after 1 epochs"):
        tvae.train(config, tmp_path / "run", control=Control(should_stop=stop_after_an_epoch))
    control = Control(between=phases.append, progress=lambda *given: seen.append(given[:2]))
    model = tvae.train(config, tmp_path / "run", resume=True, control=control)
    assert asked
    assert phases == [Phase.START, Phase.INITIALISED, Phase.BLOCK, Phase.BLOCK, Phase.FINAL]
    assert seen == [(1, 2), (2, 2)]
    whole = tvae.train(config, tmp_path / "whole")
    jax.tree.map(np.testing.assert_array_equal, model.params, whole.params)


def test_a_configuration_may_be_a_file(tmp_path):
    path = REPOSITORY / "configs" / "fast.py"
    lines = ["import runpy", f"config = runpy.run_path({str(path)!r})['get_config']()"]
    lines += ["config.epochs = 0", "get_config = lambda: config", ""]
    (tmp_path / "tiny.py").write_text("\n".join(lines))
    with pytest.raises(tvae.UserError, match=r"config\.epochs"):
        tvae.train(tmp_path / "tiny.py")
    with pytest.raises(tvae.UserError, match="no such file"):
        tvae.train(tmp_path / "absent.py")
    with pytest.raises(tvae.UserError, match="expected a ConfigDict or a path, got dict"):
        tvae.train({"task": "dual_vae"})
    with pytest.raises(tvae.UserError, match=r"task: expected one of .*, got \[1\]"):
        config_lib.validate(ConfigDict({"task": [1]}))


def test_resuming_needs_a_folder(config):
    with pytest.raises(tvae.UserError, match="need workdir"):
        tvae.train(config, resume=True)
    with pytest.raises(tvae.UserError, match="need workdir"):
        tvae.train(config, extend=True)


def first_checkpoint(config, folder, source):
    """The state with which a run begins that starts from another's parameters."""
    task, hparams = registry.make_task(config), config_lib.hparams(config)
    start = training.read_start(config, task, hparams, source)
    workdir.prepare(folder, config, resume=False)
    continuation.write_start(start, steps_per_epoch=task.steps_per_epoch, workdir=folder)
    return start, last_state(config, folder)


@pytest.mark.parametrize("name", ["v6", "v5_5", "v5_12_4"])
def test_every_domain_starts_from_a_model_of_its_own(name, tmp_path, monkeypatch):
    model = tvae.load(name)
    fresh = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), bound_engine(model.config).shapes())
    engine = registry.make_engine(model.config)
    # Fresh states are tested elsewhere, and take long to compile.
    monkeypatch.setattr(registry, "make_engine", lambda _: engine._replace(init=lambda *_: fresh))
    config = model.config.copy_and_resolve_references()
    config.seed, config.epochs = 5, 3  # another run
    start, saved = first_checkpoint(config, tmp_path / "run", model.path)
    jax.tree.map(np.testing.assert_array_equal, saved.params, model.params)
    jax.tree.map(np.testing.assert_array_equal, saved.opt_state, fresh.opt_state)
    assert int(start.step) == 0
    if name == "v5_12_4":
        # What follows from the parameters follows from these.
        assert np.ptp(saved.aux.reference_radius) > 0


def test_a_start_from_another_model_is_refused(config, tmp_path):
    source = write_untrained(tmp_path / "five_digits")
    for start, message in (
        ("v6", "expected a model of task 'dual_vae', got 'hyperbolic_vae'"),
        (source, r"decoder_a/logits/bias is float32\[15\], expected float32\[9\]"),
        (tmp_path / "absent", "no such folder"),
    ):
        with pytest.raises(tvae.UserError, match=message):
            tvae.train(config, tmp_path / "run", start_from=start)
        assert not (tmp_path / "run").exists()
