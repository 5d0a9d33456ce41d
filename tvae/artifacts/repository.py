"""The repository of artifacts: each is staged, sealed, recorded, then moved to its place.

    ROOT/ledger.jsonl                            the events of all artifacts
    ROOT/{raw,validated,production}/MODEL/VERSION/
    ROOT/current/MODEL.json                      which production version is current
    ROOT/.staging/                               unfinished work; never read

An artifact exists from the instant of its line in the ledger. Interrupted before it, only staging
is left; interrupted after it, the next writer or reader finishes the move.
"""

import contextlib
import json
import pathlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tvae.artifacts import ledger, manifest, names
from tvae.artifacts.ledger import Event
from tvae.artifacts.names import Name
from tvae.errors import UserError
from tvae.runs import directories, files

STAGES = ("raw", "validated", "production")
ADDED_BY = {"register": "raw", "validate": "validated", "promote": "production"}
"""Action -> the stage that it adds an artifact to."""
CURRENT = "current"
_STAGING, _LOCK = ".staging", ".lock"

Build = Callable[[pathlib.Path], Mapping[str, Any]]
"""Makes a folder and fills it; returns the header of its manifest."""


class Repository:
    """Artifacts below one folder, which the first of them makes."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root.absolute()

    def folder(self, stage: str, name: Name) -> pathlib.Path:
        """The folder of an artifact, existing or not.

        Raises:
          UserError: if part of the path is a symbolic link.
        """
        folder = self.root / stage / name.model / name.version
        directories.refuse_links(self.root, folder)
        return folder

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer, after waiting for another; finish what an interrupted one left.

        Raises:
          UserError: if the folder cannot be written, here or later in the block.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with files.hold_lock(self.root, subject="artifacts", name=_LOCK, wait=True):
                self._settle()
                yield
        except OSError as error:
            raise UserError(f"artifacts {self.root}: {error}") from error

    def settle(self) -> None:
        """Finish or drop what an interrupted writer left, unless the repository is locked."""
        if not (self.root / _STAGING).is_dir():
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(files.hold_lock(self.root, subject="artifacts", name=_LOCK))
            except UserError:
                return
            with contextlib.suppress(OSError):
                self._settle()

    def events(self, *, stage: str | None = None, name: Name | None = None) -> list[Event]:
        """The events of the ledger, oldest first, of one stage and one artifact or of all.

        Raises:
          UserError: if the ledger is damaged.
        """
        return [
            event
            for event in ledger.read_events(self.root)
            if stage in (None, event.stage) and (name is None or event.name == str(name))
        ]

    def added(self) -> dict[tuple[str, Name], Event]:
        """Stage and name of each recorded artifact -> the event that added it, oldest first."""
        return _added(self.events())

    def recorded(self, stage: str, name: Name) -> Event | None:
        """The event that added an artifact, or None."""
        return self.added().get((stage, name))

    def origin(self, stage: str, name: Name) -> dict[str, Any]:
        """Stage, name and digest of a recorded artifact, for one that is made from it."""
        event = self.added()[stage, name]
        return {"stage": stage, "name": str(name), "manifest_sha256": event.manifest_sha256}

    def rows(self) -> Iterator[tuple[pathlib.Path, dict[str, str]]]:
        """Folder of each recorded artifact and its columns for :func:`tvae.runs.find.collect`."""
        events = self.events()
        current = current_versions(events)
        for (stage, name), event in _added(events).items():
            in_use = stage == "production" and current[name.model] == name.version
            about = {"stage": stage, "name": event.name, "created": event.time}
            about |= {"state": "current" if in_use else stage, "note": event.note}
            yield self.root / stage / name.model / name.version, about

    def add(self, action: str, name: Name, build: Build, *, note: str = "") -> pathlib.Path:
        """Add an artifact by a key of ``ADDED_BY``; the caller holds the lock.

        If ``build`` raises, nothing changes.

        Raises:
          UserError: if the artifact exists already, or the note is too long.
        """
        ledger.check_note(note)
        stage = ADDED_BY[action]
        target = self.require_new(stage, name)
        staging = self.root / _STAGING / uuid.uuid4().hex
        staging.parent.mkdir(exist_ok=True)
        try:
            header = {"name": str(name), "stage": stage, "created": ledger.now(), **build(staging)}
            digest = manifest.write_manifest(staging, header)
            manifest.make_content_read_only(staging)
            staging.rename(staging.with_name(digest))
            previous = self.current(name.model) if action == "promote" else None
            event = Event(ledger.now(), action, stage, str(name), digest, previous, note)
            ledger.append_event(self.root, event)
        finally:
            # Moved to its place if it was recorded, dropped otherwise.
            self._settle()
        return target

    def require_new(self, stage: str, name: Name) -> pathlib.Path:
        """The folder that an artifact would get.

        Raises:
          UserError: if there is one of that name.
        """
        target = self.folder(stage, name)
        if target.exists() or self.recorded(stage, name):
            raise UserError(f"{stage} {name}: exists already; artifacts never change")
        return target

    def current(self, model: str) -> str | None:
        """The version of a model that is in production, or None."""
        return current_versions(self.events()).get(model)

    def make_current(self, name: Name, *, note: str = "") -> str | None:
        """Go back to a production version, and return that before; the caller holds the lock."""
        ledger.check_note(note)
        added = self.recorded("production", name)
        if added is None:
            raise UserError(f"production {name}: no such artifact")
        previous = self.current(name.model)
        event = added._replace(time=ledger.now(), action="rollback", previous=previous, note=note)
        # Its presence makes settle() write the pointer, should this be interrupted.
        (self.root / _STAGING).mkdir(exist_ok=True)
        ledger.append_event(self.root, event)
        self._settle()
        return previous

    def verify(self, stage: str, name: Name) -> list[str]:
        """Every difference between an artifact and its record; empty if it is intact."""
        return self._verify(self.recorded(stage, name), stage, name)

    def verify_all(
        self, *, stage: str | None = None, name: Name | None = None
    ) -> dict[tuple[str, Name], list[str]]:
        """:meth:`verify` for all that is recorded or lies where an artifact would.

        A line on the pointer to a model's production version stands with that version.
        """
        added = self.added()
        # Whatever a folder is called: its name is only compared with those that are recorded.
        paths = (path for each in STAGES for path in (self.root / each).glob("*/*"))
        on_disk = {(path.parts[-3], Name(*path.parts[-2:])) for path in paths}
        problems = {
            (where, found): self._verify(added.get((where, found)), where, found)
            for where, found in sorted(added.keys() | on_disk)
        }
        for found, line in self._find_pointer_problems():
            problems.setdefault(("production", found), []).append(line)
        return {
            (where, found): lines
            for (where, found), lines in sorted(problems.items())
            if stage in (None, where) and name in (None, found)
        }

    def _find_pointer_problems(self) -> Iterator[tuple[Name, str]]:
        """A line for each pointer that is not what the ledger implies."""
        current = current_versions(self.events())
        for model, version in current.items():
            path = self.root / CURRENT / f"{model}.json"
            try:
                directories.refuse_links(self.root, path)
                if files.read_bytes(path).decode(errors="replace") == _pointer(model, version):
                    continue
                line = f"changed: {CURRENT}/{path.name} is not the record of version {version}"
            except UserError as error:
                line = str(error)
            yield Name(model, version), line
        for path in sorted((self.root / CURRENT).glob("*")):
            if path.name.removesuffix(".json") not in current or path.suffix != ".json":
                yield Name(path.stem, path.suffix), f"extra: {CURRENT}/{path.name}"

    def _verify(self, event: Event | None, stage: str, name: Name) -> list[str]:
        """:meth:`verify` against the event that added the artifact."""
        if event is None:
            return ["not in the ledger"]
        try:
            folder = self.folder(stage, name)
        except UserError as error:
            return [str(error)]
        if not folder.is_dir():
            return ["missing: the whole folder"]
        return manifest.find_problems(folder, event.manifest_sha256)

    def require(self, stage: str, name: Name) -> pathlib.Path:
        """The folder of an intact artifact.

        Raises:
          UserError: if there is none, or it differs from its record.
        """
        if self.recorded(stage, name) is None:
            known = ", ".join(sorted({e.name for e in self.events(stage=stage)})) or "none"
            raise UserError(f"{stage} {name}: no such artifact; there are: {known}")
        if found := self.verify(stage, name):
            raise UserError(f"{stage} {name}: not what was recorded: {'; '.join(found[:3])}")
        return self.folder(stage, name)

    def _settle(self) -> None:
        """Move recorded artifacts to their places, drop other staging, point to what is current."""
        staging = self.root / _STAGING
        directories.refuse_links(self.root, staging)
        if not staging.exists():
            return
        if not staging.is_dir():
            staging.unlink()
            return
        events = ledger.read_events(self.root)
        recorded = {event.manifest_sha256: key for key, event in _added(events).items()}
        for left in list(staging.iterdir()):
            key = recorded.get(left.name)
            target = self.folder(*key) if key and left.is_dir() and not left.is_symlink() else None
            if target is None or target.exists():
                _remove(left)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            left.rename(target)
            manifest.make_folder_read_only(target)
            files.flush(target.parent)
        for model, version in current_versions(events).items():
            self._point(model, version)
        staging.rmdir()

    def _point(self, model: str, version: str) -> None:
        """Write which version is current, for programs that do not read the ledger."""
        path = self.root / CURRENT / f"{model}.json"
        directories.refuse_links(self.root, path)
        path.parent.mkdir(exist_ok=True)
        text = _pointer(model, version)
        if not path.exists() or path.read_text(errors="replace") != text:
            files.write_text(path, text)


def _added(events: list[Event]) -> dict[tuple[str, Name], Event]:
    """Stage and name -> the event that added the artifact."""
    new = (event for event in events if ADDED_BY.get(event.action) == event.stage)
    return {(event.stage, names.parse_name(event.name)): event for event in new}


def current_versions(events: list[Event]) -> dict[str, str]:
    """Model -> version in production: the last one promoted or gone back to."""
    promoted = (names.parse_name(e.name) for e in events if e.stage == "production")
    return {name.model: name.version for name in promoted}


def _pointer(model: str, version: str) -> str:
    """Content of the file that points to a version in production."""
    folder = f"production/{model}/{version}"
    return json.dumps({"model": model, "version": version, "folder": folder}) + "\n"


def _remove(left: pathlib.Path) -> None:
    """Remove unfinished work, or what a stranger put beside it; of a link, the link."""
    if left.is_symlink() or not left.is_dir():
        left.unlink()
        return
    manifest.make_writable(left)
    shutil.rmtree(left)
