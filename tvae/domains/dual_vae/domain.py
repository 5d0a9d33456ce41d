"""The domain ``dual_vae``: v5.5."""

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect, of_latents
from tvae.domains.domain import Domain, HeldOut
from tvae.domains.dual_vae import evaluation
from tvae.domains.dual_vae.config import FIELDS, TINY, migrate, validate
from tvae.domains.dual_vae.task import make_task
from tvae.domains.dual_vae.terms import INPUTS, OBJECTIVE
from tvae.domains.dual_vae.views import make_views
from tvae.domains.operations.reporting import CURVES, PUBLISHED, define_with


def aspects(config: ConfigDict) -> list[Aspect]:
    """Aspects that a validation checks."""
    other_split = "the weights were trained on another split of the operations"
    return [
        Aspect("coverage", ("eval/coverage_mu_a", "eval/coverage_mu_b")),
        Aspect("hierarchy", reason="the latent space is flat: no radius orders the levels"),
        *of_latents("ab"),
        Aspect("generalisation", ("eval/coverage_mu_test_a", "eval/coverage_mu_test_b"))
        if config.evaluation.by_split
        else Aspect("generalisation", reason=other_split),
    ]


DOMAIN = Domain(
    name="dual_vae",
    fields=FIELDS,
    objective=OBJECTIVE,
    inputs=lambda _: INPUTS,
    migrate=migrate,
    validate=validate,
    tiny=TINY,
    make_task=make_task,
    make_views=make_views,
    define=define_with(evaluation.DEFINITIONS, PUBLISHED["dual_vae"]),
    published_as="v5.5",
    aspects=aspects,
    curves=CURVES,
    held_out=tuple(
        HeldOut(f"train/cross_entropy_{vae}", f"val/cross_entropy_{vae}") for vae in "ab"
    ),
    headline=("eval/coverage_mu_a", "eval/coverage_mu_b", "eval/coverage_mu_test_a"),
)
