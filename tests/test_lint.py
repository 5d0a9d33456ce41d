"""Lint is law: style, types and the direction of imports are part of the suite."""

import re
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


TERNARY = ("geometry/padic.py", "domains/operations", "domains/dual_vae", "domains/hyperbolic_vae")
TERNARY += ("domains/projected_vae", "convert", "domains/hierarchy_vae/codes.py")
OF_OPERATIONS = re.compile(r"n_digits|N_DIGITS|3 \*\*|[Tt]ernary")


def test_only_the_ternary_domains_name_digits():
    package = REPOSITORY / "tvae"
    found = [
        f"{path.relative_to(package)}:{number}: {line.strip()}"
        for path in package.rglob("*.py")
        if not str(path.relative_to(package)).startswith(TERNARY)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if OF_OPERATIONS.search(line)
    ]
    assert not found, "\n".join(found)
