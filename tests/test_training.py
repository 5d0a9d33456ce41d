"""``tvae.train``: a model from a configuration, in a process that stays as it was."""

import gc
import signal

import jax
import numpy as np
import pytest

import tvae
from tests.conftest import REPOSITORY, load_config
from tvae.engine.loop import Control, Phase


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


def test_resuming_needs_a_folder(config):
    with pytest.raises(tvae.UserError, match="needs workdir"):
        tvae.train(config, resume=True)
