"""The objective of a table, and what its terms may ask for."""

from tvae.domains.objective import Rows

OBJECTIVE: Rows = {"log_rank": {"term": "log_rank", "weight": 1.0}}
"""Ancestors are to be nearer than all other items."""

INPUTS = (
    "index", "level", "tree", "point", "c", "key", "positive_distance", "other_distance",
    "log_weight", "is_positive", "temperature", "other_path", "other_common",
)  # fmt: skip
"""Names of what the terms may ask for; rows of the batch are the queries of a step."""
