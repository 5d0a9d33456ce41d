"""The domain ``hierarchy``: the user's own items and their parents."""

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect
from tvae.domains.domain import SHARED_DEFINITIONS, Curves, Domain
from tvae.domains.hierarchy import evaluation, source
from tvae.domains.hierarchy.config import DEFAULTS, FIELDS, TINY, validate
from tvae.domains.hierarchy.exhibits import exhibits
from tvae.domains.hierarchy.task import make_task
from tvae.domains.hierarchy.terms import INPUTS, OBJECTIVE
from tvae.domains.hierarchy.views import make_views
from tvae.metrics.definitions import Definition, define

_DEFINITIONS = SHARED_DEFINITIONS | evaluation.DEFINITIONS


def define_metric(key: str, config: ConfigDict) -> Definition | None:
    """The definition of a metric key."""
    del config
    return define(key, _DEFINITIONS)


def aspects(config: ConfigDict) -> list[Aspect]:
    """Aspects that a validation checks."""
    del config
    return [
        Aspect("reconstruction", at_least=("eval/map",), at_most=("eval/mean_rank",)),
        Aspect("tree distances", ("eval/path_correlation",), also=("eval/path_ceiling",)),
    ]


DOMAIN = Domain(
    name="hierarchy",
    fields=FIELDS,
    objective=OBJECTIVE,
    inputs=lambda _: {"": INPUTS},
    defaults=DEFAULTS,
    validate=validate,
    tiny=TINY,
    make_task=make_task,
    make_views=make_views,
    define=define_metric,
    aspects=aspects,
    curves=(
        Curves("Mean rank of ancestors", r"eval/mean_rank", logarithmic=True),
        Curves("Mean average precision", r"eval/map"),
        Curves("Distances and path lengths", r"eval/(path|common)_"),
        Curves("Curvature", r"eval/curvature"),
    ),
    data=source.KEPT,
    exhibits=exhibits,
    headline=("eval/mean_rank", "eval/map", "eval/path_correlation"),
)
