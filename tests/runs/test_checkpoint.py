"""Checkpoints: what is kept, what is refused, and that saving is no obstacle to training."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tvae.errors import UserError
from tvae.runs import archive, checkpoint, files, parameters

STATE = {"w": np.arange(600, dtype=np.float32).reshape(20, 30), "n": np.array(3, np.int32)}


@pytest.fixture
def store(tmp_path):
    run = checkpoint.RunCheckpoints(tmp_path / "checkpoints")
    yield run
    run.close()


def files_of(folder):
    """Files whose damage must show: not Orbax's empty markers of success."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size > 0)


def test_latest_and_best_are_kept_and_restored(store):
    for step, score in [(1, 0.0), (2, 5.0), (3, 1.0), (4, 2.0)]:
        store.save(step, STATE | {"n": np.array(step, np.int32)}, {"epoch": step}, score=score)
    store.wait()
    assert sorted(int(p.name) for p in store.folder.iterdir()) == [2, 4]
    state, progress = store.restore(4, STATE)
    np.testing.assert_array_equal(state["w"], STATE["w"])
    assert (state["n"], progress) == (4, {"epoch": 4})


def test_the_best_survives_a_restart(store):
    store.save(1, STATE, {}, score=9.0)
    store.close()
    again = checkpoint.RunCheckpoints(store.folder)
    for step in (2, 3):
        again.save(step, STATE, {}, score=1.0)
    again.close()
    assert sorted(int(p.name) for p in store.folder.iterdir()) == [1, 3]


def test_a_part_is_read_whatever_the_rest_is(store):
    store.save(1, STATE, {"epoch": 1}, score=0.0)
    with pytest.raises(UserError, match="n is int32"):
        store.restore_newest({"w": STATE["w"]})
    part, progress = store.restore_newest({"w": STATE["w"]}, part=True)
    assert (list(part), progress) == (["w"], {"epoch": 1})
    np.testing.assert_array_equal(part["w"], STATE["w"])
    with pytest.raises(UserError, match="v is absent"):
        store.restore_newest({"v": STATE["w"]}, part=True)


def test_a_saved_step_is_not_written_twice(store):
    store.save(1, STATE, {"epoch": 1}, score=0.0)
    store.save(1, STATE, {"epoch": 2}, score=0.0)
    assert store.restore(1, STATE)[1] == {"epoch": 1}


def test_another_shape_or_dtype_is_refused(store):
    store.save(1, STATE, {}, score=0.0)
    for other in (np.zeros((30, 20), np.float32), np.zeros((20, 30), np.float16)):
        with pytest.raises(UserError, match="checkpoint"):
            store.restore(1, STATE | {"w": other})


def test_what_is_written_is_the_state_when_it_was_saved(store, monkeypatch):
    """Training goes on meanwhile, in the same memory: each step donates its state to the next."""
    given = []
    save = ocp.CheckpointManager.save
    monkeypatch.setattr(
        ocp.CheckpointManager,
        "save",
        lambda self, step, args: given.append(args) or save(self, step, args=args),
    )
    advance = jax.jit(lambda state: {"x": state["x"] * 1.01 + 1.0}, donate_argnums=0)
    state = {"x": jnp.arange(100_000, dtype=jnp.float32)}
    address = state["x"].unsafe_buffer_pointer()
    store.save(1, state, {}, score=0.0)
    expected = np.arange(100_000, dtype=np.float32)
    for _ in range(50):
        state = advance(state)
    assert state["x"].unsafe_buffer_pointer() == address  # else this would show nothing
    np.testing.assert_array_equal(given[0][archive.ARRAYS].item["x"], expected)
    np.testing.assert_array_equal(store.restore(1, {"x": expected})[0]["x"], expected)


def test_an_unevaluated_state_is_never_the_best(store):
    store.save(1, STATE, {}, score=-3.0)
    store.save(2, STATE, {}, score=None)
    store.wait()
    assert sorted(int(path.name) for path in store.folder.iterdir()) == [1, 2]


def test_parameters_round_trip_with_their_metadata(tmp_path):
    parameters.save_params(tmp_path / "p", STATE, {"note": "x"})
    params, metadata = parameters.load_params(tmp_path / "p")
    np.testing.assert_array_equal(params["w"], STATE["w"])
    assert metadata["note"] == "x"
    # What is shipped must not name the folder of the machine that made it.
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in files_of(tmp_path))
    with pytest.raises(UserError, match="exists already"):
        parameters.save_params(tmp_path / "p", STATE, {})


def test_missing_and_damaged_parameters_are_refused(tmp_path):
    with pytest.raises(UserError, match="params is missing"):
        parameters.load_params(tmp_path)
    parameters.save_params(tmp_path / "p", STATE, {})
    metadata = tmp_path / "p" / files.METADATA_FILE
    metadata.write_text(metadata.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(UserError, match="does not match its digest"):
        parameters.load_params(tmp_path / "p")
    metadata.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        parameters.load_params(tmp_path / "p")


def test_the_digest_covers_the_metadata(tmp_path):
    card = {"config": {"scale": 3.0, "widths": (1, 2)}, "metrics": {"eval/x": float("nan")}}
    parameters.save_params(tmp_path / "p", STATE, card | {"sha256": "of an older folder"})
    metadata = tmp_path / "p" / files.METADATA_FILE
    text = metadata.read_text()
    # Another layout of the same JSON is no change.
    metadata.write_text(json.dumps(json.loads(text)))
    _, found = parameters.load_params(tmp_path / "p")
    assert found["config"] == {"scale": 3.0, "widths": [1, 2]}
    for old, new in (("3.0", "3.5"), ("eval/x", "eval/y"), ('"metrics"', '"more": 1, "metrics"')):
        metadata.write_text(text.replace(old, new))
        with pytest.raises(UserError, match="does not match its digest"):
            parameters.load_params(tmp_path / "p")
    # Version 0.1 sealed the parameters alone.
    metadata.write_text(json.dumps(card | {"sha256": archive.digest(STATE)}))
    assert parameters.load_params(tmp_path / "p")[1]["config"]["scale"] == 3.0


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="output "):
        parameters.save_params(tmp_path / "file" / "p", STATE, {})
