"""Facts of genes: positions lie in the gene, masks choose them, cut-offs divide fold changes."""

import numpy as np
import pytest

from tests.support.sequence_tables import MADE_GENE, write
from tvae.domains.sequences import encoding, genes, hivdb
from tvae.errors import UserError


@pytest.fixture
def made(tmp_path):
    (tmp_path / "made.toml").write_text(MADE_GENE)
    return tmp_path / "made.toml"


@pytest.mark.parametrize(
    ("name", "length", "drugs", "classes"),
    [("PR", 99, 8, {"PI"}), ("RT", 560, 11, {"NRTI", "NNRTI"}), ("IN", 288, 5, {"INI"})],
)
def test_the_genes_that_ship_are_whole(name, length, drugs, classes):
    gene = genes.read(name)
    assert (gene.name, gene.length, len(gene.drugs)) == (name, length, drugs)
    assert set(gene.positions) == {drug.drug_class for drug in gene.drugs.values()} == classes
    assert gene.source
    assert gene.cutoffs_source
    for drug, facts in gene.drugs.items():
        found = gene.classify(drug, np.asarray([np.nan, 0.1, 1e3]))
        assert found == (["", "susceptible", "resistant"] if facts.cutoffs else [""] * 3)


def test_a_mask_keeps_the_key_positions_of_the_labels(tmp_path, made):
    table = hivdb.read(write(tmp_path / "made.txt"))
    gene = genes.read(made)
    mask = gene.mask(table)
    assert mask.tolist() == [False, True, False, True, False]
    assert encoding.find_features(table, min_rows=1, positions=mask).names == ("K2R", "A4T", "A4#")
    assert gene.key_positions("BBB") == ()
    assert gene.classify("AAA", np.asarray([1.9, 2, 5])) == [
        "susceptible",
        "partly resistant",
        "resistant",
    ]
    with pytest.raises(UserError, match=r"made.txt:1: no label is a drug of PR; labels: AAA, BBB"):
        genes.read("PR").mask(table)
    (tmp_path / "short.toml").write_text(MADE_GENE.replace("length = 5", "length = 4"))
    with pytest.raises(UserError, match=r"made.txt:1: 5 positions, but G has 4"):
        genes.read(tmp_path / "short.toml").mask(table)
    with pytest.raises(UserError, match=r"made.txt:1: no letter differs from the reference in 9"):
        encoding.find_features(table, min_rows=9)


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("[2, 4]", "[2, 6]", "position 6 of C is not in 1 to 5"),
        ('class = "C"', 'class = "D"', "AAA is of class 'D', which has no positions"),
        ("[2, 5]", "[5, 2]", "cut-offs .5.0, 2.0., expected at most two, ascending"),
        ("[2, 5]", "[1, 2, 3]", "expected at most two"),
        ('name = "G"', "", "not the facts of a gene: 'name'"),
        ("[positions]", "[positions", "cannot be read"),
    ],
)
def test_a_wrong_file_is_one_line(was, now, message, made):
    made.write_text(MADE_GENE.replace(was, now))
    with pytest.raises(UserError, match=f"made.toml: .*{message}"):
        genes.read(made)


def test_an_unknown_gene_lists_those_that_ship():
    with pytest.raises(UserError, match=r"gene 'XX': expected a file, or one of IN, PR, RT"):
        genes.read("XX")
