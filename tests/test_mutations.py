"""The listed mutations still change the code, and those that the tests were written for are there.

Whether the tests notice them: ``python -m tests.mutation``.
"""

import collections

import pytest

from tests.conftest import REPOSITORY
from tests.support.mutations import MUTATIONS


def test_each_mutation_applies_once_and_is_code():
    for mutation in MUTATIONS:
        source = (REPOSITORY / mutation.file).read_text()
        assert source.count(mutation.old) == 1, (mutation.file, mutation.name)
        changed = source.replace(mutation.old, mutation.new)
        assert changed != source, mutation.name
        compile(changed, mutation.file, "exec")
        for test in mutation.tests:
            path, _, name = test.partition("::")
            assert name in (REPOSITORY / path).read_text(), test


def test_no_mutation_is_listed_twice():
    names = collections.Counter((m.file, m.name) for m in MUTATIONS)
    assert max(names.values()) == 1
    changes = collections.Counter((m.file, m.old, m.new) for m in MUTATIONS)
    assert max(changes.values()) == 1


@pytest.mark.parametrize("room", ["geometry", "losses", "metrics", "engine"])
def test_every_room_has_its_share(room):
    assert sum(m.file.startswith(f"tvae/{room}/") for m in MUTATIONS) >= 30
    assert sum(bool(m.survives) for m in MUTATIONS) <= 0.05 * len(MUTATIONS)
