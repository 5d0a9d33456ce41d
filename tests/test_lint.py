"""Lint is law: style, types and the direction of imports are part of the suite."""

import subprocess
import sys
import sysconfig

import pytest

from tests.conftest import REPOSITORY

CHECKS = {
    "style": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "types": ["mypy"],
    "direction of imports": ["lint-imports"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_code_passes(check):
    program, *arguments = CHECKS[check]
    path = f"{sysconfig.get_path('scripts')}/{program}"
    done = subprocess.run([path, *arguments], cwd=REPOSITORY, capture_output=True, text=True)
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
