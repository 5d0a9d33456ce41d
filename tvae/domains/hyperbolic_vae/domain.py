"""The domain ``hyperbolic_vae``: v6."""

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect, of_latents
from tvae.domains.domain import Domain, HeldOut
from tvae.domains.hyperbolic_vae import evaluation
from tvae.domains.hyperbolic_vae.config import (
    DEFAULTS,
    FIELDS,
    TINY,
    migrate,
    validate,
)
from tvae.domains.hyperbolic_vae.task import make_task
from tvae.domains.hyperbolic_vae.terms import INPUTS, OBJECTIVE
from tvae.domains.hyperbolic_vae.views import make_views
from tvae.domains.operations.reporting import CURVES, define_with


def aspects(config: ConfigDict) -> list[Aspect]:
    """Aspects that a validation checks."""
    held_out = "eval/coverage_ball_held_out"
    nothing = "" if config.data.held_out_share else "config.data.held_out_share is 0"
    return [
        Aspect("coverage", ("eval/coverage_ball",), also=("eval/coverage_sampled",)),
        Aspect("hierarchy", at_most=("eval/hierarchy",)),
        *of_latents("a"),
        Aspect("generalisation", (held_out,), reason=nothing),
    ]


DOMAIN = Domain(
    name="hyperbolic_vae",
    fields=FIELDS,
    objective=OBJECTIVE,
    inputs=lambda _: {"": INPUTS},
    migrate=migrate,
    defaults=DEFAULTS,
    validate=validate,
    tiny=TINY,
    make_task=make_task,
    make_views=make_views,
    define=define_with(evaluation.DEFINITIONS),
    aspects=aspects,
    curves=CURVES,
    held_out=(HeldOut("train/reconstruction", "eval/coverage_ball_held_out", rises=True),),
    headline=("eval/coverage_ball", "eval/hierarchy", "eval/richness", "eval/tree_fidelity"),
)
