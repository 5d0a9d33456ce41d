"""Rows of ``config.objective`` that the default objectives do without."""

from ml_collections import ConfigDict

from tvae.domains import objective

SPARE_ROWS = {
    f"{name}_{side}": {"term": term, "on": side, "weight": weight}
    for side in "ab"
    for name, term, weight in (
        ("zero", "zero_structure", 0.5),
        ("monotonic", "monotonic_radial", 0.1),
        ("stratification", "radial_stratification", 0.1),
    )
}


def add_rows(config, *names, **rows):
    """Add rows to a configuration: some of ``SPARE_ROWS``, and others, with all their options."""
    chosen = {name: SPARE_ROWS[name] for name in names} | rows
    config.objective.update(ConfigDict(objective.complete(chosen)))
    return config
