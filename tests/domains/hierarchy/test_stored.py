"""The copy of a hierarchy beside a model: the same hierarchy, or one clear line."""

import dataclasses
import gc
import io
import zipfile

import numpy as np
import pytest

from tvae.domains.hierarchy import stored
from tvae.domains.hierarchy.hierarchy import from_parents
from tvae.errors import UserError


def make_hierarchy():
    features = {
        "kg.text": np.asarray([1.5, np.nan, 3.0, 4.0]),
        "a/b": np.asarray(["", "ünï\n", "x", "日本"], object),
    }
    extra = np.asarray([[3, 1]])
    return from_parents(["r", "a\nb", "b", "ç"], [-1, 0, 1, 0], extra, features)


@pytest.fixture
def file(tmp_path):
    stored.write_stored(make_hierarchy(), tmp_path / stored.FILE)
    gc.collect()
    return tmp_path / stored.FILE


def test_the_same_comes_back(file):
    known, again = make_hierarchy(), stored.read_stored(file)
    assert stored.digest(again) == stored.digest(known)
    assert again.names.tolist() == known.names.tolist()
    for name in ("parent", "extra"):
        np.testing.assert_array_equal(getattr(again, name), getattr(known, name))
    assert list(again.features) == ["kg.text", "a/b"]
    np.testing.assert_array_equal(again.features["kg.text"], known.features["kg.text"])
    assert again.features["a/b"].tolist() == known.features["a/b"].tolist()
    assert stored.read_stored(file) is again  # with its closure, if it has been made
    assert [path.name for path in file.parent.iterdir()] == [stored.FILE]


def test_the_digest_covers_everything():
    known = make_hierarchy()
    others = [
        dataclasses.replace(known, names=known.names[::-1]),
        dataclasses.replace(known, extra=known.extra[:0]),
        dataclasses.replace(known, features={}),
        dataclasses.replace(known, features={**known.features, "a/b": known.names}),
    ]
    assert len({stored.digest(each) for each in (known, *others)}) == 5


def test_each_changed_byte_is_found_or_means_nothing(file):
    content, digest = file.read_bytes(), stored.digest(make_hierarchy())
    draw = np.random.default_rng(0)
    refused = 0
    for at in draw.integers(0, len(content), 200):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            assert stored.digest(stored.read_stored(file)) == digest
        except UserError:
            refused += 1
    assert refused > 100


def test_what_is_no_copy_is_one_line(file, tmp_path):
    content = file.read_bytes()
    foreign, packed, pickled = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(foreign, x=np.zeros(3))
    np.savez_compressed(packed, **np.load(file))
    np.savez(pickled, about=np.asarray([print], object))
    bad = [b"", content[:100], content[:-30], foreign.getvalue(), packed.getvalue()]
    for each in (*bad, pickled.getvalue(), b"PK" + content):
        file.write_bytes(each)
        with pytest.raises(UserError, match=r"is not the copy of a hierarchy|is damaged"):
            stored.read_stored(file)
    with pytest.raises(UserError, match="cannot be read"):
        stored.read_stored(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"parent": np.asarray([-1, 9, 0, 0], np.int32)},
        {"parent": np.asarray([-1, 2, 1, 0], np.int32)},
        {"parent": np.zeros((2, 2), np.int32)},
        {"extra": np.asarray([[0, 7]], np.int32)},
        {"names.ends": np.asarray([1], np.int64)},
        {"features.text": np.zeros(0, np.uint8)},
    ],
)
def test_a_right_digest_of_wrong_content_is_one_line(file, change):
    with np.load(file) as loaded:
        arrays = {name: loaded[name] for name in loaded.files} | change
    arrays.pop("about")
    about = f'{{"format": 1, "sha256": "{stored._digest(arrays)}"}}'
    np.savez(file, about=np.frombuffer(about.encode(), np.uint8), **arrays)
    with pytest.raises(UserError) as caught:
        stored.read_stored(file)
    assert "\n" not in str(caught.value)


def test_another_format_is_named(file):
    with np.load(file) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    arrays["about"] = np.frombuffer(b'{"format": 2}', np.uint8)
    np.savez(file, **arrays)
    assert zipfile.is_zipfile(file)
    with pytest.raises(UserError, match="in this version: format 2"):
        stored.read_stored(file)
