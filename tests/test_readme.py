"""README's commands are the ones that are tested, and they name what exists."""

import re
import tomllib

import numpy as np
import pytest
import yaml

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


def test_every_link_inside_the_repository_leads_somewhere():
    targets = re.findall(r"\]\(\s*([^)#:\s]+)(?:#[^)]*)?\)", README)
    assert len(targets) > 15
    assert [path for path in targets if not (REPOSITORY / path).exists()] == []


def python_blocks():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_block_that_loads_gives_the_operations_back(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    names = {}
    exec(python_blocks()[0], names)
    expected = padic.values(np.array([0, 1, 9841]), n_digits=9)
    np.testing.assert_array_equal(names["digits"], expected)


@pytest.mark.usefixtures("rings")
def test_the_block_that_trains_returns_metrics(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast").write_text(  # a file comes before the recipe of that name
        "from tvae import config\n\n\ndef get_config():\n    return config.default('rings')\n"
    )
    names = {}
    exec(python_blocks()[1], names)
    assert names["metrics"]["train/epochs"] == 4


def test_the_map_of_the_code_has_at_most_ten_lines():
    section = README.split("## Map of the code\n")[1]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert 5 < len(rows) <= 10


def test_the_citation_file_has_the_keys_of_its_format():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The tvae developers"}]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert citation["license"] == project["license"]


def test_the_block_that_trains_a_population_stacks_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v6").write_text(
        "from tvae import config\nfrom tvae.domains import registry\n\n\n"
        "def get_config():\n    made = config.default('hyperbolic_vae')\n"
        "    made.update_from_flattened_dict(dict(registry.get('hyperbolic_vae').tiny))\n"
        "    made.epochs, made.learning_rate.warmup_epochs = 1, 0.0\n"
        "    return made\n"
    )
    names = {}
    exec(python_blocks()[2], names)
    assert len(names["population"].finished) == 4
    assert names["points"].shape[:2] == (4, 3)
    assert names["best"].metrics["eval/tree_fidelity"] <= 1.0
