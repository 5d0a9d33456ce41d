"""The reader of PyTorch files: what it reads to the bit, and what it refuses."""

import builtins
import os
import re
import struct
import subprocess
import sys
import time
import zipfile

import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

from tests.support import torch_files
from tests.support.torch_files import Call, Raw, Tensor, archive, hostile, pickle, same, save
from tvae.convert.torch_file import read_torch_file
from tvae.errors import UserError

STORAGES = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "ComplexDouble": np.complex128,
    "ComplexFloat": np.complex64,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}
UNTYPED = ["float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64", "bfloat16"]
FLOATS = np.arange(12, dtype=np.float32)


def in_order(array: np.ndarray, byteorder: str) -> bytes:
    """Bytes of an array as a machine of that byte order stores them."""
    if byteorder == sys.byteorder:
        return array.tobytes()
    word = array.itemsize // (2 if array.dtype.kind == "c" else 1)
    return array.view(f"u{word}").byteswap().tobytes()


def read(value: object, storages: dict[str, bytes] | None = None, **options: object) -> object:
    return read_torch_file(archive(pickle(value), storages, **options))


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("storage", STORAGES)
def test_reads_every_storage_type(storage: str, byteorder: str) -> None:
    expected = np.array([[0, 1, 1], [1, 0, 1]]).astype(STORAGES[storage])
    tensor = Tensor("0", 6, (2, 3), (3, 1), storage=f"torch.{storage}Storage")
    found = read(tensor, {"0": in_order(expected, byteorder)}, byteorder=byteorder)
    assert same(found, expected)


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("dtype", UNTYPED)
def test_reads_tensors_over_untyped_storage(dtype: str, byteorder: str) -> None:
    expected = np.array([1, 2, 3]).astype(np.dtype(dtype))
    kind = Raw(torch_files.name("torch.storage.UntypedStorage"))
    persistent = ("storage", kind, "0", "cpu", expected.nbytes)
    storage = Raw(torch_files.assemble(persistent) + b"Q")
    hooks = Call("collections.OrderedDict", ())
    arguments = (storage, 0, (3,), (1,), False, hooks, Raw(torch_files.name(f"torch.{dtype}")))
    tensor = Call("torch._utils._rebuild_tensor_v3", arguments)
    found = read(tensor, {"0": in_order(expected, byteorder)}, byteorder=byteorder)
    assert same(found, expected)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (Tensor("0", 12, (3, 4), (4, 1)), FLOATS.reshape(3, 4)),
        (Tensor("0", 12, (4, 3), (1, 4)), FLOATS.reshape(3, 4).T),
        (Tensor("0", 12, (2, 2), (4, 2), offset=5), FLOATS[[[5, 7], [9, 11]]]),
        (Tensor("0", 12, (3, 5), (1, 0)), FLOATS[:3, None].repeat(5, 1)),
        (Tensor("0", 12, (), (), offset=7), FLOATS[7].reshape(())),
        (Tensor("0", 12, (2, 0, 3), (9, 9, 9)), np.empty((2, 0, 3), np.float32)),
        (Tensor("0", 12, (1, 12), (2**62, 1)), FLOATS[None]),
    ],
    ids=["plain", "transposed", "strided", "expanded", "scalar", "empty", "idle stride"],
)
def test_reads_views(tensor: Tensor, expected: np.ndarray) -> None:
    found = read(tensor, {"0": FLOATS.tobytes()})
    assert same(found, np.array(expected, order="C"))
    assert found.flags.c_contiguous
    assert found.flags.writeable


def test_tensors_of_one_storage_do_not_share_memory() -> None:
    tensor = Tensor("0", 12, (12,), (1,))
    x, y = read((tensor, tensor), {"0": FLOATS.tobytes()})
    x[0] = -1.0
    assert y[0] == 0.0


def test_reads_plain_values_and_numpy_scalars() -> None:
    double = struct.pack("<d", 0.1).decode("latin1")
    kind = Raw(
        torch_files.assemble(Call("numpy.dtype", ("f8", False, True)))
        + torch_files.assemble((3, "<", None, None, None, -1, -1, 0))
        + b"b"
    )
    scalar = Call(
        "numpy._core.multiarray.scalar", (kind, Call("_codecs.encode", (double, "latin1")))
    )
    ordered = Raw(torch_files.assemble(Call("collections.OrderedDict", ([["a", 1]],))) + b"}b")
    value = {
        "epoch": 5,
        "big": -(2**70),
        "loss": float("nan"),
        "history": [1.5, -2.0],
        "betas": (0.9, 0.999),
        "flag": True,
        "none": None,
        3: "integer key",
        "scalar": scalar,
        "ordered": ordered,
        "set": Call("__builtin__.set", ([1, 2],)),
        "size": Call("torch.Size", ((2, 3),)),
        "device": Call("torch.device", ("cuda", 1)),
        "dtype": Raw(torch_files.name("torch.float32")),
    }
    expected = value | {
        "scalar": np.float64(0.1),
        "ordered": {"a": 1},
        "set": {1, 2},
        "size": (2, 3),
        "device": "cuda:1",
        "dtype": "torch.float32",
    }
    assert same(read(value), expected)


def test_reads_newer_protocols() -> None:
    import pickle as reference_pickle

    value = {"a": [1, 2.5, "x", b"raw", None, (True, {"b"})], "n": 2**40, "f": frozenset({1})}
    for protocol in range(2, reference_pickle.HIGHEST_PROTOCOL + 1):
        if protocol == 2:
            value_now = {key: item for key, item in value.items() if key == "n"}
        else:
            value_now = value
        data = reference_pickle.dumps(value_now, protocol)
        assert same(read_torch_file(archive(data)), value_now)


@pytest.mark.parametrize("root", ["latest/", "a folder/of two/", "data.pkl/", ""])
def test_the_inner_folder_may_have_any_name(root: str) -> None:
    assert same(read_torch_file(save({"w": FLOATS}, root=root)), {"w": FLOATS})


def test_a_file_without_byte_order_is_little_endian() -> None:
    tensor = Tensor("0", 12, (12,), (1,))
    assert same(read(tensor, {"0": FLOATS.astype("<f4").tobytes()}, byteorder=None), FLOATS)


def test_accepts_paths_and_bytes(tmp_path) -> None:
    data = save({"w": FLOATS})
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    for source in (path, str(path), data):
        assert same(read_torch_file(source), {"w": FLOATS})


def test_deflated_entries_are_read() -> None:
    data = save({"w": FLOATS}, compression=zipfile.ZIP_DEFLATED)
    assert same(read_torch_file(data), {"w": FLOATS})


def refused(source: object, match: str, **options: object) -> None:
    with pytest.raises(UserError, match=match) as caught:
        read_torch_file(source, **options)
    assert "\n" not in str(caught.value)


def test_refuses_what_is_no_such_file(tmp_path) -> None:
    refused(b"", "is empty")
    refused(b"just some text\n", "not a PyTorch checkpoint")
    refused(tmp_path / "absent.pt", r"absent\.pt: no such file")
    refused(tmp_path, "not a regular file")
    refused(b"PK\x03\x04 and then text", "damaged zip")
    refused(archive(pickle({})).replace(b"data.pkl", b"date.pkl"), "expected one entry data.pkl")
    refused(save({"w": FLOATS}), "larger than the limit", max_bytes=100)


def test_refuses_the_format_before_1_6_by_name() -> None:
    # What torch.save(..., _use_new_zipfile_serialization=False) begins with.
    refused(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "before version 1.6")
    refused(b"\0" * 257 + b"ustar\0", "before version 1.6")


COMMAND = "touch hacked"
GETATTR = Call("builtins.getattr", (Raw(torch_files.name("os.path")), "join"))
HOSTILE = {
    "os.system": (Call("os.system", (COMMAND,)), "os.system"),
    "posix.system": (Call("posix.system", (COMMAND,)), "posix.system"),
    "eval": (Call("builtins.eval", ("open('hacked', 'w')",)), "builtins.eval"),
    "old eval": (Call("__builtin__.eval", ("open('hacked', 'w')",)), "__builtin__.eval"),
    "getattr": (GETATTR, "builtins.getattr"),
    "subprocess": (Call("subprocess.Popen", (["touch", "hacked"],)), "subprocess.Popen"),
    "model": (Call("src.models.ProjectedVAE", ()), "src.models.ProjectedVAE"),
    "numpy load": (Call("numpy.load", ("x.npy",)), "numpy.load"),
    "numpy object": (Call("numpy.dtype", ("O8", False, True)), "bad call of numpy.dtype"),
    "nested": (
        Raw(torch_files.assemble(Call("torch._utils._rebuild_parameter", (
            Call("posix.system", (COMMAND,)), False, None)))),
        "posix.system",
    ),
    "reduce of a reduce": (
        Raw(torch_files.assemble(Call("collections.OrderedDict", ())) + b")R"),
        "no function is called",
    ),
    "reduce of a type": (Call("torch.FloatStorage", ("x", "y")), "no function is called"),
    "build on a function": (
        Raw(torch_files.name("torch._utils._rebuild_tensor_v2") + b"}b"),
        "wrong type is filled",
    ),
    "stack global": (Raw(b"\x8c\x02os\x8c\x06system\x93" + b"(X\x01\0\0\0xtR"), "os.system"),
    "line break": (Raw(b"\x8c\x04o\ns2\x8c\x06system\x93"), r"o\ns2.system"),
    "escaped name": (Raw(b"cos\\\nsystem\\\0\n"), r"os\\.system\\\x00"),
    "unknown opcode": (Raw(b"\xff"), r"opcode b'\xff'"),
    "endless name": (Raw(b"cos"), "has no end"),
    "inst": (Raw(b"(X\x04\0\0\0trueios\nsystem\n"), "opcode INST"),
    "obj": (Raw(b"(" + torch_files.name("os.system") + b"o"), "os.system"),
    "new object": (Raw(torch_files.name("collections.OrderedDict") + b")\x81"), "opcode NEWOBJ"),
    "extension": (Raw(b"\x82\x01"), "opcode EXT1"),
    "persistent text": (Raw(b"P0\n"), "opcode PERSID"),
    "foreign persistent": (Raw(torch_files.assemble(("module", 1, 2, 3, 4)) + b"Q"), "no storage"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_hostile_pickles_and_runs_nothing(case: str, tmp_path, monkeypatch) -> None:
    def forbidden(*arguments: object, **options: object) -> None:
        raise AssertionError("code from the file was run")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", forbidden)
    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(builtins, "eval", forbidden)
    value, reason = HOSTILE[case]
    refused(hostile(value), re.escape(reason))
    assert not list(tmp_path.iterdir())


BROKEN_TENSORS = {
    "storage too short": (Tensor("0", 12, (13,), (1,)), "shorter than its tensor claims"),
    "offset past the end": (Tensor("0", 12, (12,), (1,), offset=1), "shorter than its tensor"),
    "strides past the end": (Tensor("0", 12, (3, 4), (5, 1)), "shorter than its tensor"),
    "claim past the entry": (Tensor("0", 13, (13,), (1,)), "holds 48 bytes instead of 52"),
    "claim of a part": (Tensor("0", 11, (11,), (1,)), "holds 48 bytes instead of 44"),
    "negative stride": (Tensor("0", 12, (12,), (-1,)), "integers from 0"),
    "negative size": (Tensor("0", 12, (-1,), (1,)), "integers from 0"),
    "negative offset": (Tensor("0", 12, (1,), (1,), offset=-1), "integers from 0"),
    "negative claim": (Tensor("0", -12, (1,), (1,)), "holds 48 bytes instead of -48"),
    "overflowing size": (Tensor("0", 12, (2**64,), (0,)), "integers from 0"),
    "overflowing product": (Tensor("0", 12, (2**62, 2**62), (0, 0)), "more memory"),
    "overflowing last": (Tensor("0", 12, (2**32, 2**32), (2**32, 1)), "shorter than its tensor"),
    "wrapping stride": (Tensor("0", 12, (5,), (2**62,)), "shorter than its tensor"),
    "expansion bomb": (Tensor("0", 12, (2**40,), (0,)), "more memory"),
    "empty and vast": (Tensor("0", 12, (0, 2**62, 2**62), (1, 1, 1)), "bad call"),
    "float size": (Tensor("0", 12, (1.0,), (1,)), "integers from 0"),
    "boolean size": (Tensor("0", 12, (True,), (1,)), "integers from 0"),
    "list size": (Tensor("0", 12, [12], [1]), "must be tuples"),
    "uneven stride": (Tensor("0", 12, (12,), (1, 1)), "must be tuples of one length"),
    "many dimensions": (Tensor("0", 12, (1,) * 65, (1,) * 65), "65 dimensions"),
    "text claim": (Tensor("0", "12", (12,), (1,)), "no integer"),
    "missing storage": (Tensor("1", 12, (12,), (1,)), "storage is missing"),
    "number as key": (Tensor(0, 12, (12,), (1,)), "storage is missing"),
    "storage by path": (Tensor("../data.pkl", 12, (12,), (1,)), "storage is missing"),
    "no booleans": (Tensor("0", 48, (48,), (1,), storage="torch.BoolStorage"), "boolean"),
    "unknown storage": (Tensor("0", 12, (12,), (1,), storage="torch.QInt8Storage"), "QInt8"),
    "untyped": (Tensor("0", 48, (1,), (1,), storage="torch.UntypedStorage"), "typed storage"),
    "no storage": (Call("torch._utils._rebuild_tensor_v2", (1, 0, (), (), 0, 0)), "typed storage"),
    "no arguments": (Call("torch._utils._rebuild_tensor_v2", ()), "bad call"),
}


@pytest.mark.parametrize("case", BROKEN_TENSORS)
def test_refuses_broken_tensors(case: str) -> None:
    tensor, reason = BROKEN_TENSORS[case]
    refused(archive(pickle({"w": tensor}), {"0": FLOATS.tobytes()}), reason)


def nested(opening: bytes, closing: bytes, depth: int) -> Raw:
    return Raw(opening * depth + b"N" + closing * depth)


BOMBS = {
    "nested lists": (nested(b"](", b"e", 100_000), "nested more than"),
    "nested tuples": (nested(b"(", b"t", 100_000), "nested more than"),
    "list in itself": (Raw(b"]q\0h\0a"), "nested more than"),
    "tuple as key": (Raw(b"}" + b"(" * 100_000 + b"t" * 100_000 + b"Ns"), "a key must be"),
    "marks": (Raw(b"(" * 100_000), "damaged pickle"),
    "doubling": (Raw(b"]q\0" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(40))),
                 "a key must be"),
    "doubling tuples": (Raw(b")" + b"2\x86" * 60), "more memory"),
    "memo slot": (Raw(b"Nr\xff\xff\xff\x7f"), "memo slot 2147483647 follows 0 others"),
    "absent memo slot": (Raw(b"h\x05"), "damaged pickle"),
    "long text": (Raw(b"\x8d" + struct.pack("<Q", 2**62) + b"x"), "damaged pickle"),
    "long bytes": (Raw(b"\x8e" + struct.pack("<Q", 2**40) + b"x"), "damaged pickle"),
    "byte array": (Raw(b"\x96" + struct.pack("<Q", 2**40) + b"x"), "opcode BYTEARRAY8"),
    "long integer": (2 ** 5000, "integer of 5001 bits"),
    "digits": (Raw(b"L" + b"9" * 10_000 + b"L\n"), "damaged pickle"),
    "repeated copies": (Raw(
        b"](" + b"K\x01" * 10_000 + b"eq\0" + torch_files.name("collections.OrderedDict") + b"q\x01"
        + torch_files.name("__builtin__.set") + b"q\x02" + b"h\x02h\0\x85R0" * 5_000
    ), "more memory"),
    "memo overwritten": (Raw(b"](" + b"Nq\0" * 1000 + b"e"), None),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_bombs_end_quickly(case: str) -> None:
    value, reason = BOMBS[case]
    start = time.process_time()
    if reason is None:
        assert read_torch_file(hostile(value))
    else:
        refused(hostile(value), reason)
    assert time.process_time() - start < 5.0


def test_tensors_count_against_the_limit_each_time() -> None:
    data = archive(pickle([Tensor("0", 10**6, (10**6,), (1,))] * 20), {"0": bytes(4 * 10**6)})
    refused(data, "more memory than the limit", max_bytes=80 * 10**6)


def test_refuses_zip_bombs() -> None:
    vast = archive(pickle({}), {"0": bytes(200 * 2**20)}, compression=zipfile.ZIP_DEFLATED)
    refused(vast, "declare .* bytes, more than the limit")
    refused(save({"w": FLOATS}, more={"x": bytes(2000)}, compression=zipfile.ZIP_DEFLATED),
            "declare .* bytes, more than the limit of 1500", max_bytes=1500)  # fmt: skip
    # A stored entry that declares more than the file holds, in both of its headers.
    data = save({"w": FLOATS})
    refused(data.replace(struct.pack("<II", 48, 48), struct.pack("<II", 2**30, 2**30)), "limit")
    refused(data.replace(struct.pack("<II", 48, 48), struct.pack("<II", 4096, 4096)), "longer")
    refused(archive(pickle(Raw(b"N0" * 2**21 + b"N"))), "pickle has 4194308 bytes")


@pytest.mark.parametrize(
    "entry", ["/etc/x", "../x", "archive/../../x", "archive\\x", "C:/x", "a/..", "C:x"]
)
def test_refuses_names_that_leave_the_folder(entry: str) -> None:
    refused(save({"w": FLOATS}, more={entry: b""}), "leaves the archive's folder")


def test_refuses_ambiguous_archives() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = save({"w": FLOATS}, more={"archive/data/0": b"again"})
    refused(data, "occurs twice")
    refused(save({"w": FLOATS}, more={"other/data.pkl": b"N."}), "found 2")
    refused(save({"w": FLOATS}, compression=zipfile.ZIP_LZMA), "packed in an unknown way")
    refused(archive(pickle({}), byteorder="middle"), "byte order is neither")
    refused(save({"w": FLOATS}) + b"PK\x01\x02" * 5_000, "more than 5000 entries")


def test_refuses_every_truncation() -> None:
    data = save({"w": FLOATS, "n": 3})
    for end in range(1, len(data)):
        refused(data[:end], "damaged|not a PyTorch")


MUTATED = save({"model": {"w": FLOATS.reshape(3, 4), "b": FLOATS[:2]}, "rho": 0.25, "h": [1, 2]})
ORIGINAL = read_torch_file(MUTATED)


def outcome(data: bytes) -> tuple[object, str]:
    """What a file is read as, and the line that refuses it."""
    try:
        return read_torch_file(data), ""
    except UserError as error:
        return None, str(error)


@hypothesis.settings(max_examples=2000, deadline=None)
@hypothesis.given(st.integers(0, len(MUTATED) - 1), st.integers(1, 255))
def test_a_mutated_byte_changes_nothing_or_is_refused(place: int, change: int) -> None:
    data = bytearray(MUTATED)
    data[place] ^= change
    found, refusal = outcome(bytes(data))
    assert "\n" not in refusal
    assert refusal or same(found, ORIGINAL)


OPCODES = st.lists(st.sampled_from(torch_files.OPCODES), max_size=6)


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(st.binary(max_size=20), OPCODES, st.integers(0, 400), st.integers(0, 3))
def test_mutated_pickles_are_refused_or_read(
    noise: bytes, opcodes: list[int], place: int, cut: int
) -> None:
    """Behind right checksums: only the machine stands between these and the library."""
    whole = pickle({"w": Tensor("0", 12, (3, 4), (4, 1)), "epoch": (1, [2.5, None])})
    place %= len(whole)
    data = whole[:place] + noise + bytes(opcodes) + whole[place + cut :]
    _, refusal = outcome(archive(data, {"0": FLOATS.tobytes()}))
    assert "\n" not in refusal


def test_reads_real_files_fast(reference) -> None:
    for name in ("best", "latest"):
        path = reference / "v5_5" / f"{name}.pt"
        elapsed = []
        for _ in range(3):
            start = time.process_time()
            payload = read_torch_file(path)
            elapsed.append(time.process_time() - start)
        assert min(elapsed) < 0.1
        assert payload["model"]["encoder_A.encoder.0.weight"].shape == (256, 9)
        assert list(payload)[:3] == ["epoch", "model", "optimizer"]
