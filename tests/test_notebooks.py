"""The notebooks run in a fresh kernel, and what is committed is what a reader should see."""

import importlib.util
import re

import nbformat
import pytest

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "experiments" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
SLOW = {
    "02_train_and_compare",
    "03_jit_evaluation",
    "05_own_sequences",
    "06_own_table",
}  # they compile for half a minute and more
# What a notebook's outputs must say, wherever they were made.
SAYS = {
    "01_first_look": ["decoded exactly: 19683 of 19683", "hierarchy        measured -0.83205"],
    "02_train_and_compare": ["hierarchy          -0.832"],
    "03_jit_evaluation": ["noise 0%  decodes 100.00%", "c   4.000  hierarchy -0.8320"],
    "06_own_table": [
        "mean average precision:     1.0",
        "animal > mammal > cat > lion",
        "items.vec",
    ],
    "04_convert_pytorch": ["bit for bit the weights: True", "asks for os.system, which no"],
    "05_own_sequences": ["correlation with the truth 1.00", "M1L  +0.6"],
}


def load_executor():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook):
    outputs = (output for cell in code_cells(notebook) for output in cell.outputs)
    return "".join(output.get("text", "") for output in outputs)


def shape(notebook):
    """Kinds of the outputs of each cell."""
    return [[output.output_type for output in cell.outputs] for cell in code_cells(notebook)]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES]
)
def test_a_notebook_runs_and_says_what_it_should(name, monkeypatch, compilation_cache):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(compilation_cache))
    executor = load_executor()
    path = FOLDER / f"{name}.ipynb"
    done = executor.tidy(executor.run(path, FOLDER))
    assert [sentence for sentence in SAYS[name] if sentence not in printed(done)] == []
    assert shape(done) == shape(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_is_complete_and_clean(name):
    path = FOLDER / f"{name}.ipynb"
    text = path.read_text()
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert len(text) < 120_000
    assert re.search(r'"/(?!/)\w+/|it/s|s/it|\d ?ms\b|\[\d\d:\d\d', printed(notebook)) is None
    assert all(cell.execution_count is None for cell in code_cells(notebook))
    assert [sentence for sentence in SAYS[name] if sentence not in printed(notebook)] == []
    head = notebook.cells[0].source
    assert head.startswith("# ")
    assert "\nNeeds " in head
    assert "Takes about" in " ".join(head.split())
    assert load_executor().tidy(notebook) == nbformat.read(path, as_version=4)
