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


def python_blocks():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_block_that_loads_gives_the_operations_back(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    names = {}
    exec(python_blocks()[0], names)
    expected = padic.values(np.array([0, 1, 9841]), n_digits=9)
    np.testing.assert_array_equal(names["digits"], expected)


def test_the_block_that_trains_returns_metrics(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "fast.py").write_text(
        f"import runpy\n\n\ndef get_config():\n"
        f"    config = runpy.run_path({str(REPOSITORY / 'configs/fast.py')!r})['get_config']()\n"
        "    config.epochs = 1\n    return config\n"
    )
    names = {}
    exec(python_blocks()[1], names)
    assert names["metrics"]["train/epochs"] == 1


def test_the_map_of_the_code_has_at_most_ten_lines():
    section = README.split("## Map of the code\n")[1]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert 5 < len(rows) <= 10
