"""File primitives: nothing is seen half-written, links and pipes are refused, one holder a lock."""

import errno
import os

import numpy as np
import pytest

from tvae.errors import UserError
from tvae.runs import directories, files


def test_a_reader_sees_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "metrics.json"
    files.write_text(path, "old")

    def fail():
        with files.replacing(path) as draft:
            draft.write_text("ne")
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.json"]
    files.write_text(path, "new", durable=True)
    assert path.read_text() == "new"
    files.write_json(tmp_path / "made" / "x.json", files.to_plain({"a": np.float32([1, 2])}))
    assert files.read_json(tmp_path / "made" / "x.json") == {"a": [1.0, 2.0]}


@pytest.mark.parametrize("before", ["absent", "empty"])
def test_a_folder_appears_whole_or_not_at_all(tmp_path, before):
    target = tmp_path / "deep" / "target"
    if before == "empty":
        target.mkdir(parents=True)

    def fill_the_disk():
        with files.publishing(target) as draft:
            draft.mkdir()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="target: No space left"):
        fill_the_disk()
    assert target.exists() == (before == "empty")
    with files.publishing(target) as draft:
        draft.mkdir()
        (draft / "file").write_text("whole")
    assert [each.name for each in target.parent.iterdir()] == ["target"]
    assert (target / "file").read_text() == "whole"
    with pytest.raises(UserError, match="target: exists already"), files.publishing(target):
        pass


def test_what_appeared_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "model.pt"

    def write_beside_another():
        with files.publishing(target) as draft:
            draft.write_text("mine")
            target.write_text("another's")

    with pytest.raises(UserError, match="exists already"):
        write_beside_another()
    assert target.read_text() == "another's"


def test_links_are_followed_on_request_alone(tmp_path):
    (tmp_path / "card.json").write_text('{"a": 1}')
    (tmp_path / "link.json").symlink_to(tmp_path / "card.json")
    assert files.read_json(tmp_path / "link.json", follow_links=True) == {"a": 1}
    with pytest.raises(UserError, match="cannot be read"):
        files.read_json(tmp_path / "link.json")
    with pytest.raises(UserError, match=r"absent.json: no such file"):
        files.read_json(tmp_path / "absent.json")


def test_a_lock_that_waits_announces_it(tmp_path, capsys):
    with files.hold_lock(tmp_path, subject="artifacts"):
        with (
            pytest.raises(UserError, match=rf"artifacts .* in use .*pid {os.getpid()}\)"),
            files.hold_lock(tmp_path, subject="artifacts"),
        ):
            pass
        assert capsys.readouterr().err == ""
    with files.hold_lock(tmp_path, wait=True):
        assert capsys.readouterr().err == ""


def test_digests(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "empty").write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert directories.folder_digests(tmp_path) == {"sub/empty": {"bytes": 0, "sha256": empty}}
