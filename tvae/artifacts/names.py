"""Names of artifacts: ``<model>/<version>``, safe as a path below the repository."""

import re
from typing import NamedTuple

from tvae.errors import UserError

_WORD = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,63}", re.ASCII)


class Name(NamedTuple):
    """The name of an artifact, the same in every stage: a family of versions, and one of them."""

    model: str
    version: str

    def __str__(self) -> str:
        """As the user writes it."""
        return f"{self.model}/{self.version}"


def parse_name(text: str | None) -> Name:
    """Read ``<model>/<version>``, two plain words: no separator, no leading dot, no ``..``.

    Raises:
      UserError: for anything else.

    >>> parse_name("v6/1.0.0")
    Name(model='v6', version='1.0.0')
    """
    words = (text or "").split("/")
    if len(words) != 2 or not all(_WORD.fullmatch(word) for word in words):
        raise UserError(
            "name: expected <model>/<version> of lower-case letters, digits and single '.', '_', "
            f"'-', such as v6/1.0.0; got {text!r}"
        )
    return Name(*words)
