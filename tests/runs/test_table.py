"""The record of runs: hundreds of folders read, sorted and filtered; damage named and skipped."""

import csv
import io
import json
import math
import random
import sys
import time

import pytest

from tvae.artifacts.repository import Repository
from tvae.errors import UserError
from tvae.runs import find as runs
from tvae.runs import table

N_RUNS = 600
DAMAGE = {
    "config.json": b'{"task": "hyperbolic_vae", "se',
    "run.json": b"[]",
    "metrics.json": b"\xff\xfe",
}


def write_run(folder, seed, *, finished=True):
    """A run folder as training leaves it, with forty invented metrics."""
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    task = ("hyperbolic_vae", "dual_vae")[seed % 2]
    config = {"task": task, "seed": seed, "optimizer": {"b2": 0.9 + draw.random() / 10}}
    config |= {"model": {"widths": [64, 32]}, "flag": True, "base": None}
    metrics = {f"eval/measure_{i}": draw.random() for i in range(40)} | {"train/epochs": 40}
    if task == "hyperbolic_vae":
        metrics |= {"eval/hierarchy": -draw.random(), "eval/coverage_ball": draw.random()}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "run.json").write_text(json.dumps({"git_commit": "abc", "device": "cpu"}))
    rows = [{"epoch": i} | metrics for i in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if finished:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return metrics


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Hundreds of runs, some in folders of sweeps, three of them damaged."""
    root = tmp_path_factory.mktemp("many")
    metrics = {}
    for seed in range(N_RUNS):
        name = f"sweep/deep/{seed}" if seed % 3 == 0 else f"run-{seed}"
        metrics[name] = write_run(root / name, seed)
    for name, content in DAMAGE.items():
        write_run(root / f"damaged-{name}", 1)
        (root / f"damaged-{name}" / name).write_bytes(content)
    return root, metrics


@pytest.fixture(scope="module")
def found(many):
    return runs.find_runs(many[0])


def test_all_runs_are_read_and_the_damaged_named(many, found):
    root, metrics = many
    assert {row["name"] for row in found.rows} == set(metrics)
    assert len(found.damaged) == 3
    for name in DAMAGE:
        assert sum(f"{root}/damaged-{name}/{name}: " in line for line in found.damaged) == 1


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_by_any_metric_puts_the_missing_last(many, found, descending):
    _, metrics = many
    sort = ("-" if descending else "") + "eval/hierarchy"
    rows = table.select(found.rows, columns=["name", "eval/hierarchy"], sort=sort)
    having = sorted(
        (m["eval/hierarchy"] for m in metrics.values() if "eval/hierarchy" in m),
        reverse=descending,
    )
    values = [row["eval/hierarchy"] for row in rows]
    assert values[: len(having)] == having
    assert values[len(having) :] == [None] * (N_RUNS - len(having))
    for row in rows[:20]:
        assert metrics[row["name"]]["eval/hierarchy"] == row["eval/hierarchy"]
    headline = {"hyperbolic_vae": ["eval/coverage_ball"], "absent": ["eval/measure_1"]}
    best = table.select(found.rows, headline=headline, sort=sort, limit=3)
    assert [row["eval/hierarchy"] for row in best] == having[:3]
    # The headline of the tasks at hand, and what was sorted by.
    assert list(best[0])[:3] == ["stage", "name", "task"]
    assert list(best[0])[-2:] == ["eval/coverage_ball", "eval/hierarchy"]


def test_every_metric_and_every_field_is_a_column(many, found):
    for column in ("eval/measure_17", "config.optimizer.b2", "config.model.widths", "path"):
        rows = table.select(found.rows, columns=["name", column], sort=column)
        assert len(rows) == N_RUNS
        values = [row[column] for row in rows]
        assert values == sorted(values)
    [first, *_] = table.select(found.rows, columns=["config.model.widths", "config.flag"])
    assert first == {"config.model.widths": "[64, 32]", "config.flag": 1.0}


def test_conditions_are_sql(many, found):
    where = "task = 'hyperbolic_vae' AND \"eval/hierarchy\" < -0.9"
    rows = table.select(found.rows, columns=["task", "eval/hierarchy"], where=where)
    _, metrics = many
    expected = sum(m.get("eval/hierarchy", 0.0) < -0.9 for m in metrics.values())
    assert len(rows) == expected > 0
    assert {row["task"] for row in rows} == {"hyperbolic_vae"}


@pytest.mark.parametrize(
    "where",
    [
        "no_such_column > 1",
        "1 = 1; DROP TABLE runs; SELECT 1",
        "name IN (SELECT content FROM read_text('/etc/hostname'))",
        "1 = 1); DROP TABLE runs; SELECT (1",
        "1 = 1; SET enable_external_access = true",
    ],
)
def test_a_condition_reaches_nothing_but_the_table(found, where):
    with pytest.raises(UserError, match="--where: ") as refusal:
        table.select(found.rows, where=where)
    assert "\n" not in str(refusal.value)


def test_wrong_columns_are_refused_with_a_hint(found):
    with pytest.raises(UserError, match=r"--sort: no column 'eval/hierarch'; .* eval/hierarchy"):
        table.select(found.rows, sort="eval/hierarch")
    with pytest.raises(UserError, match="--columns: no column 'absent'"):
        table.select(found.rows, columns=["absent"])


def test_hundreds_of_runs_take_less_than_seconds(many):
    start = time.process_time()
    rows = runs.find_runs(many[0]).rows
    table.select(rows, sort="eval/hierarchy", limit=20)
    assert time.process_time() - start < 5.0


def test_formats_say_the_same(found):
    rows = table.select(found.rows, sort="-eval/coverage_ball", limit=5)
    assert json.loads(table.render(rows, "json")) == rows
    back = list(csv.DictReader(io.StringIO(table.render(rows, "csv"))))
    assert [row["name"] for row in back] == [row["name"] for row in rows]
    assert float(back[0]["eval/coverage_ball"]) == rows[0]["eval/coverage_ball"]
    lines = table.render(rows, "table").splitlines()
    assert len(lines) == 6
    assert lines[1].split()[:2] == ["run", rows[0]["name"]]
    assert table.select([], sort="anything") == []
    assert table.render([], "table") == ""


def test_an_unfinished_run_shows_its_last_whole_epoch(tmp_path):
    metrics = write_run(tmp_path / "now", 0, finished=False)
    log = tmp_path / "now" / "metrics.jsonl"
    with log.open("a") as file:
        file.write('{"epoch": 3, "eval/hier')
    [row] = runs.find_runs(tmp_path).rows
    assert (row["state"], row["epochs"]) == ("unfinished", 3.0)
    assert row["eval/hierarchy"] == metrics["eval/hierarchy"]
    log.unlink()
    [row] = runs.find_runs(tmp_path).rows
    assert (row["state"], row["epochs"]) == ("unfinished", 0.0)


def test_what_is_not_finite_counts_as_missing(tmp_path):
    for seed, value in enumerate([1.0, math.nan, 3.0]):
        write_run(tmp_path / str(seed), 0)
        text = json.dumps({"eval/hierarchy": value})
        (tmp_path / str(seed) / "metrics.json").write_text(text)
    rows = table.select(runs.find_runs(tmp_path).rows, sort="-eval/hierarchy")
    assert [row["eval/hierarchy"] for row in rows] == [3.0, 1.0, None]


def test_links_pipes_and_terminal_commands_are_harmless(tmp_path):
    write_run(tmp_path / "elsewhere" / "run", 0)
    runs_root = tmp_path / "runs"
    write_run(runs_root / "name\x1b[2J", 2)
    (runs_root / "link").symlink_to(tmp_path / "elsewhere")
    write_run(runs_root / "linked", 4)
    (runs_root / "linked" / "metrics.json").unlink()
    (runs_root / "linked" / "metrics.json").symlink_to(
        tmp_path / "elsewhere" / "run" / "metrics.json"
    )
    found = runs.find_runs(runs_root)
    assert [row["name"] for row in found.rows] == ["name\x1b[2J"]
    assert "linked/metrics.json: cannot be read" in found.damaged[0]
    assert "\x1b" not in table.render(table.select(found.rows), "table")


def test_nothing_there_is_an_empty_table(tmp_path):
    assert runs.find_runs(tmp_path / "absent") == runs.Found([], [])
    assert runs.collect(Repository(tmp_path / "absent").rows()) == runs.Found([], [])


def test_without_duckdb_it_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UserError, match=r"pip install 'tvae\[artifacts\]'"):
        table.select(found.rows)
