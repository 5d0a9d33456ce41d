"""The conversion command: folders whole or absent, one clear line, the way back, going on."""

import json
import pathlib
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl import flags
from jax.flatten_util import ravel_pytree

from tests.conftest import REPOSITORY
from tests.support import toy_task
from tests.support.engines import bound_engine
from tests.support.torch_checkpoints import GOLDEN, GOLDEN_FILE, PUBLISHED, weights
from tests.support.torch_files import Call, hostile, same, save
from tvae import config as config_lib
from tvae import convert_torch_ckpt
from tvae.convert import folders, names, verification
from tvae.convert.continuation import adopt_moments, continue_dual_vae
from tvae.convert.exporter import export_checkpoint
from tvae.convert.importer import import_checkpoint
from tvae.convert.torch_file import read_torch_file
from tvae.engine import loop, optim
from tvae.errors import UserError
from tvae.runs import parameters


def convert(source: pathlib.Path | None, target: pathlib.Path, **given: Any) -> None:
    options = flags.FlagValues()
    convert_torch_ckpt.define_flags(options)
    options.mark_as_parsed()
    for name, value in (given | {"input": source and str(source), "output": str(target)}).items():
        setattr(options, name, value)
    convert_torch_ckpt.main(options)


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tvae.convert_torch_ckpt", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_converts_quickly(tmp_path) -> None:
    source, target = tmp_path / "golden.pt", tmp_path / "new" / "converted"
    source.write_bytes(GOLDEN_FILE)
    start = time.perf_counter()
    done = run_command(f"--input={source}", f"--output={target}", "--include_optimizer")
    elapsed = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"v5_5: 48 tensors, 168,770 numbers -> {target}\n"
    # 2 s on one quiet core; the acceptance limit, with room for a loaded one.
    assert elapsed < 20
    params, metadata = parameters.load_params(target)
    assert metadata["source"]["file"] == "golden.pt"
    expected = import_checkpoint(read_torch_file(source), include_optimizer=True)
    assert jax.tree.all(jax.tree.map(np.array_equal, params, expected.params))
    assert [path.name for path in target.parent.iterdir()] == ["converted"]


def test_the_command_refuses_in_one_line(tmp_path) -> None:
    source, target = tmp_path / "evil.pt", tmp_path / "converted"
    source.write_bytes(hostile(Call("os.system", ("touch hacked",))))
    done = run_command(f"--input={source}", f"--output={target}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: evil.pt: the pickle asks for os.system, which no checkpoint needs"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pt"]


def without(name: str) -> dict[str, Any]:
    return {"model": {key: tensor for key, tensor in GOLDEN["model"].items() if key != name}}


NAME = "encoder_A.fc_mu.bias"
REFUSED = {
    "empty": (b"", "is empty"),
    "text": (b"some text", "not a PyTorch checkpoint"),
    "truncated": (GOLDEN_FILE[:-1000], "damaged zip"),
    "getattr": (hostile(Call("builtins.getattr", ("a", "b"))), "asks for builtins.getattr"),
    "eval": (hostile(Call("builtins.eval", ("1",))), "asks for builtins.eval"),
    "missing": (save(without(NAME)), f"bad.pt: does not fit; missing: {NAME}"),
    "shape": (
        save({"model": GOLDEN["model"] | {NAME: np.zeros(8, np.float32)}}),
        r"wrong shape: encoder_A.fc_mu.bias \(8,\) instead of \(16,\)",
    ),
    "nan": (
        save({"model": GOLDEN["model"] | {NAME: np.full(16, np.nan, np.float32)}}),
        f"not finite: {NAME}",
    ),
    "traversal": (save(without(NAME), more={"../../x": b""}), "leaves the archive's folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_nothing_behind(case: str, tmp_path) -> None:
    data, reason = REFUSED[case]
    source, target = tmp_path / "bad.pt", tmp_path / "folder" / "converted"
    source.write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        convert(source, target)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pt"]


def test_wrong_requests_are_refused(tmp_path) -> None:
    source = tmp_path / "golden.pt"
    source.write_bytes(GOLDEN_FILE)
    with pytest.raises(UserError, match="exists already"):
        convert(source, tmp_path)
    with pytest.raises(UserError, match="none of auto, v5_5, v5_11, v5_12"):
        convert(source, tmp_path / "x", kind="v7")
    with pytest.raises(UserError, match="looks like v5_5, not v5_11"):
        convert(source, tmp_path / "x", kind="v5_11")
    with pytest.raises(UserError, match="leave out the other flags"):
        convert(tmp_path, tmp_path / "x.pt", to_torch=True, verify=True)
    with pytest.raises(UserError, match=r"params is missing"):
        convert(tmp_path, tmp_path / "x.pt", to_torch=True)
    with pytest.raises(UserError, match=r"output .*: File exists"):
        convert(source, source / "x")
    with pytest.raises(UserError, match="--input and --output"):
        convert(None, tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["golden.pt"]


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    found = import_checkpoint(read_torch_file(GOLDEN_FILE), include_optimizer=True)
    save_params = parameters.save_params

    def fails_at_the_optimizer(folder: pathlib.Path, *rest: Any) -> None:
        if folder.name == folders.OPTIMIZER_FOLDER:
            raise KeyboardInterrupt
        save_params(folder, *rest)

    monkeypatch.setattr(parameters, "save_params", fails_at_the_optimizer)
    with pytest.raises(KeyboardInterrupt):
        folders.write_folder(tmp_path / "converted", found)
    assert not list(tmp_path.iterdir())


def test_a_folder_gives_the_file_back_to_the_bit(tmp_path) -> None:
    found = import_checkpoint(GOLDEN, include_optimizer=True)
    folders.write_folder(tmp_path / "converted", found)
    again = folders.read_folder(tmp_path / "converted")
    assert again.metadata.pop("sha256")
    assert again.metadata == json.loads(json.dumps(found.metadata))
    back = export_checkpoint(again.params, again.metadata, again.moments)
    assert same(dict(back["model"]), GOLDEN["model"])
    for index, entry in GOLDEN["optimizer"]["state"].items():
        for name, tensor in entry.items():
            np.testing.assert_array_equal(back["optimizer"]["state"][index][name], tensor)


def test_a_foreign_folder_is_not_exported(tmp_path) -> None:
    parameters.save_params(tmp_path / "native", {"w": np.zeros(2)}, {"config": {}})
    with pytest.raises(UserError, match="does not name its PyTorch model"):
        folders.folder_to_torch(tmp_path / "native", tmp_path / "x.pt")
    found = import_checkpoint(GOLDEN)
    del found.params["decoder_b"]["input"]["bias"]
    with pytest.raises(UserError, match="parameters lack decoder_b/input/bias"):
        export_checkpoint(found.params, found.metadata, None)
    found.params["decoder_b"]["input"]["bias"] = np.zeros(7)
    with pytest.raises(UserError, match="decoder_b/input/bias has shape"):
        export_checkpoint(found.params, found.metadata, None)


def test_to_torch_without_torch_says_what_to_install(tmp_path, monkeypatch) -> None:
    found = import_checkpoint(GOLDEN)
    folders.write_folder(tmp_path / "converted", found)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install 'tvae\[torch\]'"):
        convert(tmp_path / "converted", tmp_path / "back" / "x.pt", to_torch=True)
    assert not list((tmp_path / "back").iterdir())


# Section 13.3 and 13.4 of the specification: what the original measures on its own checkpoints.
MEASURED = {
    "best": {
        "eval/coverage_mu_a": 0.067012,
        "eval/coverage_mu_b": 0.989077,
        "eval/coverage_coupled_a": 1.0,
        "eval/coverage_coupled_b": 0.990144,
    },
    "latest": {
        "eval/coverage_mu_a": 1.0,
        "eval/coverage_mu_b": 1.0,
        "eval/coverage_coupled_a": 1.0,
        "eval/coverage_coupled_b": 1.0,
    },
}


@pytest.mark.parametrize("name", MEASURED)
def test_verify_finds_what_the_original_found(reference, name: str) -> None:
    found = import_checkpoint(read_torch_file(reference / "v5_5" / f"{name}.pt"))
    measured = verification.measure(found)
    for metric, value in MEASURED[name].items():
        # One operation of 19,683 may fall on the other side of a margin of 1e-6.
        assert measured[metric] == pytest.approx(value, abs=2 / 19683)
    said = verification.recorded(found.metadata)
    for vae in ("a", "b"):
        metric = f"eval/prior_coverage_195k_{vae}"
        assert measured[metric] == pytest.approx(said[metric], abs=0.005)
    assert measured["eval/rho"] == pytest.approx(said["eval/rho"])


def test_verify_finds_what_the_production_file_records(reference, tmp_path, capsys) -> None:
    source = reference / "v5_12" / "published_path_ep20.pt"
    convert(source, tmp_path / "converted", verify=True)
    table = {row.split()[0]: row.split()[1:] for row in capsys.readouterr().out.splitlines()[:-1]}
    assert table["metric"] == ["recomputed", "recorded"]
    assert table["eval/coverage_mu_a"] == ["1", "1"]
    # Standard deviations of the sampled values: section 8 of the specification.
    for metric, tolerance in (
        ("hierarchy_sampled_a", 0.012),
        ("hierarchy_sampled_b", 0.001),
        ("richness_sampled_a", 0.006),
        ("richness_sampled_b", 0.0002),
    ):
        recomputed, said = map(float, table[f"eval/{metric}"])
        assert recomputed == pytest.approx(said, abs=tolerance)
    assert float(table["eval/hierarchy_a"][0]) == pytest.approx(-0.7035, abs=1e-4)
    assert float(table["eval/hierarchy_b"][0]) == pytest.approx(-0.8181, abs=1e-4)
    # Half of the richness that the original published is the noise of one sample.
    assert float(table["eval/richness_sampled_a"][1]) > 0.025
    assert float(table["eval/richness_a"][0]) < 0.0135


def test_verify_measures_the_coupled_pass_only_with_its_rho() -> None:
    found = import_checkpoint({"model": GOLDEN["model"]})
    measured = verification.measure(found)
    assert "eval/coverage_mu_a" in measured
    assert "eval/coverage_coupled_a" not in measured
    # The reference system's split of the operations is not ours.
    assert not [name for name in measured if name.endswith(("_train_a", "_val_a", "_test_a"))]
    with pytest.raises(UserError, match="rho in the checkpoint"):
        verification.measure(import_checkpoint({"model": GOLDEN["model"], "rho": "high"}))


def test_verify_measures_files_that_record_nothing() -> None:
    slots = names.projected_vae(16, **PUBLISHED | {"dual_projection": False})
    found = import_checkpoint({"model_state": weights(slots)})
    measured = verification.measure(found)
    assert verification.recorded(found.metadata) == {}
    assert all(np.isfinite(list(measured.values())))
    assert " -" in verification.comparison_table(measured, {})


def test_adopted_moments_give_adams_next_step() -> None:
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5]]), "c": jnp.ones(1)}
    labels = {"a": "vae", "b": "vae", "c": optim.FROZEN}
    settings = loop.optimizer_settings(toy_task.make_config())
    hparams = {"optimizer.weight_decay": jnp.float32(0.01)}
    tx = optim.make_optimizer(labels, {"vae": 1.0}, set(), settings, hparams)
    moments = {
        "exp_avg": {"a": np.array([0.1, 0.2]), "b": np.array([[0.3]]), "c": np.zeros(1)},
        "exp_avg_sq": {"a": np.array([0.01, 0.04]), "b": np.array([[0.1]]), "c": np.zeros(1)},
    }
    state = adopt_moments(tx.init(params), moments, labels, updates=9)
    grads = {"a": jnp.array([0.3, -0.1]), "b": jnp.array([[0.2]]), "c": jnp.ones(1)}
    updates, _ = tx.update(grads, state, params, learning_rate=jnp.float32(0.1))
    after = optax.apply_updates(params, updates)
    for name in ("a", "b"):
        g, p = np.asarray(grads[name], np.float64), np.asarray(params[name], np.float64)
        m = 0.9 * moments["exp_avg"][name] + 0.1 * g
        v = 0.999 * moments["exp_avg_sq"][name] + 0.001 * g**2
        direction = (m / (1 - 0.9**10)) / (np.sqrt(v / (1 - 0.999**10)) + 1e-8)
        np.testing.assert_allclose(after[name], p - 0.1 * (direction + 0.01 * p), rtol=1e-5)
    np.testing.assert_array_equal(after["c"], params["c"])


def test_training_goes_on_from_v5_5s_own_checkpoint(reference) -> None:
    found = import_checkpoint(
        read_torch_file(reference / "v5_5" / "latest.pt"), include_optimizer=True
    )
    config = config_lib.default()
    engine = bound_engine(config)
    task, hparams, fresh = engine.task, engine.hparams, engine.shapes()
    state = continue_dual_vae(found, fresh, task)
    alike = jax.tree.map(lambda x, y: (x.shape, x.dtype) == (y.shape, y.dtype), state, fresh)
    assert jax.tree.all(alike)
    assert int(state.step) == 106 * 247
    # The original's validation loss after this epoch, on another random tenth of the operations.
    loss = jax.jit(task.validation)(state.params, state.aux, hparams)["val/loss"]
    assert float(loss) == pytest.approx(4.6812, rel=0.01)
    begun = task.begin_epoch(state.aux, jnp.int32(106), hparams)
    assert float(begun.rho) == pytest.approx(0.1 + (106 - 40) / 80 * 0.2)
    adam = state.opt_state.inner_states["vae_b"].inner_state[0]
    _, unravel = ravel_pytree({part: state.params[part] for part in ("decoder_b", "encoder_b")})
    kernel = unravel(adam.mu)["decoder_b"]["logits"]
    first = read_torch_file(reference / "v5_5" / "latest.pt")["optimizer"]["state"][36]["exp_avg"]
    np.testing.assert_array_equal(kernel["kernel"], first.T)
    without_optimizer = found._replace(moments=None)
    with pytest.raises(UserError, match="training goes on only from"):
        continue_dual_vae(without_optimizer, fresh, task)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epoch", 2**100), ("rho", float("nan")), ("lambda1", "much"), ("phase", None)],
)
def test_an_implausible_state_does_not_go_on(name: str, value: Any) -> None:
    found = import_checkpoint(GOLDEN, include_optimizer=True)
    found.metadata["state"] |= {"lambda1": 0.7, "lambda2": 0.7, "grad_ema_momentum": 0.9}
    found.metadata["state"][name] = value
    with pytest.raises(UserError, match="training goes on only from"):
        continue_dual_vae(found, None, None)


def test_the_command_goes_on_from_a_converted_checkpoint(reference, command, tmp_path) -> None:
    """Two epochs more than the original's last: loss and dynamics go on where they stopped."""
    source, workdir = tmp_path / "converted", tmp_path / "run"
    found = import_checkpoint(
        read_torch_file(reference / "v5_5" / "latest.pt"), include_optimizer=True
    )
    folders.write_folder(source, found)
    # Fewer epochs would be another schedule: stop by patience, after one evaluation to compare to.
    flags = ["--config=configs/v5_5.py", "--config.evaluation.prior_draws=0"]
    flags += ["--config.early_stop.patience_epochs=1", "--config.early_stop.min_delta=1e9"]
    process = command("main", *flags, f"--workdir={workdir}", f"--start_from={source}")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [106, 107]
    # The original's training loss in its last epoch was 5.2732, its KL of B 10.7.
    assert rows[0]["train/loss"] == pytest.approx(5.2732, rel=0.05)
    assert rows[0]["train/kl_b"] == pytest.approx(10.7, rel=0.05)


def test_going_on_from_what_does_not_fit_is_one_line(command, tmp_path) -> None:
    stopped = import_checkpoint(
        {key: value for key, value in GOLDEN.items() if key != "phase"}, include_optimizer=True
    )
    folders.write_folder(tmp_path / "stopped", stopped)
    cases = {"absent": "no such folder", "stopped": "training goes on only from"}
    for name, expected in cases.items():
        flags = [f"--workdir={tmp_path / 'run'}{name}", f"--start_from={tmp_path / name}"]
        process = command("main", "--config=configs/v5_5.py", *flags)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 2
        assert expected in err
        assert "Traceback" not in err
