"""README's commands are the ones that are tested, and they name what exists."""

import re

import numpy as np

from tests.conftest import REPOSITORY
from tvae.geometry import padic

README = (REPOSITORY / "README.md").read_text()


def commands():
    """Lines of README's first code block, without their comments."""
    block = re.search(r"```bash\n(.*?)```", README, re.DOTALL).group(1)
    return [line.split("#")[0].strip() for line in block.strip().splitlines()]


def test_ci_runs_exactly_the_test_command():
    train, test = commands()
    assert train.startswith("pip install -e . && python -m tvae.main --config=configs/")
    assert test in (REPOSITORY / ".ci" / "run").read_text().splitlines()


def test_every_file_that_readme_names_exists():
    paths = re.findall(r"(?:configs|experiments|checkpoints|tvae)/[\w./-]+\w", README)
    assert paths
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_the_python_block_gives_the_operations_back(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    names = {}
    exec(block, names)
    expected = padic.values(np.array([0, 1, 9841]), n_digits=9)
    np.testing.assert_array_equal(names["digits"], expected)
