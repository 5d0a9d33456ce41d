"""The checkpoints of a run: written by Orbax in the background, verified when read."""

import contextlib
import dataclasses
import functools
import pathlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from tvae.errors import UserError
from tvae.runs import archive
from tvae.runs.archive import DamagedError, first_line
from tvae.runs.run import checkpoint_steps

DAMAGED = ".damaged"
"""Ending of the name under which a damaged checkpoint is kept aside."""
_REMOVED = ".removed"
"""Subfolder that a checkpoint is moved to, in one instant, before its files are deleted."""


def to_keep(scores: dict[int, float | None]) -> set[int]:
    """Steps of the newest checkpoint and of the best, the earliest of equals.

    >>> sorted(to_keep({1: 0.5, 2: 0.9, 3: 0.9, 4: 0.1, 5: None}))
    [2, 5]
    """
    scored = {step: score for step, score in scores.items() if score is not None}
    best = sorted(scored, key=lambda step: (-scored[step], step))[:1]
    return {max(scores), *best} if scores else set()


@dataclasses.dataclass(frozen=True)
class _LatestAndBest(checkpoint_managers.PreservationPolicy):
    """Orbax's policy with scores of the sealed records: its own forgets them at a restart."""

    scores: dict[int, float | None]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """One answer for each of Orbax's checkpoint infos."""
        del context
        keep = to_keep({info.step: self.scores.get(info.step) for info in checkpoints})
        return [info.step in keep for info in checkpoints]


class RunCheckpoints:
    """The checkpoints of one run, of which the latest and the best are kept.

    A save copies the state to host memory and returns; Orbax writes it in the background, names the
    folder by its step when it is complete, and then moves older ones out of the way.
    """

    def __init__(self, folder: pathlib.Path, *, read_only: bool = False) -> None:
        """Open a folder of checkpoints; without ``read_only``, clear what a kill left there."""
        self.folder = folder
        self._read_only = read_only
        self._scores: dict[int, float | None] = {}
        for step in checkpoint_steps(self.folder):
            with contextlib.suppress(DamagedError):  # named by restore_newest
                score = archive.read_record(folder / str(step)).get("score")
                self._scores[step] = score if isinstance(score, float) else None
        self._last_saved = -1  # none yet
        self._quiet = contextlib.ExitStack()
        if not read_only:
            for path in [*folder.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"), folder / _REMOVED]:
                shutil.rmtree(path, ignore_errors=True)
            self._quiet.enter_context(archive.without_tracebacks())

    @functools.cached_property
    def _manager(self) -> ocp.CheckpointManager:
        """Orbax's manager, opened by the first save: only then must every folder be intact."""
        policy = _LatestAndBest(self._scores)
        options = ocp.CheckpointManagerOptions(preservation_policy=policy, todelete_subdir=_REMOVED)
        return ocp.CheckpointManager(self.folder.absolute(), options=options)

    def newest(self) -> str:
        """Path of the newest checkpoint, written or being written, for messages."""
        return str(self.folder / str(max(self._scores))) if self._scores else "none"

    def save(self, step: int, state: Any, progress: dict[str, Any], *, score: float | None) -> None:
        """Copy a state and let Orbax write it in the background; an existing step is kept.

        ``progress`` is JSON-compatible; of ``score``, larger is better, and None is not evaluated.

        Raises:
          UserError: if it cannot be written, or an earlier one could not.
        """
        self.wait()
        if step in self._scores:
            return
        arrays = archive.flatten(archive.on_host(state))
        record = archive.seal(arrays, archive.version() | {"score": score, "progress": progress})
        self._scores[step], self._last_saved = score, step
        with self._raise_as_user_error():
            manager = self._manager  # makes the folder
            archive.reserve(self.folder, sum(array.nbytes for array in arrays.values()))
            items = {archive.ARRAYS: ocp.args.StandardSave(arrays)}
            items |= {archive.RECORD: ocp.args.JsonSave(record)}
            saved = manager.save(step, args=ocp.args.Composite(**items))
        if not saved:
            raise UserError(f"checkpoint {self.folder / str(step)}: Orbax declined to save it")

    @contextlib.contextmanager
    def _raise_as_user_error(self) -> Iterator[None]:
        """Turn a failed write of the last checkpoint into one line."""
        try:
            yield
        # The disk is full, or gone: OSError from here, ValueError from TensorStore.
        except Exception as error:
            self._scores.pop(self._last_saved, None)
            raise UserError(
                f"checkpoint {self.folder / str(self._last_saved)} could not be saved: "
                f"{first_line(error)}; earlier ones are intact"
            ) from error

    def check(self) -> None:
        """Raise the error of a failed write, without waiting for one that goes on.

        Raises:
          UserError: naming the checkpoint.
        """
        if self._last_saved >= 0:
            with self._raise_as_user_error():
                self._manager.check_for_errors()

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
          UserError: if a checkpoint could not be written.
        """
        if self._last_saved >= 0:
            with self._raise_as_user_error():
                self._manager.wait_until_finished()
            shutil.rmtree(self.folder / _REMOVED, ignore_errors=True)

    def restore(self, step: int, target: Any, *, part: bool = False) -> tuple[Any, dict[str, Any]]:
        """State, of NumPy arrays in the structure of ``target``, and progress of a checkpoint.

        With ``part`` the checkpoint may hold more than the target.

        Raises:
          DamagedError: if its content does not match its digest.
          UserError: if it is of another version, or of another structure, shape or dtype.
        """
        self.wait()
        where = self.folder / str(step)
        try:
            arrays, record = archive.read(where)
        except DamagedError:
            archive.check_format(where)
            raise
        archive.check_version(record, where)
        wanted = archive.flatten(target)
        if part:
            arrays = {name: array for name, array in arrays.items() if name in wanted}
        archive.check_arrays(arrays, wanted, where)
        leaves = [arrays[name] for name in wanted]
        return jax.tree.unflatten(jax.tree.structure(target), leaves), record["progress"]

    def restore_newest(
        self, target: Any, *, part: bool = False
    ) -> tuple[Any, dict[str, Any]] | None:
        """Read the newest intact checkpoint, as :meth:`restore`, and name damaged ones before it.

        Those are set aside under another name, so that the run can save their steps again. None
        where there is no checkpoint at all.

        Raises:
          UserError: if all are damaged, or the newest intact one is not this version's or target's.
        """
        self.wait()
        damaged: dict[int, str] = {}
        for step in reversed(checkpoint_steps(self.folder)):
            try:
                restored = self.restore(step, target, part=part)
            except DamagedError as error:
                damaged[step] = str(error)
                continue
            for bad, message in damaged.items():
                sys.stderr.write(f"warning: {message}; going back to step {step}\n")
                self._set_aside(bad)
            self._tidy()
            return restored
        if damaged:
            raise UserError(f"no intact checkpoint: {'; '.join(damaged.values())}")
        return None

    def _set_aside(self, step: int) -> None:
        self._scores.pop(step, None)
        if not self._read_only:
            path = self.folder / str(step)
            aside = path.with_name(path.name + DAMAGED)
            if aside.exists():
                shutil.rmtree(aside)
            path.rename(aside)

    def _tidy(self) -> None:
        """Delete old checkpoints that a killed run left, and set damaged ones aside."""
        if self._read_only:
            return
        for step in checkpoint_steps(self.folder):
            if step not in self._scores:
                sys.stderr.write(f"warning: checkpoint {self.folder / str(step)} cannot be read\n")
                self._set_aside(step)
        for step in self._scores.keys() - to_keep(self._scores):
            self._manager.delete(step)
            del self._scores[step]

    def __enter__(self) -> "RunCheckpoints":
        """Open for the length of a block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the writes; an error in the block takes precedence over theirs."""
        with contextlib.suppress(*([UserError] if kind else [])):
            self.close()

    def close(self) -> None:
        """Finish pending writes and release the manager.

        Raises:
          UserError: if a checkpoint could not be written.
        """
        try:
            self.wait()
        finally:
            if "_manager" in self.__dict__:
                with contextlib.suppress(Exception):  # wait() has reported it
                    self._manager.close()
            shutil.rmtree(self.folder / _REMOVED, ignore_errors=True)
            self._quiet.close()
