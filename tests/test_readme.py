"""README's commands are the ones that are tested, and they name what exists."""

import re

from tests.conftest import REPOSITORY

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
