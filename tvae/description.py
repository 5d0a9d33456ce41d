"""What a trained model is, beside its parameters."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from ml_collections import ConfigDict

from tvae.domains.views import Views


@dataclasses.dataclass(frozen=True, eq=False)
class Description:
    """What :class:`tvae.model.Model` knows without its parameters; compared by identity.

    Attributes:
      path: the checkpoint's folder.
      task: name of its task.
      module: the Flax module.
      views: what can be asked of it.
      config: its configuration, complete; None where the checkpoint carries none (converted ones).
      card: what the checkpoint says of itself: ``command``, ``run``, ``metrics``, as far as known.
      recorded: figures of the end of training that no parameter tells, such as ``eval/rho``.
    """

    path: pathlib.Path
    task: str
    module: nn.Module
    views: Views
    config: ConfigDict | None
    card: Mapping[str, Any]
    recorded: Mapping[str, Any]
