"""Inputs of loss terms by name: a regular batch, degenerate ones, and transformed copies of it.

An input of a new name needs one line in :data:`GENERATORS`. Where one term takes a common input in
another shape or range, the line is named for both: "cross_entropy.logits".
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tvae.geometry import gyrovectors
from tvae.geometry.padic import PadicTree
from tvae.losses.memory import Queue
from tvae.losses.pairs import Pairs

Batch = dict[str, Any]
Rng = np.random.Generator

TREE = PadicTree(3, 3)
DIM, POSITIONS, CLASSES = 3, 4, 3
CURVATURE = 1.5
STATIC = ("tree", "pair_depth")
"""Inputs that are no arrays."""


def _normal(*shape: int, scale: float = 1.0) -> Callable[[Rng, int], np.ndarray]:
    return lambda rng, n: rng.normal(0.0, scale, (n, *shape))


def _integers(high: int, *shape: int) -> Callable[[Rng, int], np.ndarray]:
    return lambda rng, n: rng.integers(0, high, (n, *shape))


def _scalar(value: float) -> "Generator":
    return Generator(lambda rng, n: np.asarray(value), rows=False, extreme=lambda x: x)


def _lengths(rng: Rng, n: int) -> np.ndarray:
    return rng.uniform(0.0, 2.0, n)


def _points(rng: Rng, n: int) -> np.ndarray:
    return rng.uniform(-0.3, 0.3, (n, DIM))


@dataclasses.dataclass(frozen=True)
class Generator:
    """How an input is drawn and transformed.

    Attributes:
      draw: ``(rng, n_rows) -> array``.
      rows: its first axis is the rows of the batch.
      kind: "flat": points or features, which rotate, move and scale; "value": numbers, which move
        and scale; "ball": points of the ball; "": stays as it is.
      extreme: largest finite values it may take, from regular ones.
    """

    draw: Callable[[Rng, int], Any]
    rows: bool = True
    kind: str = ""
    extreme: Callable[[np.ndarray], np.ndarray] = lambda regular: 30.0 * regular


def _to_boundary(points: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(points, axis=-1, keepdims=True)
    return 0.999 / np.sqrt(CURVATURE) * points / norm


GENERATORS: dict[str, Generator] = {
    "logits": Generator(_normal(POSITIONS, CLASSES)),
    "target": Generator(_integers(CLASSES, POSITIONS)),
    "mu": Generator(_normal(DIM), kind="flat"),
    "logvar": Generator(_normal(DIM), extreme=lambda x: 10.0 * np.sign(x)),
    "z": Generator(_normal(DIM), kind="flat", extreme=_to_boundary),
    "point": Generator(_points, kind="ball", extreme=_to_boundary),
    "decoded_point": Generator(_points, kind="ball", extreme=_to_boundary),
    "parent_point": Generator(_points, kind="ball", extreme=_to_boundary),
    "related": Generator(lambda rng, n: np.eye(n, dtype=bool), rows=False),
    "radius": Generator(_normal(), kind="value"),  # replaced by that of the points
    "c": Generator(lambda rng, n: np.asarray(CURVATURE), rows=False, extreme=lambda c: c),
    "index": Generator(_integers(TREE.n_leaves)),
    "level": Generator(_integers(TREE.n_levels)),  # replaced by that of the index
    "tree": Generator(lambda rng, n: TREE, rows=False),
    "inner": Generator(lambda rng, n: np.asarray(0.1), rows=False, extreme=lambda x: x),
    "outer": Generator(lambda rng, n: np.asarray(0.9), rows=False, extreme=lambda x: x),
    "reference_radius": Generator(_normal()),
    "positive_distance": Generator(lambda rng, n: rng.uniform(0.1, 3.0, (n, 2))),
    "other_distance": Generator(lambda rng, n: rng.uniform(0.1, 3.0, (n, 5))),
    "log_weight": Generator(lambda rng, n: rng.normal(size=(n, 5)), extreme=lambda x: x),
    "temperature": Generator(lambda rng, n: np.asarray(0.5), rows=False, extreme=lambda x: x),
    "other_path": Generator(lambda rng, n: rng.integers(0, 6, (n, 5))),
    "other_common": Generator(lambda rng, n: rng.integers(0, 3, (n, 5))),
    "is_positive": Generator(lambda rng, n: rng.random((n, 2)) < 0.7),
    "label": Generator(_integers(3)),
    "prediction": Generator(_normal(), kind="value"),
    "measured": Generator(_normal(), kind="value"),
    "x": Generator(_normal(DIM), kind="flat"),
    "y": Generator(_normal(DIM), kind="flat"),
    "prior_mu": Generator(_normal(DIM), kind="flat"),
    "prior_logvar": Generator(_normal(DIM), extreme=lambda x: 10.0 * np.sign(x)),
    "class_weight": Generator(lambda rng, n: rng.uniform(0.0, 2.0, CLASSES), rows=False),
    "class_logits": Generator(_normal(8)),  # as many as rows, each of which may be a class
    "outcome": Generator(lambda rng, n: rng.integers(0, 2, n).astype(float), extreme=lambda x: x),
    "observed": Generator(lambda rng, n: rng.random(n) < 0.7),
    "predicted_logvar": Generator(_normal(), extreme=lambda x: 10.0 * np.sign(x)),
    "censored": Generator(lambda rng, n: rng.integers(-1, 2, n) / 1.0, extreme=lambda x: x),
    "task_weight": Generator(lambda rng, n: rng.uniform(0.5, 1.5, 1), rows=False),
    "evidence": Generator(_normal(3)),
    "member": Generator(lambda rng, n: rng.random((n, 5)) < 0.4),
    "boundary": Generator(lambda rng, n: rng.random(n) < 0.6),
    "task_logits": Generator(_normal(CLASSES)),
    "task_correlation": Generator(
        lambda rng, n: rng.uniform(0.0, 1.0, (CLASSES, CLASSES)), rows=False
    ),
    "match_id": Generator(_integers(4)),
    "reference": Generator(_normal(DIM), kind="flat"),
    "queue": Generator(lambda rng, n: rng.normal(size=(5, DIM)), rows=False),
    "neutral": Generator(lambda rng, n: np.arange(n) == 1),
    "forecast_accuracy": Generator(lambda rng, n: np.asarray(0.4), rows=False),
    "codon_logits": Generator(_normal(POSITIONS, 64)),
    "residue_logits": Generator(_normal(POSITIONS, 20)),
    "position_where": Generator(lambda rng, n: rng.uniform(size=(n, POSITIONS)) < 0.8),
    "open_site": Generator(lambda rng, n: rng.uniform(size=(n, POSITIONS)) < 0.5),
    "cd4_cd8": Generator(lambda rng, n: rng.uniform(0.0, 2.0, n)),
    "additive": Generator(_normal(), kind="value"),
    "drug_class": Generator(lambda rng, n: np.array([0, 1, 0]), rows=False),
    "drug_classes.prediction": Generator(_normal(3), kind="value"),
    "task_correlation_match.prediction": Generator(_normal(3), kind="value"),
    "partner": Generator(_points, kind="ball", extreme=_to_boundary),
    "together": Generator(lambda rng, n: rng.integers(0, 2, n) / 1.0, extreme=lambda x: x),
    "profile": Generator(lambda rng, n: rng.normal(size=DIM), rows=False),
    "epitope": Generator(lambda rng, n: rng.normal(size=(2, DIM)), rows=False),
    "pairs": Generator(lambda rng, n: rng.integers(0, n, (2, 8)), rows=False),
    # Inputs of the domains' own terms.
    "entropy_a": _scalar(2.0),
    "entropy_b": _scalar(2.5),
    "noise": Generator(_normal(DIM), extreme=lambda x: 4.0 * x),
    "sample_radius": Generator(_lengths),
    "prior_scale": _scalar(1.5),
    "leading_digit": Generator(_integers(3)),
    "distance": Generator(_lengths),
    "pair_level": Generator(_integers(3)),
    "pair_level_weight": Generator(lambda rng, n: np.full(n, 1.0 / n), extreme=lambda x: x),
    "pair_depth": Generator(lambda rng, n: 3, rows=False),
    "chord": Generator(_lengths),
    "level_gap": Generator(_integers(4)),
    "pair_weight": Generator(lambda rng, n: np.full(n, 1.0 / n), extreme=lambda x: x),
    "tau": _scalar(0.2),
    "weight_radial": _scalar(4.0),
    "weight_geodesic": _scalar(0.5),
    "where": Generator(lambda rng, n: np.ones(n, bool)),
    "key": Generator(lambda rng, n: rng.integers(0, 100), rows=False),
}


@functools.cache
def draw(n_rows: int, seed: int = 0) -> Batch:
    """A regular batch of all inputs; each comes from a stream of its own."""
    batch = {
        name: generator.draw(np.random.default_rng([seed, zlib.crc32(name.encode())]), n_rows)
        for name, generator in GENERATORS.items()
    }
    batch["index"].flat[0] = 0  # the only item of the deepest level
    return _consistent(batch)


def _consistent(batch: Batch) -> Batch:
    """Levels of the items, radii of the points."""
    norm = np.sqrt(CURVATURE) * np.linalg.norm(batch["point"], axis=-1)
    radius = 2.0 / np.sqrt(CURVATURE) * np.arctanh(norm)
    return batch | {"level": np.asarray(TREE.level(batch["index"])), "radius": radius}


def _map_rows(batch: Batch, change: Callable[[str, np.ndarray], np.ndarray]) -> Batch:
    """Change every input that has rows."""
    rows = {name: change(name, x) for name, x in batch.items() if GENERATORS[name].rows}
    return batch | rows


def _map_floats(batch: Batch, change: Callable[[str, np.ndarray], np.ndarray]) -> Batch:
    """Change every input that has rows of floats, and the radii with their points."""
    return _consistent(
        _map_rows(batch, lambda name, x: change(name, x) if x.dtype.kind == "f" else x)
    )


@functools.cache
def degenerate(n_rows: int) -> dict[str, Batch]:
    """Batches on which every term has a finite value and gradient; all have the same shapes."""
    regular = draw(n_rows)
    first = np.arange(n_rows) == 0
    shallow = np.where(first, 0, np.arange(n_rows) % 2 + 1)  # level of 1 and 2 is 0
    empty = np.zeros(n_rows, bool)
    return {
        "regular": regular,
        "all rows equal": _map_rows(regular, lambda _, x: np.repeat(x[:1], n_rows, 0)),
        "zero vectors": _map_floats(regular, lambda _, x: np.zeros_like(x)),
        "boundary": _map_floats(regular, lambda name, x: GENERATORS[name].extreme(x)),
        "missing levels": _consistent(regular | {"index": shallow}),
        "one level": _consistent(regular | {"index": shallow % 2 + 1}),
        "one class each": regular | {"label": np.arange(n_rows)},
        "one class": regular | {"label": np.zeros(n_rows, int)},
        "nowhere": regular | {"where": empty},
        "one row counts": regular | {"where": first},
        "nowhere, zero vectors": _map_floats(regular, lambda _, x: 0 * x) | {"where": empty},
    }


def counted(n_rows: int) -> np.ndarray:
    """The rows that count in :func:`masked`."""
    return np.arange(n_rows) % 2 == 0


@functools.cache
def masked(n_rows: int) -> dict[str, Batch]:
    """Two batches that differ only in rows that do not count."""
    half = counted(n_rows)
    regular, other = draw(n_rows), draw(n_rows, seed=1)

    def refill(name: str, x: np.ndarray) -> np.ndarray:
        return np.where(half.reshape(-1, *[1] * (x.ndim - 1)), x, other[name])

    refilled = _map_rows(regular, refill)
    return {"masked": regular | {"where": half}, "refilled": refilled | {"where": half}}


def permutation(n_rows: int) -> np.ndarray:
    """The order of the rows in the permuted batch."""
    return np.random.default_rng(1).permutation(n_rows)


@functools.cache
def transformed(n_rows: int) -> dict[str, Batch]:
    """Copies of the regular batch, by the name of the invariance that maps it to them."""
    batch = draw(n_rows)
    order = permutation(n_rows)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(DIM, DIM)))[0]

    def change(kinds: set[str], of: Callable[[np.ndarray], np.ndarray]) -> Batch:
        return _map_rows(batch, lambda name, x: of(x) if GENERATORS[name].kind in kinds else x)

    def move(points: np.ndarray) -> np.ndarray:
        by = jnp.broadcast_to(jnp.asarray([0.2, -0.1, 0.3]), points.shape)
        turned = jnp.asarray(points @ rotation, by.dtype)
        return np.asarray(gyrovectors.mobius_add(by, turned, c=CURVATURE))

    permuted = _map_rows(batch, lambda _, x: x[order])
    return {
        "permutation": permuted | {"pairs": np.argsort(order)[batch["pairs"]]},
        "rotation": change({"flat", "ball"}, lambda x: x @ rotation),
        "translation": change({"flat", "value"}, lambda x: x + 0.75),
        "scale": change({"flat", "value"}, lambda x: 2.5 * x),
        "isometry": change({"ball"}, move),
    }


def to_array(x: Any) -> np.ndarray:
    """An input in the dtype of a program."""
    x = np.asarray(x)
    return x.astype({"f": np.float32, "i": np.int32, "b": bool}[x.dtype.kind])


def as_input(name: str, x: jax.Array) -> Any:
    """An input as a term takes it, from its array."""
    if name == "pairs":
        return Pairs(x[0], x[1])
    if name == "queue":  # its last slot is empty
        slot = jnp.arange(x.shape[0])
        return Queue(keys=x, ids=slot % 3, occupied=slot < x.shape[0] - 1, next=slot[-1])
    return jax.random.key(x) if name == "key" else x
