"""``Views`` and ``Items``: functions of a trained model, and the finite set of its items.

The engine takes a :class:`~tvae.engine.task.Task`, the public :class:`~tvae.model.Model` takes a
:class:`Views`, which the domain makes of a configuration. Everything above the domains asks these
two, and none of it depends on what an item is.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from tvae.domains.inputs import as_numbers
from tvae.engine.task import Metrics, Params
from tvae.errors import UserError
from tvae.geometry.tree import Tree

BALL, LATENT = "ball", "latent"
"""The spaces that a decoder can read: points of the Poincaré ball, or Euclidean latents."""


@flax.struct.dataclass
class Posterior:
    """Posterior parameters of the encoders, each ``(..., latent_dim)``.

    Attributes:
      mu_a: mean of encoder A; Euclidean, before any projection into the ball.
      logvar_a: log-variance of A.
      mu_b: mean of encoder B; None where the model has one encoder.
      logvar_b: log-variance of B; None where the model has one encoder.
    """

    mu_a: jax.Array
    logvar_a: jax.Array
    mu_b: jax.Array | None = None
    logvar_b: jax.Array | None = None


@flax.struct.dataclass
class Points:
    """Points of a Poincaré ball.

    Attributes:
      z: ``(..., latent_dim)``.
      c: curvature magnitude, a scalar.
    """

    z: jax.Array
    c: jax.Array


@flax.struct.dataclass
class Predictions:
    """Predicted quantities of items, in the unit in which they were given for training.

    Attributes:
      value: ``(..., labels)``.
      low: lower ends of intervals, ``(levels, ..., labels)``; minus infinity, or 0 of a logarithmic
        scale, where too few values were known.
      high: upper ends, the same with infinity.
    """

    value: jax.Array
    low: jax.Array
    high: jax.Array


class Placement(NamedTuple):
    """Places of n new items.

    Attributes:
      point: in the ball, or in Euclidean space, ``(n, latent_dim)``.
      neighbour: the nearest items that training saw, int32 ``(n, k)``, nearest first.
      distance: of these, in the model's own space, ``(n, k)``.
      lineage: predicted ancestors of each item from the first level down, label and probability.
    """

    point: jax.Array
    neighbour: jax.Array
    distance: jax.Array
    lineage: list[list[tuple[str, float]]]


class ScoredPairs(NamedTuple):
    """Pairs of items of a file: is the second above the first?

    Attributes:
      item: names, ``(n,)``.
      ancestor: names, ``(n,)``.
      score: larger for pairs that are more probably true, ``(n,)``.
      true: what the model takes as true, bool ``(n,)``.
      metrics: number of pairs, threshold; F1, precision and recall where the file has labels.
    """

    item: np.ndarray
    ancestor: np.ndarray
    score: np.ndarray
    true: np.ndarray
    metrics: dict[str, Any]


@flax.struct.dataclass
class Attribution:
    """What the numbers of items add to predictions, on the scale on which labels are learnt.

    Attributes:
      parts: ``(labels, n, *input_shape)``.
      start: prediction of the item whose numbers are all 0 ``(labels,)``; with the sum of an item's
        parts it gives the item's prediction.
    """

    parts: jax.Array
    start: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Items of a file, and what was measured of them.

    Attributes:
      names: of the items.
      x: ``(n, *input_shape)``.
      measured: ``(n, labels)``, NaN where nothing was measured.
      censored: ``(n, labels)``, 1 where the truth is at least the measured value, -1 at most.
      warnings: of each item, such as letters that training never saw; empty texts for none.
      problems: ``file:line: reason`` of rows left out and of cells repaired.
    """

    names: tuple[str, ...]
    x: jax.Array
    measured: np.ndarray
    censored: np.ndarray
    warnings: tuple[str, ...]
    problems: tuple[str, ...]


Call = Callable[[Params, jax.Array], Any]
Gaussians = dict[str, tuple[jax.Array, jax.Array]]
"""Encoder -> mean and log-variance, ``(..., latent_dim)`` each."""

_LATER: Any = None  # a function that __post_init__ derives from others


@dataclasses.dataclass(frozen=True, eq=False)
class Items:
    """A finite set of items, numbered from 0.

    Attributes:
      name: of the items in the plural, for messages and file names.
      count: number of items.
      inputs: index ``(...)`` -> items ``(..., *input_shape)`` as the encoder takes them.
      as_index: a caller's indices ``(N,)`` or ``()`` -> int32 of the same shape. Raises UserError
        if one of them is not an index.
      read: a decoder's outputs for ``(...)`` latents -> index ``(...)`` of the most probable items,
        int32; -1 where the outputs are not an item.
      columns: index ``(n,)`` -> name -> ``(n,)`` or ``(n, k)``: columns of a table.
      labels: index ``(n,)`` -> one short text for each item.
      label_name: of that text.
      tree: over the items, or None where they have no hierarchy.
      level_name: of an item's level in the tree.
      pair_name: of the level of two items' common ancestor, as an axis title.
      pair_label: that level -> tick label.
      node_label: label of an item below a node of the tree, and the node's depth -> text of the
        node. By default the item's label.
    """

    name: str
    count: int
    inputs: Callable[[jax.Array], jax.Array]
    as_index: Callable[[ArrayLike], jax.Array]
    read: Callable[[Any], jax.Array]
    columns: Callable[[jax.Array], Mapping[str, jax.Array]]
    labels: Callable[[jax.Array], list[str]]
    label_name: str = "label"
    tree: Tree | None = None
    level_name: str = "level"
    pair_name: str = "level of the common ancestor"
    pair_label: Callable[[int], str] = str
    node_label: Callable[[str, int], str] = lambda label, _: label

    def exact(self, outputs: Any, index: jax.Array) -> jax.Array:
        """Whether a decoder's outputs for ``(...)`` latents are the items ``(...)``; bool."""
        return self.read(outputs) == index

    def spread(self, n: int) -> jax.Array:
        """Indices of at most ``n`` items, evenly spread over the set; int32 ``(min(n, count),)``.

        The first and the last item are among them.
        """
        return jnp.asarray(np.linspace(0, self.count - 1, min(n, self.count)), jnp.int32)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Views:
    """Functions of a kind of model, each pure and with the parameters first.

    Attributes:
      latent_dim: dimension of latents and of the ball.
      input_shape: of one item, as the encoder takes it.
      input_dtype: in which an exported program takes items.
      about: what an item and a decoder's outputs are, for the reader of an exported model.
      as_input: a caller's items -> ``(..., *input_shape)`` as the encoder takes them. Raises
        UserError if they are not items. By default arrays of that shape, as float32.
      examples: ``n -> (at most n, *input_shape)``, the same items at every call, as the encoder
        takes them; checks of exported programs run on them. By default standard normal numbers.
      encode: ``(params, x) -> Posterior`` of items ``(..., *input_shape)``.
      posteriors: ``(params, x) -> {encoder: (mean, logvar)}`` in units in which the prior is the
        standard normal distribution. By default those of ``encode``.
      embed: name ("a", "b") -> ``(params, x) -> Points``; empty where there is no ball.
      decode: space -> name -> ``(params, z) -> outputs``, an array that leads with the axes of
        ``z``. The first space is the one that the model's own forward pass decodes from.
      prior: ``(params, key, n) -> z`` ``(n, latent_dim)``, draws of the prior in that first space.
        By default the standard normal distribution.
      measure: ``(params, key, recorded) -> metrics``, the final evaluation as far as parameters
        determine it; ``recorded`` are figures of the end of training. Compiles in parts: not for
        ``jit``.
      distance: ``(params, i, j) -> lengths`` of items, in the model's own space; None where the
        points of the ball determine it.
      nearest: ``(params, item, k) -> (int32 (k,), float (k,))``, the other items nearest to one and
        their distances in the model's own space; None as for ``distance``.
      ancestors: item -> the items above it by every path, ascending; None where items are not
        above each other.
      place: ``(params, new items, k) -> Placement`` with the k nearest seen items; None where a
        model cannot place what it has not seen. Not for ``jit``.
      score_pairs: ``(params, file, recorded) -> ScoredPairs`` by a rule of the recorded figures;
        None where items are not above each other.
      items: the finite set of all items, or None where there is no such set.
      predict: ``(params, x) -> Predictions`` of items, or None where the model predicts nothing.
      labels: names of what it predicts.
      levels: shares of truths that its intervals are made to cover.
      keep: ``folder -> None``: write the user's data that the functions need into the folder of a
        copy of the model, see :class:`tvae.domains.domain.KeptData`; None where there are none.
      features: names of an item's numbers, of models that predict.
      explain: ``(params, x) -> Attribution`` of items ``(n, *input_shape)``, or None.
      read_rows: path of a file -> its rows, or None. Raises UserError with file and line.
      measure_rows: ``(params, rows) -> metrics`` of rows with measured values; not for ``jit``.
      classify: ``(label, values) -> one word or more each``, empty texts without known limits.
      module: the Flax module, or None where the functions do without one.
    """

    latent_dim: int
    input_shape: tuple[int, ...]
    encode: Callable[[Params, jax.Array], Posterior]
    decode: Mapping[str, Mapping[str, Call]]
    measure: Callable[[Params, jax.Array, Mapping[str, Any]], Metrics]
    embed: Mapping[str, Callable[[Params, jax.Array], Points]] = dataclasses.field(
        default_factory=dict
    )
    as_input: Callable[[ArrayLike], jax.Array] = _LATER
    examples: Callable[[int], jax.Array] = _LATER
    posteriors: Callable[[Params, jax.Array], Gaussians] = _LATER
    prior: Callable[[Params, jax.Array, int], jax.Array] = _LATER
    input_dtype: Any = jnp.float32
    about: str = ""
    distance: Callable[[Params, jax.Array, jax.Array], jax.Array] | None = None
    nearest: Callable[[Params, jax.Array, int], tuple[jax.Array, jax.Array]] | None = None
    ancestors: Callable[[int], np.ndarray] | None = None
    place: Callable[[Params, Any, int], Placement] | None = None
    score_pairs: Callable[[Params, str, Mapping[str, Any]], ScoredPairs] | None = None
    items: Items | None = None
    predict: Callable[[Params, jax.Array], Predictions] | None = None
    labels: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    keep: Callable[[pathlib.Path], None] | None = None
    features: tuple[str, ...] = ()
    explain: Callable[[Params, jax.Array], Attribution] | None = None
    read_rows: Callable[[pathlib.Path], Rows] | None = None
    measure_rows: Callable[[Params, Rows], Metrics] | None = None
    classify: Callable[[str, np.ndarray], list[str]] = lambda _, values: [""] * len(values)
    module: nn.Module | None = None

    def __post_init__(self) -> None:
        """Set the functions that follow from others."""
        derived = {
            "as_input": self._as_array,
            "examples": lambda n: jax.random.normal(jax.random.key(0), (n, *self.input_shape)),
            "posteriors": self._own_posteriors,
            "prior": lambda _, key, n: jax.random.normal(key, (n, self.latent_dim)),
        }
        for name, function in derived.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, function)

    def _as_array(self, x: ArrayLike) -> jax.Array:
        known = as_numbers(x, "items")
        rank = len(self.input_shape)
        if known.shape[max(0, known.ndim - rank) :] != self.input_shape:
            expected = ", ".join(["...", *map(str, self.input_shape)])
            raise UserError(f"items: expected an array ({expected}), got {known.shape}")
        return jnp.asarray(known, jnp.float32)

    def _own_posteriors(self, params: Params, x: jax.Array) -> Gaussians:
        q = self.encode(params, x)
        found = {"a": (q.mu_a, q.logvar_a)}
        if q.mu_b is not None and q.logvar_b is not None:
            found["b"] = (q.mu_b, q.logvar_b)
        return found

    @property
    def space(self) -> str:
        """Space that the model's own forward pass decodes from: ``"ball"`` or ``"latent"``."""
        return next(iter(self.decode))


def method_of(module: nn.Module, method: str) -> Call:
    """A method of a module as ``(params, x) -> outputs``."""

    def call(params: Params, x: jax.Array) -> Any:
        return module.apply({"params": params}, x, method=method)

    return call
