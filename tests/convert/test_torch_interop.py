"""Against PyTorch itself, where it is installed: both directions, to the bit."""

import pathlib

import numpy as np
import pytest

from tests.support.torch_files import same
from tvae.convert import folders
from tvae.convert.exporter import export_checkpoint, write_torch_file
from tvae.convert.importer import import_checkpoint
from tvae.convert.torch_file import read_torch_file
from tvae.errors import UserError

torch = pytest.importorskip("torch", reason="needs PyTorch, the optional extra 'torch'")

FILES = ["v5_5/best", "v5_5/latest", "v5_12/published_path_ep20", "v5_12/improved_ep99"]
DTYPES = [
    *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64"),
    *("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool"),
]


def bits(tensor) -> bytes:
    """Raw bytes of a tensor in its logical order."""
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist())


@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_what_torch_saves(dtype: str, tmp_path: pathlib.Path) -> None:
    base = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1]]).to(getattr(torch, dtype))
    views = {
        "whole": base,
        "transposed": base.T,
        "strided": base[1:, ::2],
        "scalar": base[2, 3],
        "empty": base[:0],
        "expanded": base[:1].expand(5, 4),
        "parameter": torch.nn.Parameter(base.clone(), requires_grad=False),
    }
    path = tmp_path / "some name.pt"
    torch.save({"views": views, "shape": base.shape, "dtype": base.dtype}, path)
    found = read_torch_file(path)
    assert found["shape"] == (3, 4)
    assert found["dtype"] == f"torch.{dtype}"
    for name, view in views.items():
        assert found["views"][name].shape == tuple(view.shape)
        assert found["views"][name].dtype.name == dtype
        assert found["views"][name].tobytes() == bits(view)


def test_refuses_what_torch_saves_otherwise(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"w": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"before version 1\.6"):
        read_torch_file(path)
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UserError, match=r"asks for torch\.nn\.modules\.linear\.Linear"):
        read_torch_file(path)
    torch.save({"w": torch.zeros(3, 3).to_sparse()}, path)
    with pytest.raises(UserError, match=r"_rebuild_sparse_tensor"):
        read_torch_file(path)


@pytest.mark.parametrize("file", FILES)
def test_real_files_read_as_torch_reads_them(reference, file: str) -> None:
    path = reference / f"{file}.pt"
    ours = read_torch_file(path)
    theirs = torch.load(path, weights_only=False)
    key = "model" if "model" in theirs else "model_state_dict"
    assert list(ours[key]) == list(theirs[key])
    for name, tensor in theirs[key].items():
        assert ours[key][name].tobytes() == bits(tensor)
    rest = {k: v for k, v in theirs.items() if k not in (key, "optimizer", "optimizer_state")}
    assert same({k: ours[k] for k in rest}, rest)


@pytest.mark.parametrize("file", FILES)
def test_round_trip_is_bit_exact(reference, file: str, tmp_path: pathlib.Path) -> None:
    original = read_torch_file(reference / f"{file}.pt")
    found = import_checkpoint(original, include_optimizer="improved" not in file)
    path = tmp_path / "back.pt"
    payload = export_checkpoint(found.params, found.metadata, found.moments)
    write_torch_file(path, payload, found.metadata["source"]["dtypes"])
    loaded = torch.load(path, weights_only=True)
    key = found.metadata["source"]["payload_key"]
    assert list(loaded[key]) == list(original[key])
    for name, tensor in loaded[key].items():
        assert tuple(tensor.shape) == original[key][name].shape
        assert bits(tensor) == original[key][name].tobytes()
    again = read_torch_file(path)
    optimizer_key = found.metadata["source"]["optimizer_key"]
    if optimizer_key:
        assert same(again[optimizer_key]["state"], original[optimizer_key]["state"])
    with pytest.raises(UserError, match="exists already"):
        write_torch_file(path, payload, {})


def test_types_come_back(tmp_path: pathlib.Path, reference) -> None:
    payload = read_torch_file(reference / "v5_5" / "best.pt")
    wanted = {"encoder_A.fc_mu.bias": "bfloat16", "encoder_B.fc_mu.bias": "float64"}
    for name, dtype in wanted.items():
        tensor = torch.from_numpy(payload["model"][name]).to(getattr(torch, dtype))
        payload["model"][name] = tensor
    path = tmp_path / "mixed.pt"
    torch.save({"model": {n: torch.as_tensor(t) for n, t in payload["model"].items()}}, path)
    mixed = read_torch_file(path)
    found = import_checkpoint(mixed)
    back = tmp_path / "back.pt"
    exported = export_checkpoint(found.params, found.metadata, None)
    write_torch_file(back, exported, found.metadata["source"]["dtypes"])
    assert same(read_torch_file(back), mixed)


def test_torch_loads_the_originals_optimizer(reference, tmp_path: pathlib.Path) -> None:
    found = import_checkpoint(
        read_torch_file(reference / "v5_5" / "latest.pt"), include_optimizer=True
    )
    path = tmp_path / "back.pt"
    payload = export_checkpoint(found.params, found.metadata, found.moments)
    write_torch_file(path, payload, {})
    loaded = torch.load(path, weights_only=True)
    names = [name for name in loaded["model"] if not name.startswith("grad_norm")]
    parameters = [torch.nn.Parameter(loaded["model"][name].clone()) for name in names]
    optimizer = torch.optim.AdamW(parameters)
    optimizer.load_state_dict(loaded["optimizer"])
    moment = optimizer.state[parameters[0]]["exp_avg"].numpy()
    np.testing.assert_array_equal(
        moment, found.moments["exp_avg"]["encoder_a"]["hidden_0"]["kernel"].T
    )


@pytest.mark.parametrize("file", FILES)
def test_the_doors_way_there_and_back(reference, file: str, tmp_path: pathlib.Path) -> None:
    original = read_torch_file(reference / f"{file}.pt")
    found = import_checkpoint(original, include_optimizer="improved" not in file)
    folders.write_folder(tmp_path / "converted", found)
    folders.folder_to_torch(tmp_path / "converted", tmp_path / "back.pt")
    loaded = torch.load(tmp_path / "back.pt", weights_only=True)
    key = found.metadata["source"]["payload_key"]
    assert set(loaded) == set(original)
    assert same(read_torch_file(tmp_path / "back.pt")[key], original[key])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.pt", "converted"]
    with pytest.raises(UserError, match="exists already"):
        folders.folder_to_torch(tmp_path / "converted", tmp_path / "back.pt")
