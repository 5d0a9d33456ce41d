"""Checkpoints: those of a run, written in the background, and parameters alone as they ship."""

import json
import pathlib
import re
import shutil
import sys
import threading
from concurrent import futures
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

import tvae
from tvae.training import archive
from tvae.training.archive import DamagedError, digest, first_line
from tvae.types import UserError

FORMAT = 2
"""Number of the layout of a run's checkpoints; raised with every change of it."""

_MARKER = "commit_success.txt"
PARAMS_FOLDER = "params"
METADATA_FILE = "metadata.json"
_LEFT_BY_A_KILL = (archive.PARTIAL, archive.REMOVED)
DAMAGED = ".damaged"
"""Ending of the name under which a damaged checkpoint is kept aside."""


def _on_host(tree: Any) -> Any:
    """A copy in host memory: the device buffers are donated to the next step.

    ``device_get`` alone would not do: on the CPU it returns views of these very buffers.
    """
    return jax.tree.map(lambda leaf: np.array(leaf, copy=True), jax.device_get(tree))


def version() -> dict[str, Any]:
    """What has to be equal for a run to go on: the layout's number and the package's version."""
    return {"format": FORMAT, "tvae": tvae.__version__}


def to_keep(scores: dict[int, float | None]) -> set[int]:
    """Steps of the newest checkpoint and of the best, the earliest of equals.

    >>> sorted(to_keep({1: 0.5, 2: 0.9, 3: 0.9, 4: 0.1, 5: None}))
    [2, 5]
    """
    scored = {step: score for step, score in scores.items() if score is not None}
    best = sorted(scored, key=lambda step: (-scored[step], step))[:1]
    return {max(scores), *best} if scores else set()


def _describe(leaf: Any) -> str:
    return "absent" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"


def _check_same_layout(found: dict[str, Any], wanted: dict[str, Any], where: pathlib.Path) -> None:
    """Refuse arrays whose names, dtypes or shapes differ from the target's."""
    for name in sorted(found.keys() | wanted.keys()):
        old, new = (_describe(tree.get(name)) for tree in (found, wanted))
        if old != new:
            raise UserError(f"checkpoint {where}: {name} is {old}, expected {new}")


def _check_version(record: dict[str, Any], where: pathlib.Path) -> None:
    """Refuse what another version wrote."""
    for name, ours in version().items():
        theirs = record.get(name, "(absent)")
        if theirs != ours:
            raise UserError(f"checkpoint {where} is of another version: {name} {theirs} -> {ours}")


def _check_format(where: pathlib.Path) -> None:
    """Refuse, as of another version, what only looks damaged because its layout is another."""
    # Format 1 had this folder in place of the record.
    old = (where / "progress").is_dir() and not (where / archive.RECORD).exists()
    record = {"format": 1} if old else archive.read_record(where)
    if record.get("format") != FORMAT:
        _check_version(record, where)


class RunCheckpoints:
    """The checkpoints of one run: the latest and the best are kept.

    A save copies the state to host memory and returns; a thread does the rest. One that is waiting
    is dropped as soon as it is neither the latest nor the best, so that saves never queue up. The
    names of folders, not their times, say which is newer.

    Attributes:
      folder: where they lie, one folder each, named by its step.
    """

    def __init__(self, folder: pathlib.Path, *, read_only: bool = False) -> None:
        """Open a folder of checkpoints; without ``read_only``, clear what a kill left there."""
        self.folder = folder
        self._read_only = read_only
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[dict[str, np.ndarray], dict[str, Any]]] = {}
        self._writes: list[futures.Future[None]] = []
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if path.suffix in _LEFT_BY_A_KILL:
                    shutil.rmtree(path)
        self._written = {step: self._score(step) for step in self._steps()}

    def _steps(self) -> list[int]:
        names = [path.name for path in self.folder.glob("*")]
        return sorted(int(name) for name in names if re.fullmatch(r"\d+", name))

    def _score(self, step: int) -> float | None:
        """The score of a checkpoint; none where it was saved without, or is damaged."""
        try:
            score = archive.read_record(self.folder / str(step)).get("score")
        except DamagedError:
            return None
        return score if isinstance(score, float) else None

    def latest(self) -> int | None:
        """Step of the newest checkpoint, written or waiting, or None."""
        with self._lock:
            return max([*self._written, *self._waiting], default=None)

    def newest(self) -> str:
        """Where the newest checkpoint is, for people."""
        step = self.latest()
        return "none" if step is None else str(self.folder / str(step))

    def save(self, step: int, state: Any, progress: dict[str, Any], *, score: float | None) -> None:
        """Take a copy of a state and write it in the background.

        The folder appears only when it is complete, and older ones go only after that.

        Args:
          step: steps taken; a checkpoint of this step may exist already and is kept.
          state: training state.
          progress: JSON-compatible values that the loop needs to go on.
          score: larger is better; None for a state that was not evaluated.

        Raises:
          UserError: if an earlier write failed.
        """
        self.check()
        with self._lock:
            if step in self._written or step in self._waiting:
                return
        arrays = archive.flatten(_on_host(state))
        record = version() | {"score": score, "progress": progress}
        with self._lock:
            self._waiting[step] = (arrays, record)
            keep = to_keep({s: r["score"] for s, (_, r) in self._waiting.items()} | self._written)
            self._waiting = {s: w for s, w in self._waiting.items() if s in keep}
        self._writes.append(self._thread.submit(self._write_next))

    def _write_next(self) -> None:
        """Write the oldest waiting checkpoint, then delete what need not be kept any more."""
        with self._lock:
            if not self._waiting:
                return
            step = min(self._waiting)
            arrays, record = self._waiting[step]
        where = self.folder / str(step)
        try:
            archive.write(where, arrays, record)
            with self._lock:
                self._waiting.pop(step, None)  # a newer and better one may have replaced it there
                self._written[step] = record["score"]
                dropped = self._written.keys() - to_keep(self._written)
                for old in dropped:
                    del self._written[old]
            for old in dropped:
                archive.remove(self.folder / str(old))
        # The disk is full, or gone: OSError from here, ValueError from TensorStore.
        except Exception as error:
            raise UserError(
                f"checkpoint {where} could not be saved: {first_line(error)}; earlier ones are "
                "intact"
            ) from error

    def check(self) -> None:
        """Raise the error of a write that failed since.

        Raises:
          UserError: naming the checkpoint.
        """
        done = [write for write in self._writes if write.done()]
        self._writes = [write for write in self._writes if write not in done]
        for write in done:
            write.result()

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
          UserError: if something could not be.
        """
        futures.wait(self._writes)
        self.check()

    def restore(self, step: int, target: Any) -> tuple[Any, dict[str, Any]]:
        """Read a checkpoint, after waiting for what is still being written.

        Args:
          step: which one.
          target: a tree of the same structure as the saved state.

        Returns:
          ``(state, progress)``; arrays are NumPy arrays.

        Raises:
          DamagedError: if it is not what was written.
          UserError: if it is of another version, or of another structure, shape or dtype.
        """
        self.wait()
        where = self.folder / str(step)
        try:
            arrays, record = archive.read(where)
        except DamagedError:
            _check_format(where)
            raise
        _check_version(record, where)
        wanted = archive.flatten(target)
        _check_same_layout(arrays, wanted, where)
        leaves = [arrays[name] for name in wanted]
        return jax.tree.unflatten(jax.tree.structure(target), leaves), record["progress"]

    def restore_newest(self, target: Any) -> tuple[Any, dict[str, Any]] | None:
        """Read the newest intact checkpoint and name the damaged ones before it.

        Those are set aside under another name, so that the run can save their steps again.

        Args:
          target: a tree of the same structure as the saved state.

        Returns:
          ``(state, progress)``, or None where there is no checkpoint at all.

        Raises:
          UserError: if all are damaged, or the newest intact one is of another version or layout.
        """
        self.wait()
        damaged: dict[int, str] = {}
        for step in reversed(self._steps()):
            try:
                restored = self.restore(step, target)
            except DamagedError as error:
                damaged[step] = str(error)
                continue
            for bad, message in damaged.items():
                self._set_aside(bad)
                sys.stderr.write(f"warning: {message}; going back to step {step}\n")
            return restored
        if damaged:
            raise UserError(f"no intact checkpoint: {'; '.join(damaged.values())}")
        return None

    def _set_aside(self, step: int) -> None:
        if not self._read_only:
            path = self.folder / str(step)
            aside = path.with_name(path.name + DAMAGED)
            if aside.exists():
                shutil.rmtree(aside)
            path.rename(aside)
        del self._written[step]

    def __enter__(self) -> "RunCheckpoints":
        """Open for the length of a block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the writes; an error in the block is worth more than theirs."""
        if kind is None:
            self.close()
        else:
            self._thread.shutdown(wait=True)

    def close(self) -> None:
        """Finish what is waiting and release the thread.

        Raises:
          UserError: if something could not be written.
        """
        self._thread.shutdown(wait=True)
        self.check()


def save_params(folder: pathlib.Path, params: Any, metadata: dict[str, Any]) -> None:
    """Write parameters and what is known about them, as ``checkpoints/`` ships them.

    Args:
      folder: must not exist; gets ``params/`` (Orbax) and ``metadata.json``.
      params: parameter tree.
      metadata: JSON-compatible; the digest of the parameters is added as ``sha256``.

    Raises:
      UserError: if the folder exists or cannot be written.
    """
    if folder.exists():
        raise UserError(f"output folder {folder}: exists already")
    params = _on_host(params)
    try:
        folder.mkdir(parents=True)
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute() / PARAMS_FOLDER, params)
        # Orbax writes the folder's absolute path into its marker: not for others to read.
        (folder / PARAMS_FOLDER / _MARKER).write_text("Checkpoint commit was successful\n")
        text = json.dumps(metadata | {"sha256": digest(params)}, indent=2)
        (folder / METADATA_FILE).write_text(text + "\n")
    except OSError as error:
        raise UserError(f"output folder {folder}: {first_line(error)}") from error


def load_params(folder: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    """Read what :func:`save_params` wrote.

    Args:
      folder: with ``params/`` and ``metadata.json``.

    Returns:
      ``(params, metadata)``; arrays are NumPy arrays.

    Raises:
      UserError: if it is missing or damaged.
    """
    for needed in (folder / PARAMS_FOLDER, folder / METADATA_FILE):
        if not needed.exists():
            raise UserError(f"checkpoint {folder}: {needed.name} is missing")
    try:
        metadata = json.loads((folder / METADATA_FILE).read_text())
        params = archive.read_arrays(folder.absolute() / PARAMS_FOLDER)
        intact = metadata["sha256"] == digest(params)
    # As in archive.read: damage shows by many types.
    except Exception as error:
        raise UserError(f"checkpoint {folder} cannot be read: {first_line(error)}") from error
    if not intact:
        raise UserError(f"checkpoint {folder} is damaged: its content does not match its digest")
    return params, metadata
