"""Hyperbolic variational autoencoders of hierarchical discrete data in JAX and Flax.

``tvae.load(checkpoint)`` and ``tvae.train(config)`` return a :class:`~tvae.model.Model`,
``tvae.train_population(config, ...)`` trains many runs as one program, ``tvae.search(config, ...)``
looks for the best values of fields. ``tvae.list_checkpoints()`` lists those that ship,
``tvae.plot.disk(model)`` draws an embedding, ``tvae.register(domain)`` adds a domain,
``@tvae.term(name, ...)`` a loss term.
Importing the package alone imports nothing else: the names below are imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvae import plot
    from tvae.domains.registry import register
    from tvae.errors import UserError
    from tvae.loading import list_checkpoints, load
    from tvae.losses.registry import term
    from tvae.model import Model
    from tvae.population import train_population
    from tvae.searching import Between, search
    from tvae.training import train

__version__ = "0.1.0"

_HOMES = {
    "Between": "searching",
    "Model": "model",
    "UserError": "errors",
    "list_checkpoints": "loading",
    "load": "loading",
    "register": "domains.registry",
    "search": "searching",
    "term": "losses.registry",
    "train": "training",
    "train_population": "population",
}

__all__ = [
    "Between",
    "Model",
    "UserError",
    "__version__",
    "list_checkpoints",
    "load",
    "plot",
    "register",
    "search",
    "term",
    "train",
    "train_population",
]


def __getattr__(name: str) -> Any:
    """Find a public name in its module, on first use (PEP 562)."""
    if name == "plot":
        return importlib.import_module(f"{__name__}.plot")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Public names, those not yet imported included."""
    return sorted(__all__)
