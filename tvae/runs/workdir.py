"""Preparation of a working directory: a new run, or the same one to go on with."""

import json
import pathlib
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import jax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from tvae.errors import UserError
from tvae.runs import files
from tvae.runs.run import Run

# Left by a start that was killed in a folder that does not hold a run yet.
_STARTED = (files.CONFIG_FILE, files.PROVENANCE_FILE)
_OF_A_START = {files.LOCK_FILE, files.PROVENANCE_FILE, *(n + files.TEMPORARY for n in _STARTED)}


def _git(*arguments: str) -> str | None:
    """Output of a git command in the source tree, or None outside a repository."""
    folder = pathlib.Path(__file__).parent
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *arguments],  # noqa: S607 - git is found on the user's path by design
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def provenance() -> dict[str, Any]:
    """Code, command, versions and hardware: all but the configuration that results depend on."""
    status = _git("status", "--porcelain")
    return {
        "command": sys.argv,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_modified": None if status is None else bool(status),
        "versions": {name: metadata.version(name) for name in ("tvae", "jax", "flax", "optax")},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
    }


def difference(old: ConfigDict, new: ConfigDict) -> list[tuple[str, str, str]]:
    """Fields in which two configurations differ once stored, which makes lists of tuples.

    Returns:
      ``(path, old value, new value)`` of each, sorted by path.

    >>> difference(ConfigDict({"a": {"b": 1}, "c": (2,)}), ConfigDict({"a": {"b": 3}, "c": [2]}))
    [('a.b', '1', '3')]
    """
    plain = (json.loads(config.to_json()) for config in (old, new))
    before, after = (flatten_dict(config, sep=".") for config in plain)
    pairs = {p: (before.get(p, "(absent)"), after.get(p, "(absent)")) for p in before | after}
    return [(path, str(was), str(now)) for path, (was, now) in sorted(pairs.items()) if was != now]


def prepare(folder: pathlib.Path, config: ConfigDict, *, resume: bool) -> None:
    """Make the folder of a new run, or check that of an old one.

    Args:
      folder: the working directory.
      config: validated configuration.
      resume: go on with the run that the folder holds, if any.

    Raises:
      UserError: if the folder cannot be written, is in use, holds a run and ``resume`` is off, or
        holds a run of another configuration.
    """
    stored = folder / files.CONFIG_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not stored.exists() and {path.name for path in folder.iterdir()} - _OF_A_START:
            raise UserError(f"workdir {folder}: expected an empty folder or a run to resume")
        with files.hold_lock(folder):
            if stored.exists():
                _check_same_run(folder, config, resume=resume)
                return
            files.write_json(folder / files.PROVENANCE_FILE, provenance())
            # Written last: its presence makes the folder that of a run.
            files.write_json(stored, json.loads(config.to_json()))
    except OSError as error:
        raise UserError(f"workdir {folder}: cannot be written ({error.strerror})") from error


def _check_same_run(folder: pathlib.Path, config: ConfigDict, *, resume: bool) -> None:
    run = Run.open(folder)
    changes = [f"{path}: {was} -> {now}" for path, was, now in difference(run.config, config)]
    if changes:
        raise UserError(f"workdir {folder} holds a run of another config: {'; '.join(changes)}")
    if not resume:
        raise UserError(f"workdir {folder} holds a run already: give --resume or another --workdir")
    began, now = run.provenance.get("git_commit"), _git("rev-parse", "HEAD")
    if began != now:
        sys.stderr.write(f"warning: the run began at commit {began}, and goes on at {now}\n")
