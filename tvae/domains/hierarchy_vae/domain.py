"""The domain ``hierarchy_vae``: places for new items of a user's own hierarchy."""

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect, of_latents
from tvae.domains.domain import SHARED_DEFINITIONS, Curves, Domain
from tvae.domains.hierarchy.geometry import GEOMETRIES
from tvae.domains.hierarchy.source import KEPT
from tvae.domains.hierarchy_vae import evaluation
from tvae.domains.hierarchy_vae.config import DEFAULTS, FIELDS, TINY, validate
from tvae.domains.hierarchy_vae.task import make_task
from tvae.domains.hierarchy_vae.terms import BALL_INPUTS, INPUTS, OBJECTIVE
from tvae.domains.hierarchy_vae.views import make_views
from tvae.domains.objective import Inputs
from tvae.metrics.definitions import Definition, define

_DEFINITIONS = SHARED_DEFINITIONS | evaluation.DEFINITIONS
_LEVEL = "eval/ancestors_right_level_"


def define_metric(key: str, config: ConfigDict) -> Definition | None:
    """The definition of a metric key."""
    del config
    level = key.removeprefix(_LEVEL)
    entries = {key: evaluation.define_level(int(level))} if level.isdecimal() else _DEFINITIONS
    return define(key, entries)


def inputs(config: ConfigDict) -> Inputs:
    """What terms may ask for."""
    curved = GEOMETRIES[config.model.geometry].curved
    return {"": (*INPUTS, *(BALL_INPUTS if curved else ()))}


def aspects(config: ConfigDict) -> list[Aspect]:
    """Aspects that a validation checks."""
    nothing = "" if config.data.held_out_share else "config.data.held_out_share is 0"
    return [
        Aspect("reconstruction", ("eval/decoded",)),
        Aspect("ancestors of unseen items", ("eval/ancestors_right",), reason=nothing),
        Aspect("tree distances", ("eval/path_correlation",), also=("eval/path_ceiling",)),
        *of_latents("a"),
    ]


DOMAIN = Domain(
    name="hierarchy_vae",
    fields=FIELDS,
    objective=OBJECTIVE,
    inputs=inputs,
    defaults=DEFAULTS,
    validate=validate,
    tiny=TINY,
    data=KEPT,
    make_task=make_task,
    make_views=make_views,
    define=define_metric,
    aspects=aspects,
    curves=(
        Curves("Exact decoding", r"eval/decoded"),
        Curves("Ancestors of unseen items", r"eval/ancestors_right"),
        Curves("Neighbours of unseen items", r"eval/nearest_"),
        Curves("Mean rank of ancestors", r"eval/mean_rank", logarithmic=True),
        Curves("Distances and path lengths", r"eval/(path|common)_"),
    ),
    headline=("eval/decoded", "eval/ancestors_right", "eval/path_correlation"),
)
