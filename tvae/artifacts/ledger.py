"""The ledger: one line an event, each sealed by a digest over those before.

It holds the digest of each manifest, so that a manifest cannot be changed together with its files.
A ledger written anew as a whole is found by whoever has kept one of its seals elsewhere.
"""

import datetime
import hashlib
import json
import pathlib
from typing import NamedTuple

from tvae.errors import UserError
from tvae.runs import files

LEDGER_FILE = "ledger.jsonl"
_START = hashlib.sha256(b"tvae artifact ledger").hexdigest()


MAX_NOTE = 2000
"""Characters of a note."""


class Event(NamedTuple):
    """One line of the ledger."""

    time: str  # ISO 8601 in UTC
    action: str  # "register", "validate", "promote" or "rollback"
    stage: str
    name: str
    manifest_sha256: str
    previous: str | None = None  # production version before, where the action changed that
    note: str = ""  # the user's words


def check_note(note: str) -> None:
    """Refuse a note that would make the ledger too long to read, or is no text.

    Raises:
      UserError: naming the length.
    """
    if len(note) > MAX_NOTE:
        raise UserError(f"note: expected at most {MAX_NOTE} characters, got {len(note)}")
    try:
        note.encode()
    except UnicodeEncodeError as error:
        raise UserError("note: expected text in UTF-8") from error


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _line(event: Event, before: str) -> tuple[str, str]:
    """An event as text, and the digest that seals it over all lines before."""
    fields = event._asdict()
    seal = hashlib.sha256((before + json.dumps(fields)).encode()).hexdigest()
    return json.dumps(fields | {"seal": seal}) + "\n", seal


def read_events(root: pathlib.Path) -> list[Event]:
    """All events, oldest first.

    Raises:
      UserError: if a line is damaged, changed, missing or out of order.
    """
    return _read(root)[0]


def read_seals(root: pathlib.Path) -> list[str]:
    """The seal of each line, oldest first: a digest of the ledger up to that line.

    Raises:
      UserError: as :func:`read_events`.
    """
    return _read(root)[2][1:]


def _read(root: pathlib.Path) -> tuple[list[Event], str, list[str]]:
    """Events, the text that holds them, and ``_START`` with their seals."""
    path = root / LEDGER_FILE
    events: list[Event] = []
    text, seals = "", [_START]
    content = files.read_bytes(path) if path.exists() else b""
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        fields = files.parse_json(line, f"{path}:{number}")
        fields.pop("seal", None)
        try:
            event = Event(**fields)
        except TypeError as error:
            raise UserError(f"{path}:{number}: not an event") from error
        expected, seal = _line(event, seals[-1])
        # Compared as text: a change that means the same in JSON is a change.
        if expected.encode() != line:
            raise UserError(f"{path}:{number}: changed since it was written")
        events.append(event)
        seals.append(seal)
        text += expected
    return events, text, seals


def append_event(root: pathlib.Path, event: Event) -> None:
    """Add an event atomically; the caller holds the repository's lock.

    Raises:
      UserError: if the ledger is damaged, or too long for another line.
      OSError: if it cannot be written.
    """
    _, text, seals = _read(root)
    line, _ = _line(event, seals[-1])
    if len(text) + len(line) > files.MAX_JSON_BYTES:
        raise UserError(f"{root / LEDGER_FILE}: full, at most {files.MAX_JSON_BYTES} bytes")
    files.write_text(root / LEDGER_FILE, text + line, durable=True)
