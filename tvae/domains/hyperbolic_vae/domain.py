"""The domain ``hyperbolic_vae``: v6."""

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect, of_latents
from tvae.domains.domain import Domain
from tvae.domains.hyperbolic_vae.config import DEFAULTS, FIELDS, TINY, validate
from tvae.domains.hyperbolic_vae.task import make_domain, make_model
from tvae.domains.hyperbolic_vae.views import make_views


def aspects(config: ConfigDict) -> list[Aspect]:
    """What a validation asks of a model."""
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
    defaults=DEFAULTS,
    validate=validate,
    tiny=TINY,
    make_task=lambda config: make_domain(config).task(),
    make_module=make_model,
    make_views=make_views,
    aspects=aspects,
    headline=("eval/coverage_ball", "eval/hierarchy", "eval/richness", "eval/tree_fidelity"),
)
