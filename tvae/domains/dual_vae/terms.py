"""The objective of v5.5: its table, what its terms may ask for, and a term of its own."""

import jax
import jax.numpy as jnp

from tvae.domains.objective import Rows
from tvae.losses.registry import term


@term(
    "entropy_alignment",
    unit="nats",
    bounds=(0.0, jnp.inf),
    source="the reference system's DualVAELoss",
    was={"EntropyAlignment": "same", "EntropyAlignmentComponent": "same"},
)
def entropy_alignment(entropy_a: jax.Array, entropy_b: jax.Array) -> jax.Array:
    """Difference of two latents' entropies, a scalar.

    The entropies of v5.5 are of histograms, which carry no gradient: the term shifts the loss only.

    >>> float(entropy_alignment(jnp.float32(2.0), jnp.float32(2.5)))
    0.5
    """
    return jnp.abs(entropy_a - entropy_b)


OBJECTIVE: Rows = {
    "cross_entropy_a": {"term": "cross_entropy", "on": "a", "weight": 1.0},
    "cross_entropy_b": {"term": "cross_entropy", "on": "b", "weight": 1.0},
    "kl_a": {"term": "gaussian_kl", "on": "a", "weight": 1.0, "free_bits": 0.5},
    "kl_b": {"term": "gaussian_kl", "on": "b", "weight": 1.0, "free_bits": 0.5},
    "output_entropy_b": {"term": "output_entropy", "on": "b", "weight": -0.05},
    "repulsion_b": {"term": "repulsion", "on": "b", "weight": 0.01, "sigma": 0.5},
    "entropy_alignment": {"term": "entropy_alignment", "weight": 1.0},
}
"""The terms of v5.5; :meth:`DualVAETask.weights` has the factors that its dynamics set."""

_SIDE = ("logits", "mu", "logvar", "z")
INPUTS = {
    "": ("entropy_a", "entropy_b", "index", "level", "tree", "target", "where", "key"),
    "a": _SIDE,
    "b": _SIDE,
}
"""Side -> names of what the terms may ask for; those of "" belong to every side."""
