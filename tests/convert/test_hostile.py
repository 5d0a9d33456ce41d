"""Hostile files cost no more than their size allows: 2 s of CPU time and 600 MB each."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.support.hostile_files import BOMBS

SECONDS, MEGABYTES = 2.0, 600.0


def convert(*arguments: str) -> list[list]:
    """Names, CPU seconds, MB, faults and refusals of files that one process converts."""
    command = [sys.executable, "-m", "tests.support.hostile_files", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_cheap_and_clear(rows: list[list]) -> None:
    for name, seconds, megabytes, wrong, _, _ in rows:
        assert seconds < SECONDS, name
        assert megabytes < MEGABYTES, name
        assert wrong == "", name


def test_bombs_are_refused_cheaply_in_one_short_line() -> None:
    rows = convert("bombs")
    assert [row[0] for row in rows] == list(BOMBS)
    assert_cheap_and_clear(rows)
    for name, *_, refusal, length in rows:
        assert refusal, name
        assert length < 5000, name


@pytest.mark.slow
def test_three_thousand_mutations_are_exact_or_refused() -> None:
    rows = convert("mutations", "3000")
    assert len(rows) == 3000
    assert_cheap_and_clear(rows)
    # Both ends occur, by bytes and behind right checksums.
    assert {(row[0].split()[0], bool(row[4])) for row in rows} == {
        (kind, refused) for kind in ("byte", "pickle") for refused in (False, True)
    }
