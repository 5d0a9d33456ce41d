"""A run while it is trained: its log, its checkpoints, and how far it is."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from tvae.engine import stopping
from tvae.engine.step import TrainState
from tvae.engine.task import Params
from tvae.errors import DivergedError
from tvae.runs import checkpoint, files, log

# A constant radius has no rank correlation: finite weights may give metrics that are not.
_LOST = "training has diverged or collapsed"
_LARGEST_WEIGHT = 1e3
"""Root mean square of the weights beyond which a model is lost, however small its loss. Networks of
float32 have 0.01 to 10; a learning rate of 1e6 moves each weight by so much in a step."""

Rows = list[tuple[int, dict[str, Any]]]
"""Epoch (0-based) and metrics."""


def _not_finite(metrics: Mapping[str, Any]) -> str:
    """The first metrics that are not finite, as "val/loss is nan and 2 more"; "" if there is none.

    >>> _not_finite({"a": 1.0, "b": float("nan"), "c": [0.0, float("inf")]})
    'b is nan, c is [0.0, inf]'
    """
    bad = [name for name, value in metrics.items() if not np.isfinite(value).all()]
    some = ", ".join(f"{name} is {metrics[name]}" for name in bad[:3])
    return some + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")


def count_weights(params: Params) -> int:
    """How many numbers the parameters of one model are."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


class Record:
    """The working directory of a run that is trained, held and written by this process.

    Attributes:
      config: of the run.
      progress: how far it is.
      store: its checkpoints.
    """

    def __init__(
        self,
        config: ConfigDict,
        workdir: pathlib.Path,
        store: checkpoint.RunCheckpoints,
        opened: contextlib.ExitStack,
    ) -> None:
        """Use :meth:`open`; ``opened`` closes ``store``, and the log after it was opened."""
        self.config, self.store = config, store
        self.progress = stopping.Progress()
        self._workdir = workdir
        self._log: log.Log | None = None
        self._open = opened

    @classmethod
    @contextlib.contextmanager
    def open(cls, config: ConfigDict, workdir: pathlib.Path) -> Iterator["Record"]:
        """Hold an existing folder until the end of the block.

        Raises:
          UserError: if the folder cannot be written or another process trains there.
        """
        with files.hold_lock(workdir), contextlib.ExitStack() as opened:
            folder = workdir / files.CHECKPOINTS
            store = opened.enter_context(checkpoint.RunCheckpoints(folder))
            yield cls(config, workdir, store, opened)

    def close(self) -> None:
        """Close log and checkpoints when the last epoch is done; the folder is held on.

        Raises:
          UserError: if something could not be written.
        """
        self._open.close()

    def restore(self, shapes: TrainState) -> TrainState | None:
        """The state of the newest intact checkpoint, arrays in host memory; None without any.

        Raises:
          UserError: if no checkpoint is intact, or the newest is of another structure.
        """
        found = self.store.restore_newest(shapes)
        if found is None:
            return None
        state, saved = found
        self.progress = stopping.Progress(**saved)
        return state

    def open_log(self) -> None:
        """Open the log, of which the rows of epochs that are trained again are dropped."""
        self._log = self._open.enter_context(
            log.open_log(self._workdir, first_epoch=self.progress.epoch)
        )

    @property
    def finished(self) -> bool:
        """Whether no more epoch is to be trained."""
        return stopping.is_finished(self.config, self.progress)

    def write(self, rows: Rows, *, in_a_row: int, steps: int, n_weights: int) -> Rows:
        """Write the metrics of the next epochs.

        Args:
          rows: of consecutive epochs, on the host.
          in_a_row: steps in a row, up to the last, that were not finite.
          steps: per epoch.
          n_weights: see :func:`count_weights`.

        Returns:
          The rows as written.

        Raises:
          DivergedError: if they are not finite, or weights are lost.
        """
        rows = check_rows(
            rows,
            in_a_row=in_a_row,
            steps=steps,
            limit=self.config.optimizer.max_nonfinite_steps,
            n_weights=n_weights,
            last_good=self.store.newest(),
        )
        assert self._log is not None, "open_log() comes before the first row"  # noqa: S101
        for epoch, row in rows:
            self._log.write(epoch, row)
        self.progress.epoch += len(rows)
        return rows

    def keep(self, metrics: dict[str, Any], state: TrainState) -> None:
        """Note an improvement, and save when one, the interval or the end asks for it."""
        config, progress = self.config, self.progress
        score = stopping.score(config, metrics)
        stopping.watch(config, progress, metrics)
        improved = score > progress.best_score + config.early_stop.min_delta
        if improved:
            progress.best_score, progress.best_epoch = score, progress.epoch
        due = progress.epoch % config.checkpoint.every_epochs == 0
        if improved or due or self.finished:
            self._save(state, score)

    def save_unscored(self, state: TrainState) -> None:
        """Save at a signal, where no evaluation may have been due, and wait until it is written."""
        self._save(state, None)
        self.store.wait()

    def _save(self, state: TrainState, score: float | None) -> None:
        self.store.save(int(state.step), state, dataclasses.asdict(self.progress), score=score)

    def finish(self, final: Mapping[str, Any]) -> dict[str, Any]:
        """Write the final metrics; they come back as plain numbers and lists.

        Raises:
          DivergedError: if one is not finite.
        """
        plain = files.to_plain(final)
        if bad := _not_finite(plain):
            raise DivergedError(
                f"{bad} in the final evaluation: {_LOST}; lower the learning rate. "
                f"Its parameters are in {self._workdir / files.CHECKPOINTS}"
            )
        progress = self.progress
        plain |= {"train/epochs": progress.epoch, "train/best_epoch": progress.best_epoch}
        log.write_final(self._workdir, plain)
        return plain


def check_rows(
    rows: Rows, *, in_a_row: int, steps: int, limit: int, n_weights: int, last_good: str
) -> Rows:
    """Refuse metrics that are not finite, and lost weights.

    Args:
      rows: of consecutive epochs, on the host.
      in_a_row: steps in a row, up to the last, that were not finite.
      steps: per epoch.
      limit: how many steps in a row may be skipped.
      n_weights: numbers in the parameters.
      last_good: the newest checkpoint, for the message.

    Returns:
      The rows, without means over no step at all.

    Raises:
      DivergedError: naming the metrics and their steps.
    """
    halted = in_a_row > limit
    for epoch, metrics in rows:
        first, last = epoch * steps, (epoch + 1) * steps - 1
        if halted:
            last = (rows[-1][0] + 1) * steps - 1
            first = last - in_a_row + 1
        elif metrics["train/skipped_updates"] == steps:
            for name in [n for n, v in metrics.items() if n[:6] == "train/" and math.isnan(v)]:
                del metrics[name]  # the mean of no step at all
        bad, norm = _not_finite(metrics), metrics["train/weight_norm"]
        if not bad and norm > _LARGEST_WEIGHT * math.sqrt(n_weights):
            bad = f"train/weight_norm is {norm:.3g}"
        if bad:
            raise DivergedError(
                f"{bad} in epoch {epoch} (steps {first} to {last}): {_LOST}"
                + (f" for more than {limit} steps in a row" if halted else "")
                + f"; lower the learning rate. Last good checkpoint: {last_good}"
            )
    return rows
