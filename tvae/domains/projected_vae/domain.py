"""The domain ``projected_vae``: v5.11 to v5.12.4."""

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect, of_latents
from tvae.domains.domain import Domain
from tvae.domains.operations.reporting import CURVES, PUBLISHED, define_with
from tvae.domains.projected_vae.config import DEFAULTS, FIELDS, TINY, migrate, validate
from tvae.domains.projected_vae.task import make_task
from tvae.domains.projected_vae.terms import OBJECTIVE, inputs
from tvae.domains.projected_vae.views import make_views


def aspects(config: ConfigDict) -> list[Aspect]:
    """Aspects that a validation checks."""
    return [
        Aspect("coverage", ("eval/coverage_ball", "eval/coverage_mu_a")),
        Aspect("hierarchy", at_most=("eval/hierarchy_a", "eval/hierarchy_b")),
        *of_latents("ab", deterministic=config.model.posterior_noise == 0.0),
        Aspect("generalisation", reason="the task trains on all operations: none is held out"),
    ]


DOMAIN = Domain(
    name="projected_vae",
    fields=FIELDS,
    objective=OBJECTIVE,
    inputs=inputs,
    migrate=migrate,
    defaults=DEFAULTS,
    validate=validate,
    tiny=TINY,
    make_task=make_task,
    make_views=make_views,
    define=define_with(published=PUBLISHED["projected_vae"]),
    published_as="v5.12.4",
    aspects=aspects,
    curves=CURVES,
    headline=("eval/coverage_ball", "eval/hierarchy_b", "eval/richness_b", "eval/tree_fidelity_b"),
)
