"""The configuration: every field with its meaning and unit, and the checks on it.

A file of ``configs/`` starts from :func:`default` and changes what it needs. Fields that all tasks
share are in :mod:`tvae.engine.config`, those of a task in the module of its name.
"""

import math
from collections.abc import Iterator
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from tvae.domains import registry
from tvae.engine import config as engine
from tvae.errors import UserError
from tvae.fields import Check, one_of


def default(task: str = "dual_vae") -> ConfigDict:
    """All fields of a task, with its reference recipe; see the comments beside each field.

    Args:
      task: which domain is trained; the name of a domain.

    Returns:
      A configuration that :func:`validate` accepts.
    """
    config = engine.fields()
    config.task = task
    registry.get(task).config.add_fields(config)
    return config


def checks(task: str) -> dict[str, Check]:
    """The check of each field of a task that can be out of range."""
    known = {"task": one_of(*registry.names())}
    return known | engine.CHECKS | registry.get(task).config.CHECKS


def validate(config: ConfigDict) -> None:
    """Check every field.

    Args:
      config: a configuration with the fields of :func:`default`.

    Raises:
      UserError: naming the first field that is missing, unknown or out of range, with its value
        and what was expected.
    """
    task = config.get("task")
    domain = registry.get(task)
    given, known = dict(leaves(config)), dict(leaves(default(task)))
    for path in given.keys() ^ known.keys():
        if path.startswith(engine.TARGETS):
            continue
        state = "unknown" if path in given else "missing"
        raise UserError(f"config.{path}: {state} field")
    for path, check in checks(task).items():
        value = given[path]
        finite = not isinstance(value, float) or math.isfinite(value)
        if not finite or not check.holds(value):
            raise UserError(f"config.{path}: expected {check.expectation}, got {value!r}")
    engine.validate(config)
    domain.config.validate(config)


def leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of every field, as ``("data.batch_size", 64)``."""
    for path, value in flatten_dict(config.to_dict(), sep=".").items():
        yield prefix + path, value
