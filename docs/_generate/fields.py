"""Tables of configuration fields for the documentation."""

from tvae import config
from tvae.engine.config import FIELDS


def table(domain_name: str) -> str:
    """The fields of a domain as a Markdown table: its own, and shared ones with another default.

    Args:
      domain_name: name of a domain, or "engine" for the shared fields.
    """
    fields = FIELDS if domain_name == "engine" else config.fields(domain_name)
    if domain_name != "engine":
        fields = {path: field for path, field in fields.items() if field != FIELDS.get(path)}
        del fields["task"]
        fields.pop("objective", None)  # its rows are fields of their own
    rows = ["| field | default | expected | traced | meaning |", "|---|---|---|---|---|"]
    for path, field in fields.items():
        traced = "yes" if field.traced else ""
        expected = field.check.expectation
        rows.append(f"| `{path}` | `{field.default!r}` | {expected} | {traced} | {field.meaning} |")
    return "\n".join(rows)
