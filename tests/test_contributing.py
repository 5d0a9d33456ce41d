"""The Python blocks of CONTRIBUTING.md, run in their order, and the examples in them."""

import doctest
import re

from tests.conftest import REPOSITORY
from tvae.domains import registry

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text()


def test_a_domain_and_a_term_are_added_as_described(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})  # other tests ask for the library's own
    names = {"__name__": "contributing"}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    examples = doctest.DocTestFinder().find(names["shell"], globs=names)
    assert [doctest.DocTestRunner().run(each) for each in examples] == [(0, 1)]


def test_every_path_that_it_names_exists():
    paths = re.findall(r"`((?:configs|tests|tvae)/[\w/.]*\w)/?`", TEXT)
    assert len(paths) > 3
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []
