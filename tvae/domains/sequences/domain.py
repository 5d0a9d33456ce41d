"""The domain ``sequences``: aligned sequences with measured labels, such as drug resistance."""

import sys

from ml_collections import ConfigDict

from tvae.domains.aspects import Aspect
from tvae.domains.domain import SHARED_DEFINITIONS, Curves, Domain
from tvae.domains.sequences import new_rows, source
from tvae.domains.sequences.config import DEFAULTS, FIELDS, OBJECTIVE, TINY, inputs, validate
from tvae.domains.sequences.evaluation import define_metric
from tvae.domains.sequences.exhibits import make_exhibits
from tvae.domains.sequences.task import make_task
from tvae.domains.sequences.views import make_views
from tvae.metrics.definitions import Definition, define


def define_any(key: str, config: ConfigDict) -> Definition | None:
    """The definition of a metric key."""
    del config
    return define_metric(key) or new_rows.define_metric(key) or define(key, SHARED_DEFINITIONS)


def resolve(config: ConfigDict) -> ConfigDict:
    """The configuration with what is found in the table.

    What was wrong with rows, and the check of the folds, is written to standard error.

    Raises:
      UserError: if the table cannot be used.
    """
    resolved = config.copy_and_resolve_references()
    loaded = source.load(config.data)
    resolved.data.found = loaded.contents.to_stored()
    lines = [*loaded.contents.problems, f"{loaded.folds.kind} folds: {loaded.leaks}"]
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return resolved


def aspects(config: ConfigDict) -> list[Aspect]:
    """Aspects that a validation checks."""
    del config
    return [
        Aspect("held-out rows", ("eval/pearson", "eval/spearman"), also=("eval/pearson_ridge",)),
        Aspect("gain over ridge", ("eval/gain_over_ridge_pearson",)),
        Aspect("leaks", at_most=("leaks/same_genotype",), also=("leaks/near",)),
        Aspect("intervals", ("eval/coverage_95",), ("eval/coverage_95",), also=("eval/width_95",)),
    ]


DOMAIN = Domain(
    name="sequences",
    fields=FIELDS,
    objective=OBJECTIVE,
    inputs=inputs,
    defaults=DEFAULTS,
    validate=validate,
    tiny=TINY,
    resolve=resolve,
    make_task=make_task,
    make_views=make_views,
    define=define_any,
    aspects=aspects,
    exhibits=make_exhibits,
    curves=(
        Curves("Correlation with held-out values", r"eval/(pearson|spearman)$"),
        Curves("Mean absolute error", r"eval/mae"),
    ),
    headline=("eval/pearson", "eval/spearman", "eval/pearson_ridge", "eval/coverage_95"),
)
