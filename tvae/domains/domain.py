"""``Domain``: one kind of model as one value, which training, reports and artifacts ask.

A domain of another package is registered by :func:`tvae.domains.registry.register`, or found
through the entry point group ``tvae.domains``.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from tvae.domains import latent_use
from tvae.domains.aspects import Aspect
from tvae.domains.exhibits import Exhibit
from tvae.domains.objective import Inputs, Rows
from tvae.domains.views import Views
from tvae.engine.task import Params, Task
from tvae.fields import Field
from tvae.metrics import definitions
from tvae.metrics.definitions import Definition, Entry


class Curves(NamedTuple):
    """A group of metrics that share a panel of the report, and so a unit.

    Attributes:
      title: of the panel.
      pattern: regular expression; a metric belongs to the first group whose pattern matches the
        start of its key.
      logarithmic: whether the axis is logarithmic where the values allow it.
      by_level: whether the keys' numbers are levels of a tree, which then give the colours.
    """

    title: str
    pattern: str
    logarithmic: bool = False
    by_level: bool = False


class HeldOut(NamedTuple):
    """A training loss and the same quantity on held-out items, for diagnostics.

    Attributes:
      train: metric key of the training loss.
      held_out: metric key of the held-out quantity.
      rises: whether the latter is a share that rises to 1, instead of a loss that falls.
    """

    train: str
    held_out: str
    rises: bool = False


class KeptData(NamedTuple):
    """How the user's data are kept beside a model, which then does without the files they are from.

    Attributes:
      file: name of the copy in the folder of a run or model.
      write: ``(validated configuration, path)``: write what the configuration names.
      locate: ``(configuration, path)`` -> the same with the copy in place of the user's files.
      differ: whether two configurations name different data; data that cannot be read do not.
      take: ``(table in memory, configuration, path)`` -> the configuration of such a table, of
        which the copy is written. Raises UserError if it is no such table.
    """

    file: str
    write: Callable[[ConfigDict, pathlib.Path], None]
    locate: Callable[[ConfigDict, pathlib.Path], ConfigDict]
    differ: Callable[[ConfigDict, ConfigDict], bool]
    take: Callable[[Any, ConfigDict, pathlib.Path], ConfigDict]


def _accept(config: ConfigDict) -> None:
    del config


def _as_it_is(config: ConfigDict) -> ConfigDict:
    return config


def _no_inputs(config: ConfigDict) -> Inputs:
    del config
    return {}


def _no_aspects(config: ConfigDict) -> list[Aspect]:
    del config
    return []


def _no_exhibits(config: ConfigDict, params: Params) -> list[Exhibit]:
    del config, params
    return []


SHARED_DEFINITIONS = latent_use.DEFINITIONS | {
    "train/epochs": Entry("epochs trained", "the run", better="neither"),
    "train/best_epoch": Entry("epoch of the best early-stop metric", "the run", better="neither"),
}
"""Definitions of the metrics that a run of every domain has."""


def _shared_definition(key: str, config: ConfigDict) -> Definition | None:
    del config
    return definitions.define(key, SHARED_DEFINITIONS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Domain:
    """A kind of model: how it is configured, trained, measured and judged.

    Attributes:
      name: as in ``config.task``.
      fields: the domain's own fields, by dotted path.
      objective: rows of ``config.objective`` by default; see :mod:`tvae.domains.objective`.
      inputs: validated configuration -> what the domain offers to terms; a domain without any has
        no ``config.objective``.
      migrate: stored configuration, perhaps of an earlier version -> one with today's fields.
      defaults: defaults of shared fields that differ from those of :mod:`tvae.engine.config`.
      resolve: validated configuration -> one that also records what is found in its data, so that a
        trained model does without them; as it is where nothing is recorded.
      validate: checks what involves several fields; raises ``UserError``.
      tiny: path -> value of the sizes that compile in seconds, for tests.
      make_task: validated configuration -> task for the engine.
      make_views: validated configuration -> functions of a trained model.
      define: ``(metric key, validated configuration) -> its definition``, or None.
      published_as: the model whose published figures ``define`` holds; "" without any.
      aspects: validated configuration -> aspects that an artifact's validation checks.
      headline: metric keys that a list of models shows, most important first.
      curves: groups of evaluation metrics in the report.
      exhibits: ``(validated configuration, parameters) -> sections`` that the domain adds to the
        report.
      held_out: losses whose training and held-out values the diagnostics compare.
      data: how the user's data are kept beside a model; None for a domain without any.
    """

    name: str
    fields: Mapping[str, Field]
    make_task: Callable[[ConfigDict], Task]
    make_views: Callable[[ConfigDict], Views]
    define: Callable[[str, ConfigDict], Definition | None] = _shared_definition
    published_as: str = ""
    aspects: Callable[[ConfigDict], list[Aspect]] = _no_aspects
    headline: tuple[str, ...] = ()
    curves: tuple[Curves, ...] = ()
    exhibits: Callable[[ConfigDict, Params], list[Exhibit]] = _no_exhibits
    held_out: tuple[HeldOut, ...] = ()
    objective: Rows = dataclasses.field(default_factory=dict)
    inputs: Callable[[ConfigDict], Inputs] = _no_inputs
    migrate: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resolve: Callable[[ConfigDict], ConfigDict] = _as_it_is
    validate: Callable[[ConfigDict], None] = _accept
    tiny: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: KeptData | None = None
