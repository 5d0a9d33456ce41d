"""A table of one's own, as the experiment's README shows: from a CSV to scores and predictions."""

import re

import numpy as np

from tests.conftest import REPOSITORY

README = REPOSITORY / "experiments" / "hiv_resistance" / "README.md"


def test_what_the_readme_shows_happens(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    reference = np.asarray(list("MKVAPLLTRE"))
    mutated = generator.random((300, 10)) < 0.25
    residues = np.where(mutated, np.asarray(list("GHIDNQSYWC")), reference)
    signal = 2 * mutated[:, 0] + 1.5 * mutated[:, 3] - mutated[:, 7]
    ic50, other = np.exp(np.stack([signal, 0.5 * signal]) + generator.normal(size=(2, 300)) / 10)
    lines = [
        f"s{row},{''.join(residues[row])},{ic50[row]:.3f},{other[row] if row % 2 else ''}"
        for row in range(300)
    ]
    (tmp_path / "own.csv").write_text("name,sequence,ic50,ec50\n" + "\n".join(lines))
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(block, names)
    assert names["table"].problems == ()
    assert names["leaks"].same_genotype == 0
    assert names["quality"].pearson > 0.95
    assert names["predicted"].mean.shape == (3, 2)
    low, high = names["interval"]
    assert (low < high).all()
    assert names["strongest"][0] == "M1G"
