"""What a mutation is."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """One change of the code.

    Attributes:
      name: what is wrong after it.
      file: path in the repository.
      old: text of the file, once.
      new: its replacement.
      tests: arguments of pytest.
      survives: why no test can notice it; empty where one must.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    survives: str = ""


def of(file: str, *tests: str):
    """A maker of mutations of one file with its tests."""

    def make(name, old, new, *first, survives=""):
        # pytest takes a file once, with all of its tests.
        rest = tuple(t for t in tests if not any(f.split("::")[0] == t for f in first))
        return Mutation(name, file, old, new, first + rest, survives)

    return make
