"""Folds: relatives stay together, and the check counts those that do not."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.sequence_tables import HEADER, write
from tvae.domains.sequences import baselines, crossvalidation, hivdb, splits
from tvae.domains.sequences.alphabets import PROTEIN
from tvae.domains.sequences.samples import Samples
from tvae.errors import UserError


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A chain of single steps 1-2-3, a pair of one name, a pair of one sequence, and two others."""
    sequences = ["MKVAP", "LKVAP", "LRVAP", "TTTTT", "GGGGG", "SSSSS", "SSSSS", "MKWWW", "FFFFF"]
    names = ["1", "2", "3", "4", "4", "5", "6", "7", "8"]
    rows = [
        [name, str(i + 1), "1", *text, ""]
        for i, (name, text) in enumerate(zip(names, sequences, strict=True))
    ]
    rows[-1][3] = "X"
    return hivdb.read(write(tmp_path_factory.mktemp("made") / "made.txt", rows, HEADER))


def test_distances_count_positions_without_a_common_letter():
    texts = (("A", "K", "V"), ("AG", "R", "V"), ("X", "KR", "I"))
    cells = jnp.asarray([[PROTEIN.cell(text) for text in row] for row in texts], jnp.uint32)
    assert splits.disjoint_positions(cells).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_groups_are_connected_components(table):
    genotypes = splits.genotype_groups(table)
    assert genotypes.tolist() == [0, 1, 2, 3, 3, 4, 4, 5, 6]
    near = splits.near_rows(table, 1)
    assert splits.cluster_groups(table, near).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 4]
    far = splits.cluster_groups(table, splits.near_rows(table, 3))
    assert far.tolist() == [0, 0, 0, 1, 1, 2, 2, 0, 3]
    with pytest.raises(UserError, match="distance: expected 0 or more positions, got -1"):
        splits.near_rows(table, -1)


@pytest.mark.parametrize("seed", range(3))
def test_folds_divide_no_group_and_are_of_nearly_equal_size(seed):
    groups = np.repeat(np.arange(60), np.r_[30, np.ones(59, int) * 2])
    folds = splits.make_folds(groups, 5, seed, "made")
    assert {len(set(folds.fold[groups == group])) for group in range(60)} == {1}
    sizes = np.bincount(folds.fold)
    assert sizes.max() - sizes.min() <= 2
    again = splits.make_folds(groups, 5, seed, "made")
    assert again.digest == folds.digest != splits.make_folds(groups, 5, seed + 1, "made").digest


def test_the_check_counts_relatives_in_other_folds(table):
    near = splits.near_rows(table, 1)
    alone = splits.make_folds(np.arange(9), 9, 0, "single rows")
    found = splits.check_leaks(table, alone, near)
    assert found == splits.LeakCheck(rows=9, same_name=2, same_genotype=2, near=5, largest_group=1)
    assert "same name 2, same genotype 2, near 5 (56%)" in str(found)
    clusters = splits.make_folds(splits.cluster_groups(table, near), 3, 0, "cluster")
    found = splits.check_leaks(table, clusters, near)
    assert (found.same_name, found.same_genotype, found.near, found.largest_group) == (0, 0, 0, 3)


def test_groups_of_a_column_and_too_few_groups_are_refused(table):
    with pytest.raises(UserError, match=r"made.txt:1: no column 'lab' for groups; columns: none"):
        splits.column_groups(table, "lab")
    table.columns["lab"] = tuple("aabbccdde")  # the pair of one name joins b and c
    assert splits.column_groups(table, "lab").tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 3]
    with pytest.raises(UserError, match=r"^made.txt:1: made folds: .* got 5 folds and 1 groups"):
        splits.make_folds(np.zeros(9, int), 5, 0, "made", table.header)


def dated(table, *dates):
    return dataclasses.replace(table, columns={"day": dates})


def test_folds_of_time_learn_from_what_is_earlier(table):
    days = ["2001-05-02", "2001", "2002-01", "2003-01-01", "2001-02-03"]
    table = dated(table, *days, "2004", "2005", "2006", "2007")
    groups = splits.genotype_groups(table)
    assert groups.tolist() == [0, 1, 2, 3, 3, 4, 4, 5, 6]
    folds = splits.time_folds(table, "day", groups, 2)
    assert folds.fold.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2]  # rows 5 and 7: with their twins
    assert list(folds.tested) == [1, 2]
    day = splits.read_dates(table, "day")
    for fold in folds.tested:
        train, test = folds.training(fold), folds.fold == fold
        last = [day[groups == groups[row]].max() for row in np.flatnonzero(test)]
        assert day[train].max() < min(last)
        assert not set(groups[train]) & set(groups[test])
    samples = Samples(np.zeros((9, 1), np.float32), np.arange(9.0)[:, None], np.zeros(0), groups)
    samples = samples._replace(censored=np.zeros((9, 1), np.int8))
    found = crossvalidation.cross_validate(samples, folds, {"mean": baselines.mean})
    expected = [*[np.nan] * 3, *[1.0] * 4, *[3.0] * 2]
    np.testing.assert_array_equal(found.predictions["mean"][:, 0], expected)


def test_dates_that_cannot_order_rows_are_refused(table):
    groups = np.arange(9)
    with pytest.raises(UserError, match=r"made.txt:1: no column 'day' of dates; columns: lab"):
        splits.time_folds(table, "day", groups, 2)
    with pytest.raises(UserError, match=r"made.txt:4: day is '2001-13', expected a date: year, "):
        splits.time_folds(dated(table, "2001", "2002", "2001-13", *["2003"] * 6), "day", groups, 2)
    with pytest.raises(UserError, match=r"made.txt:2: day is 'today', expected a date"):
        splits.time_folds(dated(table, *["today"] * 9), "day", groups, 2)
    with pytest.raises(UserError, match=r"made.txt:1: time folds by 'day': .* and 1 days"):
        splits.time_folds(dated(table, *["2001"] * 9), "day", groups, 2)
