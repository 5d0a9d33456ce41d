"""Where artifacts lie: atomic, serialised, never changed; every tampered byte is found."""

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import REPOSITORY
from tvae.artifacts import ledger, manifest, names
from tvae.artifacts.repository import Repository
from tvae.errors import UserError
from tvae.runs import directories, files


def name(text):
    return names.parse_name(text)


def build(content="weights"):
    """A builder of three files in two folders."""

    def fill(folder):
        (folder / "deployment").mkdir(parents=True)
        (folder / "model.safetensors").write_text(content)
        (folder / "deployment" / "Dockerfile").write_text("FROM scratch\n")
        (folder / "empty").write_text("")
        return {"source": "a test"}

    return fill


def promote(repository, text, content="weights"):
    with repository.lock():
        return repository.add("promote", name(text), build(content))


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "artifacts")


def test_an_artifact_is_sealed_recorded_and_read_only(repository):
    folder = promote(repository, "v6/1.0.0")
    assert folder == repository.root / "production" / "v6" / "1.0.0"
    assert repository.verify("production", name("v6/1.0.0")) == []
    stated = json.loads((folder / "manifest.json").read_text())
    assert (stated["name"], stated["stage"]) == ("v6/1.0.0", "production")
    assert stated["source"] == "a test"
    assert set(stated["files"]) == {"model.safetensors", "deployment/Dockerfile", "empty"}
    modes = {stat.S_IMODE(s.st_mode) for _, s in directories.walk(folder)}
    assert modes == {0o444, 0o555}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    assert not (repository.root / ".staging").exists()


def test_an_artifact_is_never_replaced(repository):
    folder = promote(repository, "v6/1.0.0")
    with pytest.raises(UserError, match="exists already; artifacts never change"):
        promote(repository, "v6/1.0.0", "others")
    assert (folder / "model.safetensors").read_text() == "weights"
    assert len(repository.events()) == 1


def tampered(repository):
    return repository.verify("production", name("v6/1.0.0"))


def test_missing_extra_and_replaced_files_are_named(repository):
    folder = promote(repository, "v6/1.0.0")
    manifest.make_writable(folder)
    (folder / "extra").write_text("x")
    assert tampered(repository) == ["extra: extra"]
    (folder / "extra").unlink()
    (folder / "hollow").mkdir()
    assert tampered(repository) == ["extra: hollow"]
    (folder / "hollow").rmdir()
    (folder / "empty").unlink()
    assert tampered(repository) == ["missing: empty"]
    (folder / "empty").symlink_to("model.safetensors")
    assert tampered(repository) == ["changed: empty is no longer a regular file"]
    (folder / "empty").unlink()
    os.mkfifo(folder / "empty")
    assert tampered(repository) == ["changed: empty is no longer a regular file"]
    (folder / "empty").unlink()
    (folder / "empty").write_text("full")
    assert tampered(repository) == ["changed: empty has 4 bytes, not 0"]
    with pytest.raises(UserError, match="not what was recorded: changed: empty"):
        repository.require("production", name("v6/1.0.0"))
    (folder / "manifest.json").unlink()
    assert "no such file" in tampered(repository)[0]
    shutil.rmtree(folder)
    assert tampered(repository) == ["missing: the whole folder"]


def test_a_manifest_rewritten_together_with_its_files_is_found(repository):
    folder = promote(repository, "v6/1.0.0")
    manifest.make_writable(folder)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "model.safetensors").write_text("worse weights")
    (folder / "manifest.json").unlink()
    manifest.write_manifest(folder, {"name": "v6/1.0.0", "stage": "production"})
    assert tampered(repository) == [
        "changed: manifest.json does not match the digest in the ledger"
    ]


def test_every_change_inside_the_ledger_is_found(repository):
    for version in "123":
        promote(repository, f"v6/{version}")
    path = repository.root / ledger.LEDGER_FILE
    original = path.read_bytes()
    draw = random.Random(0)
    for _ in range(200):
        damaged = bytearray(original)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"ledger.jsonl"):
            repository.events()
    lines = original.splitlines(keepends=True)
    for wrong in (lines[1:], [lines[0], lines[2]], [lines[1], lines[0], lines[2]], [b"{}\n"]):
        path.write_bytes(b"".join(wrong))
        with pytest.raises(UserError, match=r"changed since|not an event"):
            repository.events()
    # The newest line cut off is no broken chain, but its artifact and its seal are no longer known.
    kept = json.loads(lines[-1])["seal"]
    path.write_bytes(b"".join(lines[:2]))
    assert repository.verify("production", name("v6/3")) == ["not in the ledger"]
    assert kept not in ledger.read_seals(repository.root)
    path.write_bytes(original)
    assert ledger.read_seals(repository.root)[-1] == kept


def test_a_changed_pointer_is_found(repository):
    promote(repository, "v6/1")
    promote(repository, "v6/2")
    pointer = repository.root / "current" / "v6.json"
    original = pointer.read_text()
    assert not any(repository.verify_all().values())

    def lines():
        found = repository.verify_all(name=name("v6/2"))
        assert repository.verify_all(stage="raw") == {}
        return found["production", name("v6/2")]

    pointer.write_text(original.replace("2", "1"))
    assert lines() == ["changed: current/v6.json is not the record of version 2"]
    pointer.write_bytes(b"\xff")
    assert lines() == ["changed: current/v6.json is not the record of version 2"]
    pointer.unlink()
    assert lines() == [f"{pointer}: no such file"]
    pointer.symlink_to(repository.root / "production" / "v6" / "2" / "manifest.json")
    assert lines() == [f"{pointer}: is a symbolic link; links are not followed"]
    pointer.unlink()
    pointer.write_text(original)
    (pointer.parent / "v7.json").write_text(original)
    assert [lines for lines in repository.verify_all().values() if lines] == [
        ["extra: current/v7.json"]
    ]


def test_strange_things_in_the_staging_folder_are_cleared(repository):
    folder = promote(repository, "v6/1")
    digest = repository.events()[0].manifest_sha256
    staging = repository.root / ".staging"

    def file():
        (staging / "notes.txt").write_text("a stray file")
        os.mkfifo(staging / "pipe")

    def a_file_of_an_artifacts_name():
        (staging / digest).write_text("a stray file")

    def a_copy_of_an_artifact():
        shutil.copytree(folder, staging / digest)

    def very_many_files():
        for sub in range(3):
            (staging / "many" / str(sub)).mkdir(parents=True)
            for i in range(20):
                (staging / "many" / str(sub) / str(i)).touch()
            (staging / "many" / str(sub)).chmod(0o555)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directories, "MAX_FILES", 50)
        for version, make in enumerate(
            (file, a_file_of_an_artifacts_name, a_copy_of_an_artifact, very_many_files), start=2
        ):
            staging.mkdir()
            make()
            promote(repository, f"v6/{version}")
            assert not staging.exists()
    staging.write_text("not even a folder")
    promote(repository, "v6/9")
    assert not any(repository.verify_all().values())


def test_an_over_long_note_is_refused_and_blocks_nothing(repository):
    for note, reason in (("x" * 2001, "at most 2000 characters, got 2001"), ("\udcff", "UTF-8")):
        with pytest.raises(UserError, match=reason), repository.lock():
            repository.add("promote", name("v6/1"), build(), note=note)
    promote(repository, "v6/1")
    promote(repository, "v6/2")
    with pytest.raises(UserError, match="at most 2000"), repository.lock():
        repository.make_current(name("v6/1"), note="x" * 2001)
    with pytest.MonkeyPatch.context() as patch:
        size = (repository.root / ledger.LEDGER_FILE).stat().st_size
        patch.setattr(files, "MAX_JSON_BYTES", size + 100)
        with pytest.raises(UserError, match="full, at most"):
            promote(repository, "v6/3")
    assert repository.current("v6") == "2"
    promote(repository, "v6/3")


def test_rollback_goes_back_and_deletes_nothing(repository):
    for version in "123":
        promote(repository, f"v6/{version}")
    assert repository.current("v6") == "3"
    pointer = repository.root / "current" / "v6.json"
    assert json.loads(pointer.read_text())["folder"] == "production/v6/3"
    with repository.lock():
        assert repository.make_current(name("v6/2"), note="3 is slow") == "3"
    assert repository.current("v6") == "2"
    assert json.loads(pointer.read_text())["version"] == "2"
    assert repository.verify("production", name("v6/3")) == []
    with pytest.raises(UserError, match="no such artifact"), repository.lock():
        repository.make_current(name("v6/4"))


class Killed(BaseException):
    """Stands for a signal: no ``except Exception`` catches it."""


STEPS = [
    (manifest, "write_manifest"),
    (manifest, "make_content_read_only"),
    (ledger, "append_event"),
    (manifest, "make_folder_read_only"),
    (os, "replace"),
]


@pytest.mark.parametrize(("module", "function"), STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_an_interrupted_promotion_is_whole_or_absent(
    repository, monkeypatch, module, function, after
):
    """Stopped before or after each step, cleaning up included: the next writer finds order."""
    promote(repository, "v6/1")
    real = getattr(module, function)

    def interrupt(*arguments):
        if after:
            real(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, function, interrupt)
        # Nothing of the dying process' own cleaning runs either.
        patch.setattr(Repository, "_settle", lambda self: None)
        if module is manifest and function == "make_folder_read_only":
            patch.undo()
            patch.setattr(module, function, interrupt)
        with pytest.raises(Killed):
            promote(repository, "v6/2")
    recorded = [event.name for event in repository.events()]
    repository.settle()
    assert not (repository.root / ".staging").exists()
    folders = {p.name for p in (repository.root / "production" / "v6").iterdir()}
    assert folders == {word.split("/")[1] for word in recorded}
    for word in recorded:
        assert repository.verify("production", name(word)) == []
    newest = recorded[-1].split("/")[1]
    pointer = json.loads((repository.root / "current" / "v6.json").read_text())
    assert pointer["version"] == repository.current("v6") == newest
    # And work goes on.
    promote(repository, "v6/3")
    assert repository.current("v6") == "3"


def test_a_builder_that_fails_leaves_nothing(repository):
    def fails(folder):
        build()(folder)
        raise UserError("measured too little")

    with pytest.raises(UserError, match="measured too little"), repository.lock():
        repository.add("promote", name("v6/1"), fails)
    assert repository.events() == []
    assert {p.name for p in repository.root.iterdir()} == {".lock"}

    def links(folder):
        build()(folder)
        (folder / "secret").symlink_to("/etc/hostname")

        return {}

    with pytest.raises(UserError, match="secret: not a regular file"), repository.lock():
        repository.add("promote", name("v6/1"), links)
    assert {p.name for p in repository.root.iterdir()} == {".lock"}


PROMOTER = """
import pathlib, sys, time
from tvae.artifacts.names import parse_name
from tvae.artifacts.repository import Repository
from tvae.errors import UserError

repository = Repository(pathlib.Path(sys.argv[1]))
open_now = repository.root.parent / "open"

def build(folder):
    open_now.touch(exist_ok=False)  # fails if two are ever at it
    folder.mkdir()
    for i in range(20):
        (folder / str(i)).write_text(str(i) * 1000)
        time.sleep(0.001)
    open_now.unlink()
    return {}

for version in sys.argv[2:]:
    try:
        with repository.lock():
            repository.add("promote", parse_name("v6/" + version), build)
    except UserError as error:
        assert "exists already" in str(error), error
"""


def start_promoter(repository, *versions):
    return subprocess.Popen(
        [sys.executable, "-c", PROMOTER, str(repository.root), *versions],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_concurrent_promotions_are_serialised(repository):
    """Four processes, versions of their own and one that all of them want."""
    versions = [[f"{process}.{i}" for i in range(5)] + ["same"] for process in range(4)]
    running = [start_promoter(repository, *each) for each in versions]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    wanted = {f"v6/{version}" for each in versions for version in each}
    names = [event.name for event in repository.events()]
    assert sorted(names) == sorted(wanted)
    assert len(names) == 21
    for word in wanted:
        assert repository.verify("production", name(word)) == []
    # Each promotion saw the one before it as current.
    events = repository.events()
    assert [e.previous for e in events] == [None] + [e.name.split("/")[1] for e in events[:-1]]


def test_killed_promotions_leave_nothing_half_done(repository):
    """SIGKILL at random instants of a process that promotes without pause."""
    draw = random.Random(1)
    for attempt in range(6):
        versions = [f"{attempt}.{i}" for i in range(200)]
        process = start_promoter(repository, *versions)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if f"v6/{attempt}.0" in {event.name for event in repository.events()}:
                break
            time.sleep(0.001)
        time.sleep(draw.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        (repository.root.parent / "open").unlink(missing_ok=True)
    repository.settle()
    assert not (repository.root / ".staging").exists()
    recorded = {event.name for event in repository.events()}
    on_disk = {f"v6/{p.name}" for p in (repository.root / "production" / "v6").iterdir()}
    assert recorded == on_disk
    assert len(recorded) >= 6
    assert all(repository.verify("production", name(word)) == [] for word in recorded)


def test_a_reader_does_not_wait_for_a_writer(repository):
    promote(repository, "v6/1")
    with repository.lock():
        (repository.root / ".staging").mkdir()
        reader = threading.Thread(target=repository.settle)
        reader.start()
        reader.join(timeout=10)
        assert not reader.is_alive()
        assert (repository.root / ".staging").exists()


HOSTILE = [
    "",
    "v6",
    "../v6/1",
    "v6/..",
    "v6/../../etc",
    "/etc/passwd",
    "v6/1/2",
    "v6/.hidden",
    "v6/a..b",
    "V6/1",
    "v6/1\n",
    "v6/1\x00",
    "v6/" + "9" * 65,
    "v6\\1/1",
    "-x/1",
    "v６/1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_refused(text):
    with pytest.raises(UserError, match="name: expected <model>/<version>"):
        names.parse_name(text)


def test_links_are_not_followed(repository, tmp_path):
    promote(repository, "v6/1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository.root / "production" / "v7").symlink_to(outside)
    with pytest.raises(UserError, match="v7: is a symbolic link"):
        promote(repository, "v7/1")
    assert repository.verify("production", name("v7/1")) == ["not in the ledger"]
    assert not list(outside.iterdir())
    shutil.move(repository.root / "production" / "v6", outside / "v6")
    (repository.root / "production" / "v6").symlink_to(outside / "v6")
    [line] = repository.verify("production", name("v6/1"))
    assert line.endswith("production/v6: is a symbolic link; links are not followed")
    source = tmp_path / "run"
    source.mkdir()
    (source / "config.json").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match="is a symbolic link"):
        directories.copy_tree(source, tmp_path / "copy")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(UserError, match="cannot be read"):
        files.read_json(source / "config.json")


def test_strangers_where_artifacts_lie_are_named_and_not_touched(repository, tmp_path):
    promote(repository, "v6/1")
    (repository.root / "production" / "v6" / "Notes\x1b[2J").mkdir()
    (repository.root / "raw" / "x").mkdir(parents=True)
    (repository.root / "raw" / "x" / "file").write_text("")
    found = repository.verify_all()
    assert {str(key[1]): lines for key, lines in found.items() if lines} == {
        "v6/Notes\x1b[2J": ["not in the ledger"],
        "x/file": ["not in the ledger"],
    }
    assert found["production", name("v6/1")] == []
    # Nor is what a link in the staging folder leads to.
    (tmp_path / "mine").mkdir(mode=0o700)
    (repository.root / ".staging").mkdir()
    (repository.root / ".staging" / "link").symlink_to(tmp_path / "mine")
    repository.settle()
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700
    assert not (repository.root / ".staging").exists()


def test_a_pipe_cannot_stop_a_reader(tmp_path):
    os.mkfifo(tmp_path / "metrics.json")
    with pytest.raises(UserError, match="not a regular file"):
        files.read_json(tmp_path / "metrics.json")
    with pytest.raises(UserError, match="not a regular file"):
        directories.copy_tree(tmp_path, tmp_path.parent / "copy_of_pipe")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not readable as JSON"),
        (b"\xff{}", "not readable as JSON"),
        (b"[" * 100_000, "not readable as JSON"),
        (b"[1]", "expected a JSON object"),
    ],
)
def test_damaged_json_is_refused_by_name(tmp_path, content, reason):
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(UserError, match=f"metrics.json: {reason}"):
        files.read_json(tmp_path / "metrics.json")


def test_limits(tmp_path, monkeypatch):
    (tmp_path / "big").write_text("{}" * 10)
    with pytest.raises(UserError, match="larger than 3 bytes"):
        files.read_bytes(tmp_path / "big", limit=3)
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 3)
    with pytest.raises(UserError, match="larger than 3 bytes"):
        directories.copy_tree(tmp_path, tmp_path.parent / "copy_of_big")
    with pytest.raises(UserError, match="larger than 3 bytes"):
        manifest.write_manifest(tmp_path, {})
    monkeypatch.setattr(directories, "MAX_FILES", 0)
    with pytest.raises(UserError, match="more than 0 files"):
        list(directories.walk(tmp_path))


def test_a_root_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"artifacts .*file"):
        promote(Repository(tmp_path / "file" / "artifacts"), "v6/1")
