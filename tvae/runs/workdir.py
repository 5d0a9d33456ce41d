"""Preparation of a working directory: a new run, or the same one to go on with."""

import json
import os
import pathlib
import platform
import subprocess
import sys
import types
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import jax
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from tvae import shipped
from tvae.errors import UserError
from tvae.runs import files, text
from tvae.runs.run import Run

_OF_A_START = {files.LOCK_FILE, files.PROVENANCE_FILE}
_OF_A_START |= {name + files.TEMPORARY for name in (files.CONFIG_FILE, files.PROVENANCE_FILE)}
"""Left by a start that was killed in a folder that does not hold a run yet."""

_OTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")
"""Variables that git sets for hooks, of the repository that it was called in."""


def _git(tree: pathlib.Path, *arguments: str) -> str | None:
    """Output of a git command in a folder, or None outside a repository."""
    environment = {k: v for k, v in os.environ.items() if k not in _OTHER_REPOSITORY}
    # git is found on the user's path by design.
    command = ["git", "-C", str(tree), *arguments]
    try:
        return subprocess.check_output(  # noqa: S603 - fixed arguments
            command, text=True, stderr=subprocess.DEVNULL, env=environment
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _repository() -> pathlib.Path | None:
    """The repository of tvae's own source tree, or None.

    A repository that encloses the tree is another project's.
    """
    tree = shipped.source_tree()
    top = _git(tree, "rev-parse", "--show-toplevel") if tree else None
    return tree if top and pathlib.Path(top).resolve() == tree else None


def _commit(repository: pathlib.Path | None) -> str | None:
    return _git(repository, "rev-parse", "HEAD") if repository else None


def provenance() -> dict[str, Any]:
    """Code, command, versions and hardware: all but the configuration that results depend on."""
    repository = _repository()
    status = _git(repository, "status", "--porcelain") if repository else None
    return {
        "command": sys.argv,
        "git_commit": _commit(repository),
        "git_modified": None if status is None else bool(status),
        "versions": {name: metadata.version(name) for name in ("tvae", "jax", "flax", "optax")},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
    }


def difference(old: ConfigDict, new: ConfigDict) -> list[tuple[str, str, str]]:
    """Path, old and new value of the fields that differ once stored (tuples become lists).

    >>> difference(ConfigDict({"a": {"b": 1}, "c": (2,)}), ConfigDict({"a": {"b": 3}, "c": [2]}))
    [('a.b', '1', '3')]
    """
    plain = (json.loads(config.to_json()) for config in (old, new))
    before, after = (flatten_dict(config, sep=".") for config in plain)
    pairs = {p: (before.get(p, "(absent)"), after.get(p, "(absent)")) for p in before | after}

    def show(value: Any) -> str:
        return text.printable(str(value))

    return [
        (show(path), show(was), show(now))
        for path, (was, now) in sorted(pairs.items())
        if was != now
    ]


def prepare(
    folder: pathlib.Path,
    config: ConfigDict,
    *,
    resume: bool,
    extend: bool = False,
    data: Mapping[str, Callable[[pathlib.Path], None]] = types.MappingProxyType({}),
) -> None:
    """Make the folder of a new run, or with ``resume`` check that of the same run.

    With ``resume`` but without a run in it, a new one is made and a line on standard error names
    that: job schedulers give the same command at each start. With ``extend`` the configuration may
    have more epochs than the recorded one, which it replaces.

    Args:
      folder: of the run.
      config: validated configuration.
      resume: see above.
      extend: see above.
      data: name -> writer of each further file of a new run: copies of the user's data.

    Raises:
      UserError: if the folder cannot be written, is in use, holds a run and ``resume`` is off, or
        holds a run of another configuration.
    """
    stored = folder / files.CONFIG_FILE
    of_a_start = _OF_A_START | {name + end for name in data for end in ("", files.TEMPORARY)}
    with files.writing_to(f"workdir {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        if not stored.exists() and {path.name for path in folder.iterdir()} - of_a_start:
            raise UserError(f"workdir {folder}: expected an empty folder or a run to resume")
        with files.hold_lock(folder):
            if stored.exists():
                _check_same_run(folder, config, resume=resume, extend=extend)
                return
            if resume:
                sys.stderr.write(f"workdir {folder}: holds no run to resume; starting a new one\n")
            files.write_json(folder / files.PROVENANCE_FILE, provenance())
            for name, write in data.items():
                write(folder / name)
            # Written last: its presence makes the folder that of a run.
            files.write_json(stored, json.loads(config.to_json()))


def _check_same_run(
    folder: pathlib.Path, config: ConfigDict, *, resume: bool, extend: bool
) -> None:
    run = Run.open(folder)
    found = difference(run.config, config)
    longer = extend and run.config.get("epochs", 0) < config.epochs
    changes = [change for change in found if not (longer and change[0] == "epochs")]
    if changes:
        listed = "; ".join(f"{path}: {was} -> {now}" for path, was, now in changes)
        hint = ""
        if [change[0] for change in changes] == ["epochs"] and not extend:
            hint = "; --extend goes on with more epochs"
        raise UserError(f"workdir {folder} holds a run of another config: {listed}{hint}")
    if not resume:
        raise UserError(f"workdir {folder} holds a run already: give --resume or another --workdir")
    began, now = run.provenance.get("git_commit"), _commit(_repository())
    if began != now:
        sys.stderr.write(f"warning: the run began at commit {began}, and goes on at {now}\n")
    if longer:
        # Its final metrics are those of fewer epochs. Interrupted here, a resumed run makes them
        # again; with the new configuration it goes on.
        (folder / files.FINAL_FILE).unlink(missing_ok=True)
        files.write_json(folder / files.CONFIG_FILE, json.loads(config.to_json()))
