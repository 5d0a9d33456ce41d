"""Pairs of item and ancestor: files, what is learnt of them, link prediction by a rule."""

import csv
import io
import json

import jax
import numpy as np
import pytest
from absl import flags

import tvae
from tests.metrics.test_closure import random_hierarchy
from tvae.cli import evaluate
from tvae.config import default, validate
from tvae.domains import registry
from tvae.domains.hierarchy import link_prediction, source
from tvae.domains.hierarchy.batches import make_sampler
from tvae.domains.hierarchy.links import Links, Positives, read_links
from tvae.errors import UserError
from tvae.metrics.link_prediction import agreement, best_threshold


def call(*arguments):
    """The command ``evaluate`` in this process."""
    options = flags.FlagValues()
    evaluate.define_flags(options)
    options(["evaluate", *arguments])
    evaluate.main(options)


@pytest.fixture(scope="module")
def known():
    return random_hierarchy(70, extra=20, seed=5)


def test_pairs_of_a_file(known, tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text("Is_A\tancestor\tname\n1\t0\t7\nfalse\t9\t3\n")
    links = read_links(file, known, labelled=None)
    assert known.names[links.item].tolist() == ["7", "3"]
    assert known.names[links.ancestor].tolist() == ["0", "9"]
    assert links.label.tolist() == [True, False]
    assert read_links(file, known, labelled=False).label is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected columns child, parent and label, got nothing"),
        ("child,parent\n1,0\n", "expected columns child, parent and label, got child, parent"),
        ("child,parent,label\n", "expected lines of pairs, got none"),
        ("child,parent,label\n1,0,1\n2,0\n", ":3: expected 3 cells, got"),
        ("child,parent,label\n1,0,1\nelk,0,1\n", ":3: no item is named 'elk'"),
        ("child,parent,label\n1,0,yes\n", ":2: expected 1 or 0 as label, got 'yes'"),
    ],
)
def test_faults_of_a_file_of_pairs(known, tmp_path, text, message):
    file = tmp_path / "pairs.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_links(file, known, labelled=True)


@pytest.mark.parametrize("strict", [True, False])
def test_a_share_of_the_closure_is_learnt(known, tmp_path, strict):
    offset, ancestor = known.closure
    deep = int(np.argmax(known.level))
    above = ancestor[offset[deep] : offset[deep + 1]]
    direct = {int(known.parent[deep]), *known.extra[known.extra[:, 0] == deep, 1].tolist()}
    further = next(int(a) for a in above if int(a) not in direct)
    file = tmp_path / "pairs.csv"
    file.write_text(f"child,parent\n{known.names[deep]},{known.names[further]}\n")
    learnt = Positives(known, complete=False, file=str(file), strict=strict)
    assert learnt == Positives(known, complete=False, file=str(file), strict=strict)
    sampler = make_sampler(known, block=70, blocks=1, top=0, random=0, ancestors=64, learnt=learnt)
    pairs = jax.device_get(jax.jit(sampler.pairs)(0, sampler.shared(np.zeros(0, np.int32))))
    listed = np.asarray(sampler.above(np.int32(0)))
    assert set(listed[pairs.ancestor[deep][pairs.is_ancestor[deep]]].tolist()) == direct | {further}
    for item in range(len(known)):
        mine = listed[pairs.ancestor[item][pairs.is_ancestor[item]]].tolist()
        negative = np.flatnonzero(np.isfinite(pairs.log_weight[item])).tolist()
        above = mine if strict else ancestor[offset[item] : offset[item + 1]].tolist()
        assert sorted([*above, *negative, item]) == list(range(len(known)))


def test_the_threshold_is_that_of_all_thresholds_with_the_largest_f1():
    draw = np.random.default_rng(0)
    label = draw.random(200) < 0.2
    score = np.round(draw.normal(size=200) + label, 1)  # with ties
    threshold, f1 = best_threshold(score, label)
    every = [agreement(score >= t, label).f1 for t in np.unique(score)]
    assert f1 == pytest.approx(max(every))
    assert agreement(score >= threshold, label).f1 == pytest.approx(f1)


@pytest.mark.parametrize("geometry", ["lorentz", "poincare", "euclidean"])
def test_an_item_behind_its_ancestor_is_at_angle_zero(geometry):
    space = link_prediction.GEOMETRIES[geometry]
    points = space.from_tangent(np.asarray([[0, 0], [2, 0], [5, 0], [0, 4]], np.float32))
    links = Links(np.asarray([2, 3, 1]), np.asarray([1, 1, 2]), np.asarray([True, False, False]))
    found = link_prediction.relate(geometry, points, links)
    np.testing.assert_allclose(found.rise, [3, 2, -3], atol=1e-3)
    np.testing.assert_allclose(found.distance[[0, 2]], 3, atol=1e-3)
    np.testing.assert_allclose(found.angle[[0, 2]], [0, np.pi], atol=0.05)
    # In Euclidean space by hand; at a right angle at the origin a curved triangle is thinner.
    right = np.pi - np.arctan2(4, 2)
    assert found.angle[1] == pytest.approx(right) if geometry == "euclidean" else True
    assert right - 1e-4 < found.angle[1] < np.pi
    rule = link_prediction.choose_rule(found, links.label)
    assert link_prediction.predict(rule, found).tolist() == [True, False, False]


def test_a_model_that_learnt_some_pairs_scores_those_of_a_file(tmp_path, capsys, monkeypatch):
    known = source.made_tree()
    names, offset, ancestor = known.names, *known.closure
    item = np.repeat(np.arange(40), np.diff(offset))
    edges = ["child,parent", f"{names[0]},"]
    edges += [f"{names[i]},{names[known.parent[i]]}" for i in range(1, 40)]
    (tmp_path / "edges.csv").write_text("\n".join(edges))
    pairs = [f"{names[i]},{names[a]},1" for i, a in zip(item, ancestor, strict=True)]
    pairs += [f"{names[a]},{names[i]},0" for i, a in zip(item, ancestor, strict=True)]
    (tmp_path / "labelled.csv").write_text("\n".join(["child,parent,label", *pairs]))
    config = default("hierarchy")
    config.update_from_flattened_dict(
        dict(registry.get("hierarchy").tiny)
        | {"data.edges": str(tmp_path / "edges.csv"), "data.positives": "edges",
           "evaluation.pairs": str(tmp_path / "labelled.csv"), "epochs": 20}
    )  # fmt: skip
    model = tvae.train(config, tmp_path / "run")
    metrics = model.card["metrics"]
    # The half that is measured has one item above the other in each pair: better than a coin.
    assert metrics["eval/link_f1"] > 0.7
    model.save(tmp_path / "saved")
    (tmp_path / "edges.csv").unlink()
    saved = tvae.load(tmp_path / "saved")
    (tmp_path / "labelled.csv").rename(tmp_path / "away.csv")  # which training alone needs
    np.testing.assert_array_equal(tvae.load(model.path).params["points"], model.params["points"])
    (tmp_path / "away.csv").rename(tmp_path / "labelled.csv")
    monkeypatch.setattr(evaluate.loading, "load", lambda _: saved)
    found = model.score_pairs(tmp_path / "labelled.csv")
    assert found.metrics["f1"] == pytest.approx(metrics["eval/link_f1"], abs=0.15)
    assert found.metrics["pairs"] == 2 * item.size
    call("--checkpoint=run", f"--pairs={tmp_path / 'labelled.csv'}",
         f"--scores={tmp_path / 'scores.csv'}")  # fmt: skip
    assert json.loads(capsys.readouterr().out) == pytest.approx(found.metrics)
    (tmp_path / "asked.csv").write_text(f"child,parent\n{names[1]},{names[0]}\n")
    call("--checkpoint=run", f"--pairs={tmp_path / 'asked.csv'}")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    written = list(csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text())))
    assert rows == [r for r in written if (r["child"], r["parent"]) == (names[1], names[0])]
    with pytest.raises(UserError, match="scores: expected --pairs"):
        call("--checkpoint=run", "--scores=x.csv")
    config.data.positives, config.data.pairs = "closure", "x.csv"
    with pytest.raises(UserError, match=r"config\.data\.pairs: all ancestors are learnt already"):
        validate(config)
