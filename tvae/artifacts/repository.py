"""Where artifacts lie, and the only way one gets there: staged, sealed, recorded, then moved.

    ROOT/ledger.jsonl                            what became of which artifact
    ROOT/{raw,validated,production}/MODEL/VERSION/
    ROOT/current/MODEL.json                      which production version is current
    ROOT/.staging/                               unfinished work; never read

The line in the ledger is the instant at which an artifact exists. What is interrupted before it
leaves nothing but staging; what is interrupted after it is finished by whoever comes next.
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
from tvae.runs import files

STAGES = ("raw", "validated", "production")
ADDED_BY = {"register": "raw", "validate": "validated", "promote": "production"}
"""Action -> the stage that it adds an artifact to."""
CURRENT = "current"
_STAGING, _LOCK = ".staging", ".lock"

Build = Callable[[pathlib.Path], Mapping[str, Any]]
"""Makes a folder and fills it; returns what the manifest states beside its files."""


class Repository:
    """Artifacts below one folder.

    Attributes:
      root: the folder; made by the first artifact.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root.absolute()

    def folder(self, stage: str, name: Name) -> pathlib.Path:
        """Where an artifact lies, or would.

        Raises:
          UserError: if part of the way is a symbolic link.
        """
        folder = self.root / stage / name.model / name.version
        files.refuse_links(self.root, folder)
        return folder

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer; waits for the one at work, and first finishes what one left.

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
        """Finish or drop what an interrupted writer left, unless one is at work or none can be."""
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
        """What the ledger says, oldest first, of one stage and one artifact or of all.

        Raises:
          UserError: if the ledger is damaged.
        """
        return [
            event
            for event in ledger.read(self.root)
            if stage in (None, event.stage) and (name is None or event.name == str(name))
        ]

    def recorded(self, stage: str, name: Name) -> Event | None:
        """The event that added an artifact, or None."""
        return _added(self.events()).get((stage, str(name)))

    def rows(self) -> Iterator[tuple[pathlib.Path, dict[str, str]]]:
        """Folder of each recorded artifact and its columns for :func:`tvae.runs.find.collect`.

        Raises:
          UserError: if the ledger is damaged.
        """
        events = self.events()
        current = current_versions(events)
        for event in _added(events).values():
            stage, name = event.stage, names.parse_name(event.name)
            in_use = stage == "production" and current[name.model] == name.version
            about = {"stage": stage, "name": event.name, "created": event.time}
            about |= {"state": "current" if in_use else stage, "note": event.note}
            yield self.root / stage / name.model / name.version, about

    def origin(self, stage: str, name: Name) -> dict[str, Any]:
        """Stage, name and digest of a recorded artifact, for one that is made from it."""
        event = self.recorded(stage, name)
        if event is None:
            raise UserError(f"{stage} {name}: no such artifact")
        return {"stage": stage, "name": str(name), "manifest_sha256": event.manifest_sha256}

    def artifacts(
        self, *, stage: str | None = None, name: Name | None = None
    ) -> list[tuple[str, Name]]:
        """Stage and name of all that is recorded, and of all that lies where an artifact would."""
        recorded = {(event.stage, names.parse_name(event.name)) for event in self.events()}
        # Whatever it is called: it is only compared with what is recorded.
        on_disk = {
            (each, Name(*path.parts[-2:]))
            for each in STAGES
            for path in (self.root / each).glob("*/*")
        }
        return [
            (where, found)
            for where, found in sorted(recorded | on_disk)
            if stage in (None, where) and name in (None, found)
        ]

    def add(self, action: str, name: Name, build: Build, *, note: str = "") -> pathlib.Path:
        """Add an artifact; the caller holds the lock.

        Args:
          action: key of ``ADDED_BY``.
          name: must be new in its stage.
          build: writes the files; if it raises, nothing has happened.
          note: the user's words, for the ledger.

        Returns:
          The artifact's folder, read-only.

        Raises:
          UserError: if the artifact exists already.
        """
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
            ledger.append(self.root, event)
        finally:
            # Recorded or not: that decides whether it is finished or dropped.
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
        """Go back to a production version; the caller holds the lock.

        Returns:
          The version that was current before.
        """
        added = self.recorded("production", name)
        if added is None:
            raise UserError(f"production {name}: no such artifact")
        previous = self.current(name.model)
        event = added._replace(time=ledger.now(), action="rollback", previous=previous, note=note)
        # Its presence says that there is something to settle.
        (self.root / _STAGING).mkdir(exist_ok=True)
        ledger.append(self.root, event)
        self._settle()
        return previous

    def verify(self, stage: str, name: Name) -> list[str]:
        """Every difference between an artifact and what was recorded; empty if it is intact."""
        return self._verify_against(self.recorded(stage, name), stage, name)

    def verify_all(
        self, *, stage: str | None = None, name: Name | None = None
    ) -> dict[tuple[str, Name], list[str]]:
        """:meth:`verify` for all that is recorded or lies where an artifact would.

        Args:
          stage: only of this stage.
          name: only of this name.
        """
        recorded = _added(self.events())
        return {
            (where, found): self._verify_against(recorded.get((where, str(found))), where, found)
            for where, found in self.artifacts(stage=stage, name=name)
        }

    def _verify_against(self, event: Event | None, stage: str, name: Name) -> list[str]:
        """:meth:`verify`, where the event that added the artifact is known already."""
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
          UserError: if there is none, or it is not what was recorded.
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
        files.refuse_links(self.root, staging)
        if not staging.exists():
            return
        events = ledger.read(self.root)
        recorded = {event.manifest_sha256: event for event in _added(events).values()}
        for left in list(staging.iterdir()):
            event = recorded.get(left.name)
            if event is None or left.is_symlink():
                _remove(left)
                continue
            target = self.folder(event.stage, names.parse_name(event.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            left.rename(target)
            manifest.make_folder_read_only(target)
            files.flush(target.parent)
        for model, version in current_versions(events).items():
            self._point(model, version)
        staging.rmdir()

    def _point(self, model: str, version: str) -> None:
        """Write which version is current, for programs that read no ledger."""
        path = self.root / CURRENT / f"{model}.json"
        files.refuse_links(self.root, path)
        path.parent.mkdir(exist_ok=True)
        folder = f"production/{model}/{version}"
        text = json.dumps({"model": model, "version": version, "folder": folder}) + "\n"
        if not path.exists() or path.read_text() != text:
            files.write_text(path, text)


def _added(events: list[Event]) -> dict[tuple[str, str], Event]:
    """Stage and name -> the event that added the artifact."""
    return {(e.stage, e.name): e for e in events if ADDED_BY.get(e.action) == e.stage}


def current_versions(events: list[Event]) -> dict[str, str]:
    """Model -> version in production: the last one promoted or gone back to."""
    promoted = (names.parse_name(e.name) for e in events if e.stage == "production")
    return {name.model: name.version for name in promoted}


def _remove(folder: pathlib.Path) -> None:
    """Remove unfinished work; of a link, the link."""
    if folder.is_symlink():
        folder.unlink()
        return
    manifest.make_writable(folder)
    shutil.rmtree(folder)
