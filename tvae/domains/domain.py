"""``Domain``: everything that the library needs to know of one kind of model, as one value.

Training, loading, reports, exports and artifacts ask the domain; none of them knows digits. A
domain of another package is registered by :func:`tvae.domains.registry.register`, or found through
the entry point group ``tvae.domains``.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect
from tvae.domains.views import Views
from tvae.engine.task import Task
from tvae.fields import Field


def _accept(config: ConfigDict) -> None:
    del config


def _no_aspects(config: ConfigDict) -> list[Aspect]:
    del config
    return []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Domain:
    """A kind of model: how it is configured, trained, asked and judged.

    Attributes:
      name: as in ``config.task``.
      fields: the domain's own fields, by dotted path.
      defaults: defaults of shared fields that differ from those of :mod:`tvae.engine.config`.
      validate: checks what involves several fields; raises ``UserError``.
      tiny: path -> value of the sizes that compile in seconds, for tests.
      make_task: validated configuration -> task for the engine.
      make_module: validated configuration -> Flax module.
      make_views: ``(module, validated configuration) -> what can be asked of a trained model``.
      aspects: validated configuration -> questions that a validation of an artifact asks.
      headline: metric keys that a list of models shows, most important first.
    """

    name: str
    fields: Mapping[str, Field]
    make_task: Callable[[ConfigDict], Task]
    make_module: Callable[[ConfigDict], Any]
    make_views: Callable[[Any, ConfigDict], Views]
    aspects: Callable[[ConfigDict], list[Aspect]] = _no_aspects
    headline: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    validate: Callable[[ConfigDict], None] = _accept
    tiny: Mapping[str, Any] = dataclasses.field(default_factory=dict)
