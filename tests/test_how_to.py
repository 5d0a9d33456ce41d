"""The Python blocks of the how-to pages, run in order; the first page writes a tree."""

import csv
import doctest
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tvae.domains import registry

PAGES = (
    "own_data",
    "own_hierarchy",
    "own_sequences",
    "new_items",
    "gpu",
    "from_pytorch",
)  # own_domain and own_term are those of CONTRIBUTING


def blocks(page):
    text = (REPOSITORY / "docs" / "how_to" / f"{page}.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def page_names(monkeypatch, tmp_path):
    """What the blocks of each page define; a tree of seven nodes is embedded once."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.syspath_prepend(REPOSITORY / "experiments" / "own_tree")
    monkeypatch.chdir(tmp_path)
    names = {page: {} for page in PAGES}
    for page in PAGES:
        for block in blocks(page):
            exec(block, names[page])
    return names


def test_what_the_pages_show_happens(page_names):
    own, gpu = page_names["own_data"], page_names["gpu"]
    assert own["order"] == pytest.approx(-own["hierarchy"].hierarchy_ceiling(own["tree"]), abs=1e-5)
    assert own["fidelity"] == pytest.approx(own["tie_ceiling"]((4, 2)), abs=1e-5)
    assert own["model"].card["metrics"]["eval/distortion"] < 0.2
    assert own["model"].items.labels(own["model"].nearest(3, k=1).neighbour) == ["cat"]
    assert own["points"].shape == (2, 2)
    examples = doctest.DocTestFinder().find(own["own_tree"].stress, globs=vars(own["own_tree"]))
    assert [doctest.DocTestRunner().run(each) for each in examples] == [(0, 1)]
    assert page_names["from_pytorch"]["gradient"].tolist() == [0.0, 0.0]
    animals = page_names["own_hierarchy"]["model"]
    assert animals.card["metrics"]["eval/map"] == 1.0
    lineage = animals.lineage(animals.find("lion"))
    assert animals.items.labels(np.asarray(lineage)) == ["animal", "mammal", "cat", "lion"]
    sequences = page_names["own_sequences"]
    assert sequences["metrics"]["eval/pearson"] > 0.85
    assert sequences["predicted"].value.shape == (2, 2)
    assert sequences["strongest"] == "M1L"
    placed = page_names["new_items"]["placed"]
    assert placed.lineage[0][0][0] == "bird"
    assert placed.point.shape == (1, 8)
    stress = gpu["metrics"]["train/stress"]
    assert stress.shape == (3,)
    assert len(set(stress.tolist())) == 3


@pytest.mark.slow
def test_two_commands_make_a_model_a_report_and_predictions_of_a_csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(blocks("own_sequences")[0], {})
    page = (REPOSITORY / "docs" / "how_to" / "own_sequences.md").read_text()
    commands = re.findall(r"^    (tvae .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        words = command.replace("tvae", f"{sys.executable} -m tvae", 1).split()
        subprocess.run(words, check=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    report = (tmp_path / "runs" / "own" / "report.html").read_text()
    assert "eval/pearson" in report.replace("<wbr>", "")
    rows = list(csv.DictReader((tmp_path / "predicted.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["new", "new", "strange", "strange"]
    assert rows[0]["drivers"].startswith("M1L+")
    assert rows[2]["warnings"] == "unseen in training: 5W"


def test_every_page_of_the_folder_is_run_or_taken_from_contributing():
    pages = {path.stem for path in (REPOSITORY / "docs" / "how_to").glob("*.md")}
    assert pages == {*PAGES, "own_domain", "own_term"}
