"""The tables of HIVDB, where they are present: all rows are read, and folds divide no genotype."""

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tvae.domains.sequences import encoding, hivdb, splits

FOLDER = REPOSITORY.parent / "shared" / "data" / "hiv_stanford"


@pytest.fixture(scope="module")
def tables():
    if not FOLDER.is_dir():
        pytest.skip("needs ../shared/data/hiv_stanford (tables that do not ship), which is absent")
    names = ("pi", "ini", "nrti", "nnrti")
    return {name: hivdb.read(FOLDER / f"stanford_hivdb_{name}.txt") for name in names}


def test_all_rows_are_read_and_repairs_are_listed(tables):
    assert {name: len(table.ids) for name, table in tables.items()} == {
        "pi": 2171,
        "ini": 846,
        "nrti": 1867,
        "nnrti": 2270,
    }
    assert {name: len(table.problems) for name, table in tables.items()} == {
        "pi": 0,
        "ini": 0,
        "nrti": 2,
        "nnrti": 2,
    }
    capped = tables["nrti"].censored[:, tables["nrti"].labels.index("3TC")]
    assert (capped > 0).sum() == 831
    assert (np.unique(tables["ini"].reference) > 0).all()


def test_both_regions_of_one_gene_are_joined(tables):
    table = hivdb.join(tables["nrti"], tables["nnrti"], "RT")
    assert len(table.ids) == 2556
    assert len(table.problems) == 4
    measured = (~np.isnan(table.values)).sum(0)
    apart = [(~np.isnan(tables[name].values)).sum(0) for name in ("nrti", "nnrti")]
    np.testing.assert_array_equal(measured, np.concatenate(apart))
    assert {"T69#", "M184V", "K103N"} <= set(encoding.find_features(table).names)


def test_clusters_of_integrase_are_few_and_large(tables):
    table = tables["ini"]
    near = splits.near_rows(table, 2)
    genotypes = splits.make_folds(splits.genotype_groups(table), 5, 0, "genotype")
    found = splits.check_leaks(table, genotypes, near)
    assert (found.same_name, found.same_genotype) == (0, 0)
    assert found.near > 500
    clusters = splits.make_folds(splits.cluster_groups(table, near), 5, 0, "cluster")
    assert splits.check_leaks(table, clusters, near).near == 0
