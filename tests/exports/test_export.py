"""Exports: the same numbers without the library, files that others read, whole or not at all."""

import hashlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import safetensors.numpy
from flax.traverse_util import flatten_dict

import tvae
from tests.conftest import REPOSITORY
from tests.support.small_models import write_untrained
from tvae.errors import UserError
from tvae.exports import folder, programs, tables
from tvae.geometry import padic, poincare


@pytest.fixture(scope="module")
def model():
    """The model that is exported."""
    return tvae.load(REPOSITORY / "checkpoints" / "v6")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The exported folder, written over an empty one."""
    target = tmp_path_factory.mktemp("out") / "exported"
    target.mkdir()
    folder.export_model(model, target)
    return target


def program(exported, name):
    content = (exported / "programs" / f"{name}.jax_export").read_bytes()
    return jax.export.deserialize(bytearray(content))


@pytest.mark.parametrize("n", [1, 7, 19_683])
def test_programs_give_the_models_logits(model, exported, n):
    index = jnp.arange(n, dtype=jnp.int32)
    digits = padic.values(index).astype(jnp.int8)
    points = program(exported, "embed_a").call(digits)
    np.testing.assert_allclose(points, model.embed(index), atol=1e-6)
    logits = program(exported, "decode_a").call(points)
    np.testing.assert_allclose(logits, model.decode(model.embed(index)), atol=1e-6)
    posterior = program(exported, "encode").call(digits)
    assert set(posterior) == {"mu_a", "logvar_a"}
    np.testing.assert_allclose(posterior["mu_a"], model.encode(index).mu_a, atol=1e-6)
    assert program(exported, "decode_a").platforms == ("cpu", "cuda", "tpu")


STANDALONE = """
import re, runpy, sys
sys.modules["tvae"] = None                       # importing it would fail
code = re.search(r"```python\\n(.*?)```", open("README.md").read(), re.DOTALL).group(1)
exec(code)
assert outputs.shape == (1, 9, 3) and index == 5
sys.argv = ["run_exported.py", *sys.argv[1:]]
runpy.run_path("run_exported.py", run_name="__main__")
"""


def run_alone(exported, *arguments):
    return subprocess.run(
        [sys.executable, "-I", "-c", STANDALONE, *arguments],
        cwd=exported,
        capture_output=True,
        text=True,
        check=False,
    )


def test_readme_and_script_run_without_the_library(exported):
    done = run_alone(exported)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["ok"]
    assert max(summary["largest_difference"].values()) < 1e-6
    assert summary["decoded_exactly"] == {"decode_a": 1.0}


def test_the_script_reconstructs_and_refuses_damage(exported, tmp_path):
    done = run_alone(exported, "--index", "5", "19682")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["item"] for row in rows] == [[1, 0, *[-1] * 7], [1] * 9]
    assert all(row["exact"] and row["decoded"] == row["item"] for row in rows)
    (tmp_path / "items.json").write_text(json.dumps([[2] * 9]))
    done = run_alone(exported, "--items", str(tmp_path / "items.json"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--items: expected a list of items of shape [9]" in done.stderr
    script = (exported / "run_exported.py").read_text()
    (tmp_path / "run_exported.py").write_text(script)
    (tmp_path / "manifest.json").write_text((exported / "manifest.json").read_text())
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "inputs.jax_export").write_bytes(b"rot")
    done = subprocess.run(
        [sys.executable, "-I", "run_exported.py", "--index", "5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("its content does not match its digest")


def test_all_tables_hold_the_same(model, exported):
    with np.load(exported / "tables" / "operations.npz", allow_pickle=False) as file:
        arrays = dict(file)
    index = jnp.arange(padic.count())
    np.testing.assert_array_equal(arrays["index"], index)
    np.testing.assert_array_equal(arrays["digits"], padic.values(index))
    np.testing.assert_array_equal(arrays["valuation"], padic.valuation(index))
    np.testing.assert_array_equal(arrays["points_a"], model.embed(index))
    radius = poincare.hyperbolic_radius(model.embed(index), c=model.curvature())
    np.testing.assert_allclose(arrays["radius_a"], radius, rtol=1e-6)
    parquet = pyarrow.parquet.read_table(exported / "tables" / "operations.parquet")
    text = pyarrow.csv.read_csv(exported / "tables" / "operations.csv")
    expected = tables.flat(arrays)
    assert parquet.column_names == text.column_names == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(parquet[name].to_numpy(), column)
        read_back = text[name].to_numpy().astype(column.dtype)
        np.testing.assert_array_equal(read_back, column)


def test_projector_files_are_as_tensorboard_reads_them(model, exported):
    place = exported / "projector"
    tensors = np.loadtxt(place / "tensors.tsv", delimiter="\t", dtype=np.float32)
    np.testing.assert_array_equal(tensors, model.embed(jnp.arange(padic.count())))
    rows = [line.split("\t") for line in (place / "metadata.tsv").read_text().splitlines()]
    assert rows[0] == ["index", "valuation", "radius_a", "label"]
    assert len(rows) == padic.count() + 1
    assert [rows[6][0], rows[6][1], rows[6][3]] == ["5", "0", "+0-------"]
    config = (place / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "tensors.tsv"' in config
    assert 'metadata_path: "metadata.tsv"' in config


def test_weights_come_back_bit_for_bit(model, exported):
    found = safetensors.numpy.load_file(exported / "weights" / "params.safetensors")
    expected = flatten_dict(jax.device_get(model.params), sep="/")
    assert set(found) == set(expected)
    for name, leaf in expected.items():
        assert found[name].dtype == leaf.dtype
        assert found[name].tobytes() == np.ascontiguousarray(leaf).tobytes()


def test_the_manifest_lists_every_file(model, exported):
    manifest = json.loads((exported / "manifest.json").read_text())
    files = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    assert files == {*manifest["files"], "manifest.json"}
    for path, digest in manifest["files"].items():
        assert hashlib.sha256((exported / path).read_bytes()).hexdigest() == digest
    assert manifest["programs"]["decode_a"]["takes"] == "ball"
    assert manifest["parameters_sha256"] == model.card["sha256"]
    assert str(REPOSITORY) not in (exported / "manifest.json").read_text()


def test_a_folder_with_content_is_refused_and_failure_leaves_nothing(
    model, exported, tmp_path, monkeypatch
):
    with pytest.raises(UserError, match="expected no such folder, or an empty one"):
        folder.export_model(model, exported)

    def fail(*_):
        raise UserError("no space")

    monkeypatch.setattr(programs, "write_programs", fail)
    with pytest.raises(UserError, match="no space"):
        folder.export_model(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"export needs pyarrow: pip install 'tvae\[export\]'"):
        folder.export_model(model, tmp_path / "out")


def test_the_command_exports_a_model_without_a_ball(command, tmp_path):
    small = write_untrained(tmp_path / "small")
    process = command("export", f"--checkpoint={small}", f"--output={tmp_path / 'out'}")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "programs encode, decode_a, decode_b, inputs, read ->" in out
    model = tvae.load(small)
    digits = padic.values(jnp.arange(5), n_digits=5).astype(jnp.int8)
    latents = program(tmp_path / "out", "encode").call(digits)
    logits = program(tmp_path / "out", "decode_b").call(latents["mu_b"])
    expected = model.decode(model.encode(index=jnp.arange(5)).mu_b, "b")
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    with np.load(tmp_path / "out" / "tables" / "operations.npz", allow_pickle=False) as file:
        norm = np.linalg.norm(file["latents_b"], axis=-1)
        np.testing.assert_allclose(file["norm_b"], norm, rtol=1e-6)
    assert (tmp_path / "out" / "projector" / "tensors_b.tsv").exists()


def test_a_missing_flag_is_one_line(command):
    process = command("export", "--checkpoint=x")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (2, "")
    assert err == "error: --checkpoint and --output are needed\n"
