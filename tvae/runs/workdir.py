"""The working directory of a run: what it holds beside checkpoints, and when it is refused."""

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

CONFIG_FILE = "config.json"
RUN_FILE = "run.json"
# What a start that was killed may leave in a folder that holds no run yet.
_OF_A_START = {files.LOCK_FILE, RUN_FILE, *(n + files.TEMPORARY for n in (RUN_FILE, CONFIG_FILE))}


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
    """What a result depends on besides its configuration: code, command, versions, hardware."""
    status = _git("status", "--porcelain")
    return {
        "command": sys.argv,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_modified": None if status is None else bool(status),
        "versions": {name: metadata.version(name) for name in ("tvae", "jax", "flax", "optax")},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
    }


def _as_stored(config: ConfigDict) -> ConfigDict:
    """The configuration after a trip through JSON, which turns tuples into lists."""
    return ConfigDict(json.loads(config.to_json()))


def difference(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Fields in which two configurations differ, as ``path: old -> new`` lines.

    >>> difference(ConfigDict({"a": {"seed": 1}, "b": 2}), ConfigDict({"a": {"seed": 3}, "b": 2}))
    ['a.seed: 1 -> 3']
    """
    before, after = (flatten_dict(config.to_dict(), sep=".") for config in (old, new))
    absent = "(absent)"
    return [
        f"{path}: {before.get(path, absent)} -> {after.get(path, absent)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, absent) != after.get(path, absent)
    ]


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
    stored = folder / CONFIG_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not stored.exists() and {path.name for path in folder.iterdir()} - _OF_A_START:
            raise UserError(f"workdir {folder}: expected an empty folder or a run to resume")
        with files.hold_lock(folder):
            if stored.exists():
                _check_same_run(folder, config, resume=resume)
                return
            files.write_json(folder / RUN_FILE, provenance())
            # Written last: its presence makes the folder that of a run.
            files.write_json(stored, json.loads(config.to_json()))
    except OSError as error:
        raise UserError(f"workdir {folder}: cannot be written ({error.strerror})") from error


def read_config(folder: pathlib.Path) -> ConfigDict:
    """The configuration of the run in a working directory.

    Raises:
      UserError: if there is none or it is damaged.
    """
    return ConfigDict(files.read_json(folder / CONFIG_FILE, follow_links=True))


def read_provenance(folder: pathlib.Path) -> dict[str, Any]:
    """What :func:`provenance` said when the run in a working directory began."""
    return files.read_json(folder / RUN_FILE, follow_links=True)


def _check_same_run(folder: pathlib.Path, config: ConfigDict, *, resume: bool) -> None:
    changes = difference(read_config(folder), _as_stored(config))
    if changes:
        raise UserError(f"workdir {folder} holds a run of another config: {'; '.join(changes)}")
    if not resume:
        raise UserError(f"workdir {folder} holds a run already: give --resume or another --workdir")
    began, now = read_provenance(folder).get("git_commit"), _git("rev-parse", "HEAD")
    if began != now:
        sys.stderr.write(f"warning: the run began at commit {began}, and goes on at {now}\n")
