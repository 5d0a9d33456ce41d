"""The reference system's peptide set; one term of it that no other family has.

Its reconstruction is "categorical_nll" (ignore=21), its MIC prediction "huber" of log10 MIC, its
property alignment "property_alignment", its classes of pathogens "cohesion" and "separation". Its
manager is a table of these in ``config.objective`` whose weights are schedules: 0 before the first
epoch of a term, a ramp, then constant.
"""

import chex
import jax
import jax.numpy as jnp
from chex import Numeric

from tvae.fields import Check, at_least
from tvae.losses.registry import term

_NUMBER = Check(kind=float)


@term(
    "potency_radius",
    unit="squared hyperbolic length",
    source="the reference system's peptide losses",
    per="item",
    options={
        "low": (_NUMBER, "measurement that belongs at the inner radius"),
        "high": (_NUMBER, "measurement that belongs at the outer radius"),
        "center": (at_least(0.0), "inner radius, hyperbolic length"),
        "rim": (at_least(0.0), "outer radius, hyperbolic length"),
    },
    bounds=(0.0, float("inf")),
    invariances=("permutation",),
    was={"RadialHierarchy (peptides)": "same"},
)
def potency_radius(
    radius: jax.Array,
    measured: jax.Array,
    *,
    low: Numeric = -1.0,
    high: Numeric = 3.0,
    center: Numeric = 0.1,
    rim: Numeric = 0.95,
) -> jax.Array:
    r"""Squared difference of a radius from one that grows with a measurement, such as log10 MIC.

    .. math:: \Big(ρ - r_0 - (r_1 - r_0)\,
              \operatorname{clip}\big(\tfrac{y - l}{h - l}, 0, 1\big)\Big)^2

    Args:
      radius: ``(n,)`` hyperbolic.
      measured: y, ``(n,)``.
      low: l.
      high: h, another number.
      center: r_0.
      rim: r_1.

    Returns:
      ``(n,)``.

    >>> radius, measured = jnp.asarray([0.1, 0.45]), jnp.asarray([-2.0, 1.0])
    >>> [round(float(x), 4) for x in potency_radius(radius, measured)]
    [0.0, 0.0056]
    """
    chex.assert_equal_shape([radius, measured])
    share = jnp.clip((measured - low) / (high - low), 0.0, 1.0)
    return jnp.square(radius - center - (rim - center) * share)
