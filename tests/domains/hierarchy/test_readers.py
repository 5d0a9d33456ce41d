"""Readers of hierarchies: what they read, and each fault by its line."""

import itertools

import numpy as np
import pytest

from tvae.domains.hierarchy import readers
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
        ("a,b\nb,a\n", "edges", "cycle, each item below the next: 'b' -> 'a' -> 'b'"),
        ("a,r\na,b\nb,a\n", "edges", "cycle through 'a' below its further parent 'b'"),
        ("a,a\n", "edges", "a.csv:1: 'a' is its own parent"),
        ("a,r\nb,r\na,r\n", "edges", "a.csv:3: 'a' below 'r' is there already"),
        ("a,r\nb,s\n", "edges", "expected one root, an item without a parent; got 2: 'r' (never"),
        ("a,\nb,\nc,a\n", "edges", "got 2: 'a' (line 1), 'b' (line 2)"),
        ("a,r\nr,\na,\n", "edges", "a.csv:1: 'a' has no parent in another line"),
        ("k,f\nA,x\nA,x\n", "lineage", "a.csv:3: 'x' is there already, line 2"),
        ("k,f\n", "lineage", "expected a line of ranks and lines of names"),
        ("", "newick", "got an empty file"),
        ("((a,b)c", "newick", "a.csv:1: expected a tree in Newick format, got the end of the file"),
        ("(a,b)c)d;", "newick", "a.csv:1: ')' outside of all '('"),
        ("((a,b)c;", "newick", "expected as many ')' as '('"),
        ("(a,a)b;", "newick", "label 'a' is there 2 times"),
        (",a,b\na,0,1\nb,2,0\n", "distances", "expected finite symmetric distances"),
        (",a,b\na,0,1\n", "distances", "expected a square matrix of 2 names, got (1, 2)"),
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
