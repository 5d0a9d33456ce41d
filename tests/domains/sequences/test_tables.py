"""Readers: HIVDB tables and one's own; what is wrong has a file, a line and a reason."""

import dataclasses
import itertools

import numpy as np
import pytest

from tests.support.sequence_tables import HEADER, ROWS, write
from tvae.domains.sequences import encoding, hivdb, user_tables
from tvae.domains.sequences.alphabets import NUCLEOTIDE, PROTEIN, SAME
from tvae.domains.sequences.user_tables import Layout
from tvae.errors import UserError


def letters(table):
    return [[table.alphabet.text(int(cell)) for cell in row] for row in table.cells]


def test_a_table_of_hivdb_is_read_with_mixtures_bounds_and_the_reference(tmp_path):
    table = hivdb.read(write(tmp_path / "made.txt"))
    assert table.labels == ("AAA", "BBB")
    assert [PROTEIN.text(int(cell)) for cell in table.reference] == list("MKVAP")
    assert letters(table) == [
        ["M", "K", "V", "A", "P"],
        ["L", "K", "V", "A", "P"],
        ["L", "KR", "X", "A", "P"],
        ["M", "K", "X", "T#", "~"],
        ["*", "R", "V", "A", "P"],
    ]
    np.testing.assert_array_equal(table.values[:, 0], [2, 40, 100, 3.5, 1])
    np.testing.assert_array_equal(table.values[:, 1], [np.nan, 0.5, 0.4, 1, 2])
    assert table.censored.T.tolist() == [[0, 1, 1, 0, 0], [0, 0, -1, 0, 0]]
    assert [str(problem) for problem in table.problems] == ["made.txt:6: P2 is ' R'; read as 'R'"]
    np.testing.assert_allclose(table.targets()[:, 0], np.log10([2, 40, 100, 3.5, 1]))


def test_features_are_differences_from_the_reference(tmp_path):
    table = hivdb.read(write(tmp_path / "made.txt"))
    found = encoding.find_features(table, "share", min_rows=1)
    assert found.names == ("M1L", "M1*", "K2R", "A4T", "A4#", "P5~")
    features = encoding.encode(table.cells, found)
    assert features.tolist() == [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [1, 0, 0.5, 0, 0, 0],
        [0, 0, 0, 0.5, 0.5, 1],
        [0, 1, 1, 0, 0, 0],
    ]
    present = encoding.find_features(table, "presence", min_rows=1)
    np.testing.assert_array_equal(encoding.encode(table.cells, present), np.ceil(features))
    assert encoding.find_features(table, "share", min_rows=2).names == ("M1L", "K2R")


def test_a_letter_that_training_rows_lack_is_named(tmp_path):
    table = hivdb.read(write(tmp_path / "made.txt"))
    known = table.take(np.asarray([0, 1, 3]))
    seen = np.bitwise_or.reduce(known.cells, axis=0)
    found = encoding.unseen_letters(table.cells, seen, table.positions, PROTEIN)
    assert found == [(), (), ("2R",), (), ("1*", "2R")]
    seen[1] |= np.uint32(SAME)  # the reference's letter there is not stated, and may be R
    found = encoding.unseen_letters(table.cells, seen, table.positions, PROTEIN)
    assert found == [(), (), (), (), ("1*",)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["6", "1", "1", "-", "-"], "has 5 columns, the header 9"),
        (["6", "1", "1", "J1", "-", "-", "-", "-", ""], "P1 is 'J1': letter '1' is not one of"),
        (["6", "1", "1", "", "-", "-", "-", "-", ""], "P1 is '': an empty cell"),
        (["6", "one", "1", "-", "-", "-", "-", "-", ""], "'one' is not a number"),
        (["6", "inf", "1", "-", "-", "-", "-", "-", ""], "'inf' is not a finite number"),
    ],
)
def test_a_bad_row_is_listed_and_the_others_are_kept(row, reason, tmp_path):
    table = hivdb.read(write(tmp_path / "made.txt", [*ROWS[:4], row]))
    assert len(table.ids) == 4
    (problem,) = table.problems
    assert str(problem).startswith(f"made.txt:6: {reason}")
    assert problem.reason.endswith("row left out")


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([], HEADER, "made.txt:1: expected a header and rows, got 1 lines"),
        (ROWS, ["Isolate", *HEADER[1:]], "made.txt:1: expected a table of HIVDB"),
        (ROWS, [*HEADER[:3], "P2", "P1", *HEADER[5:]], "made.txt:1: expected a table of HIVDB"),
        (ROWS, ["SeqID", *HEADER[3:]], "made.txt:1: expected a table of HIVDB"),
        (ROWS, [*HEADER[:2], "AAA", *HEADER[3:]], "made.txt:1: the column 'AAA' is named twice"),
        ([["1"]], HEADER, "no row can be used; the first: made.txt:2: has 1 columns"),
    ],
)
def test_a_wrong_table_is_one_line(rows, header, message, tmp_path):
    with pytest.raises(UserError, match=message):
        hivdb.read(write(tmp_path / "made.txt", rows, header))
    with pytest.raises(UserError, match=r"absent.txt: cannot be read"):
        hivdb.read(tmp_path / "absent.txt")


def test_labels_without_use_are_named(tmp_path):
    missing = [[*row[:2], "NA", *row[3:]] for row in ROWS]
    with pytest.raises(UserError, match=r"made.txt:1: label BBB has no value in any row"):
        hivdb.read(write(tmp_path / "made.txt", missing)).targets()
    constant = [[*row[:2], "2", *row[3:]] for row in ROWS]
    with pytest.raises(UserError, match=r"made.txt:1: label BBB is 2 in every row"):
        hivdb.read(write(tmp_path / "made.txt", constant)).targets()
    zero = [*ROWS[:4], ["5", "0", *ROWS[4][2:]]]
    table = hivdb.read(write(tmp_path / "made.txt", zero))
    with pytest.raises(UserError, match=r"made.txt:6: AAA is 0; log10 needs it above 0"):
        table.targets()
    assert table.targets("linear")[4, 0] == 0


def test_joined_tables_have_all_labels_of_a_name_in_one_row(tmp_path):
    one = hivdb.read(write(tmp_path / "one.txt", [*ROWS, ["2", "7", *ROWS[1][2:]]]))
    header = ["SeqID", "CCC", *HEADER[3:8], "P6", "CompMutList"]
    other = [
        ["2", "5", "L", "-", "-", "-", "-", "D", "M1L, E6D"],
        ["9", "6", "-", "-", "-", "-", "-", "-", "NULL"],
        ["1", "8", "L", "-", "-", "-", "-", "-", "M1L"],
    ]
    other = hivdb.read(write(tmp_path / "other.txt", other, header))
    table = hivdb.join(one, other, "both")
    assert table.ids == ("1", "2", "3", "4", "5", "2", "9", "1")
    assert table.shared == 5
    np.testing.assert_array_equal(table.values[:, 2], [np.nan, 5, *[np.nan] * 4, 6, 8])
    np.testing.assert_array_equal(table.values[5:, 0], [7, np.nan, np.nan])
    assert [row[5] for row in letters(table)] == ["X", "D", "X", "X", "X", "X", "E", "E"]
    assert letters(table)[6][:5] == ["M", "K", "V", "A", "P"]  # of the other table's reference
    assert str(table.problems[-1]) == "other.txt:4: 1 has another sequence there; not joined"
    with pytest.raises(UserError, match="the label AAA is in both"):
        hivdb.join(one, one, "both")


SEQUENCES = {"a": "MKV", "b": "MRV", "c": "M-X", "d": "mkl"}


@pytest.fixture
def own(tmp_path):
    """The same rows as a CSV of sequences, a CSV of positions, and FASTA with labels."""
    values = {"a": "1", "b": "<2", "c": "", "d": "4"}
    lines = [
        f"{name},{text},{values[name]},g{i // 2}"
        for i, (name, text) in enumerate(SEQUENCES.items())
    ]
    (tmp_path / "own.csv").write_text("name,seq,y,lab\n" + "\n".join(lines))
    lines = [f"{name};{';'.join(text)};{values[name]}" for name, text in SEQUENCES.items()]
    (tmp_path / "positions.csv").write_text("name;p1;p2;p3;y\n" + "\n".join(lines))
    records = [f">{name} made\n{text[:2]}\n{text[2:]}\n" for name, text in SEQUENCES.items()]
    (tmp_path / "own.fasta").write_text("".join(records))
    return tmp_path


LAYOUT = Layout("name", ("y",), sequence="seq", columns=("lab",), reference="MKV")


def test_tables_of_ones_own_are_read_alike_in_all_formats(own):
    table = user_tables.read_csv(own / "own.csv", LAYOUT)
    assert letters(table) == [["M", "K", "V"], ["M", "R", "V"], ["M", "~", "X"], ["M", "K", "L"]]
    assert table.columns == {"lab": ("g0", "g0", "g1", "g1")}
    assert table.censored[:, 0].tolist() == [0, -1, 0, 0]
    layout = Layout("name", ("y",), positions=("p1", "p2", "p3"), delimiter=";")
    positions = user_tables.read_csv(own / "positions.csv", layout)
    fasta = user_tables.read_fasta(own / "own.fasta", own / "own.csv", LAYOUT)
    for one, other in itertools.combinations((table, positions, fasta), 2):
        np.testing.assert_array_equal(one.cells, other.cells)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.reference, other.reference)


def test_the_most_frequent_letter_is_the_reference_where_none_is_given(tmp_path):
    (tmp_path / "own.csv").write_text("name,seq,y\na,RN,1\nb,AN,2\nc,AN,3\n")
    layout = Layout("name", ("y",), sequence="seq", alphabet=NUCLEOTIDE)
    table = user_tables.read_csv(tmp_path / "own.csv", layout)
    assert letters(table) == [["AG", "X"], ["A", "X"], ["A", "X"]]
    assert table.reference.tolist() == [NUCLEOTIDE.cell("A"), SAME]
    assert encoding.find_features(table, min_rows=1).names == ("A1G",)


def test_bad_rows_of_ones_own_table_are_listed(own):
    with (own / "own.csv").open("a") as file:
        file.write("\ne,MK,1,g\nf,M1V,1,g\ng,MKV,x,g\nh,MKV\n")
    table = user_tables.read_csv(own / "own.csv", LAYOUT)
    assert [str(problem) for problem in table.problems] == [
        "own.csv:6: sequence of 2 positions, expected 3; row left out",
        "own.csv:7: letter '1' is not one of the protein alphabet; row left out",
        "own.csv:8: 'x' is not a number; row left out",
        "own.csv:9: has 2 columns, the header 4; row left out",
    ]
    (own / "own.fasta").write_text(">a\nMKV\n>z\nMKV\n")
    table = user_tables.read_fasta(own / "own.fasta", own / "own.csv", LAYOUT)
    assert table.ids == ("a",)
    assert "own.fasta:3: 'z' has no row in own.csv; left out" in map(str, table.problems)
    assert "own.csv:3: 'b' is not in own.fasta; row left out" in map(str, table.problems)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("yy",)}, "own.csv:1: no column 'yy'; columns: name, seq, y, lab"),
        ({"sequence": ""}, "own.csv: expected either a sequence column or columns of positions"),
        ({"reference": "M1V"}, "own.csv: the reference: letter '1' is not one of the protein"),
        ({"reference": "MKVV"}, "no row can be used; the first: own.csv:2: sequence of 3"),
    ],
)
def test_a_wrong_layout_is_one_line(change, message, own):
    with pytest.raises(UserError, match=message):
        user_tables.read_csv(own / "own.csv", dataclasses.replace(LAYOUT, **change))


def test_a_parquet_file_counts_as_the_text_that_it_would_be(own):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `export`")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `export`")
    columns = {
        "name": ["a", "b", "c", "d", "e"],
        "seq": [*SEQUENCES.values(), "MK"],
        "y": [1.0, 2.0, None, 4.0, 1.0],
        "lab": ["g0", "g0", "g1", "g1", "g1"],
    }
    parquet.write_table(pyarrow.table(columns), own / "own.parquet")
    table = user_tables.read_csv(own / "own.parquet", LAYOUT)
    text = user_tables.read_csv(own / "own.csv", LAYOUT)
    np.testing.assert_array_equal(table.cells, text.cells)
    np.testing.assert_array_equal(table.values, text.values)
    assert table.columns == text.columns
    assert [str(each) for each in table.problems] == [
        "own.parquet:6: sequence of 2 positions, expected 3; row left out"
    ]
    (own / "own.parquet").write_text("name,seq\n")
    with pytest.raises(UserError, match=r"own.parquet: cannot be read"):
        user_tables.read_csv(own / "own.parquet", LAYOUT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MKV\n>a\nMKV\n", "own.fasta:1: expected FASTA"),
        ("", "own.fasta:1: expected FASTA"),
        (">a\nMKV\n>a\nMKV\n", "own.fasta:3: the name 'a' a second time"),
        (">\nMKV\n", "own.fasta:1: a record without a name"),
    ],
)
def test_wrong_fasta_is_one_line(text, message, own):
    (own / "own.fasta").write_text(text)
    with pytest.raises(UserError, match=message):
        user_tables.read_fasta(own / "own.fasta", own / "own.csv", LAYOUT)
