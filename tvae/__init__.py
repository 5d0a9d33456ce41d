"""Ternary hyperbolic variational autoencoders in JAX and Flax.

``tvae.load(checkpoint)`` returns a :class:`~tvae.model.Model`, ``tvae.list_checkpoints()`` says
what ships. Importing the package alone imports nothing else: the three names below are found on
first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvae.loading import list_checkpoints, load
    from tvae.model import Model

__version__ = "0.1.0"

__all__ = ["Model", "__version__", "list_checkpoints", "load"]

_HOMES = {"Model": "model", "list_checkpoints": "loading", "load": "loading"}


def __getattr__(name: str) -> Any:
    """Find a public name in its module, on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Public names, those not yet imported included."""
    return sorted(__all__)
