"""Orbax checkpoints: the state of a run, and parameters alone as they are shipped.

Every checkpoint carries a SHA-256 digest of its arrays, so that a file that rotted is refused
instead of silently used.
"""

import hashlib
import json
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from tvae.training import optim
from tvae.types import UserError

_STATE, _PROGRESS = "state", "progress"
_MARKER = "commit_success.txt"
PARAMS_FOLDER = "params"
METADATA_FILE = "metadata.json"


def digest(tree: Any) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of a tree of arrays."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.asarray(leaf)
        sha.update(f"{optim.path_name(path)} {array.dtype} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _on_host(tree: Any) -> Any:
    """A copy in host memory: the device buffers are donated to the next step."""
    return jax.tree.map(np.array, jax.device_get(tree))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def _check_same_layout(tree: Any, target: Any, where: pathlib.Path) -> None:
    """Refuse a restored tree whose dtypes or shapes differ from the target's."""
    for (path, leaf), wanted in zip(
        jax.tree_util.tree_flatten_with_path(tree)[0], jax.tree.leaves(target), strict=True
    ):
        if leaf.shape != wanted.shape or leaf.dtype != wanted.dtype:
            raise UserError(
                f"checkpoint {where}: {optim.path_name(path)} is {leaf.dtype}{list(leaf.shape)}, "
                f"expected {wanted.dtype}{list(wanted.shape)}"
            )


class RunCheckpoints:
    """The checkpoints of one run: the latest and the best are kept.

    Attributes:
      folder: where they lie.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        policies = ocp.checkpoint_managers
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy(
                    [
                        policies.LatestN(1),
                        policies.BestN(get_metric_fn=lambda metrics: metrics["score"], n=1),
                    ]
                ),
                enable_async_checkpointing=False,
            ),
        )

    def latest(self) -> int | None:
        """Step of the newest checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, progress: dict[str, Any], *, score: float) -> None:
        """Write a checkpoint; the folder appears only when it is complete.

        Args:
          step: steps taken; a checkpoint of this step may exist already and is kept.
          state: training state.
          progress: JSON-compatible values that the loop needs to go on.
          score: larger is better.

        Raises:
          UserError: if the folder cannot be written.
        """
        if step in self._manager.all_steps():
            return
        state = _on_host(state)
        try:
            saved = self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{
                        _STATE: ocp.args.StandardSave(state),
                        _PROGRESS: ocp.args.JsonSave(progress | {"sha256": digest(state)}),
                    }
                ),
                metrics={"score": score},
            )
        except OSError as error:
            raise UserError(
                f"checkpoint {self.folder / str(step)}: {_first_line(error)}"
            ) from error
        if not saved:
            raise UserError(f"checkpoint {self.folder / str(step)}: Orbax declined to save it")

    def restore(self, step: int, target: Any) -> tuple[Any, dict[str, Any]]:
        """Read a checkpoint.

        Args:
          step: which one.
          target: a tree of the same structure as the saved state.

        Returns:
          ``(state, progress)``.

        Raises:
          UserError: if it is damaged or of another shape.
        """
        where = self.folder / str(step)
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        try:
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    **{
                        _STATE: ocp.args.StandardRestore(shapes),
                        _PROGRESS: ocp.args.JsonRestore(),
                    }
                ),
            )
            state, progress = restored[_STATE], restored[_PROGRESS]
            intact = progress.pop("sha256") == digest(state)
        # Orbax and TensorStore report damage by many types, and none of them is ours to handle.
        except Exception as error:
            raise UserError(f"checkpoint {where} cannot be read: {_first_line(error)}") from error
        _check_same_layout(state, target, where)
        if not intact:
            raise UserError(f"checkpoint {where} is damaged: its content does not match its digest")
        return state, progress

    def close(self) -> None:
        """Release the manager."""
        self._manager.close()


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
        raise UserError(f"output folder {folder}: {_first_line(error)}") from error


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
        with ocp.StandardCheckpointer() as checkpointer:
            source = folder.absolute() / PARAMS_FOLDER
            shapes = checkpointer.metadata(source).item_metadata.tree
            target = jax.tree.map(lambda m: np.empty(m.shape, m.dtype), shapes)
            params = checkpointer.restore(source, target)
        intact = metadata["sha256"] == digest(params)
    # As in RunCheckpoints.restore: damage shows by many types.
    except Exception as error:
        raise UserError(f"checkpoint {folder} cannot be read: {_first_line(error)}") from error
    if not intact:
        raise UserError(f"checkpoint {folder} is damaged: its content does not match its digest")
    return params, metadata
