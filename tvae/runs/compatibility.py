"""What a run's checkpoint must have in common with the code that reads it."""

import pathlib
from typing import Any

import tvae
from tvae.errors import UserError
from tvae.runs import archive

FORMAT = 3
"""Number of the layout of a run's checkpoints; raised with every change of it."""


def version() -> dict[str, Any]:
    """What has to be equal for a run to go on: the layout's number and the package's version."""
    return {"format": FORMAT, "tvae": tvae.__version__}


def _describe(leaf: Any) -> str:
    return "absent" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"


def check_arrays(found: dict[str, Any], wanted: dict[str, Any], where: pathlib.Path) -> None:
    """Refuse arrays whose names, dtypes or shapes differ from the target's."""
    for name in sorted(found.keys() | wanted.keys()):
        old, new = (_describe(tree.get(name)) for tree in (found, wanted))
        if old != new:
            raise UserError(f"checkpoint {where}: {name} is {old}, expected {new}")


def check_version(record: dict[str, Any], where: pathlib.Path) -> None:
    """Refuse what another version wrote."""
    for name, ours in version().items():
        theirs = record.get(name, "(absent)")
        if theirs != ours:
            raise UserError(f"checkpoint {where} is of another version: {name} {theirs} -> {ours}")


def check_format(where: pathlib.Path) -> None:
    """Refuse, as of another version, what only looks damaged because its layout is another."""
    # Format 1 had this folder in place of the record.
    old = (where / "progress").is_dir() and not (where / archive.RECORD).exists()
    record = {"format": 1} if old else archive.read_record(where)
    if record.get("format") != FORMAT:
        check_version(record, where)
