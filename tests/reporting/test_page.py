"""The report of a run of each task: complete, small, self-contained, and honest."""

import dataclasses
import json
import re
import shutil

import pytest

from tvae.errors import UserError
from tvae.reporting import contents, embedding, page
from tvae.runs.run import Run

LARGEST = 2_000_000  # bytes
TASKS = ["dual_vae", "hyperbolic_vae", "projected_vae"]


@pytest.fixture(scope="module")
def reports(runs):
    """Task -> text of its report."""
    return {task: page.write_report(folder).read_text("utf-8") for task, folder in runs.items()}


@pytest.mark.parametrize("task", TASKS)
def test_a_page_is_small_and_needs_no_network(reports, task):
    text = reports[task]
    assert len(text.encode()) < LARGEST
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)


@pytest.mark.parametrize("task", TASKS)
def test_every_section_and_figure_is_there(reports, runs, task):
    sections = re.findall(r'<section id="(\w+)">', reports[task])
    assert sections == [
        "summary", "curves", "objective", "radii", "distances", "reconstruction", "schedules",
        "diagnostics", "config", "environment",
    ]  # fmt: skip
    figures = runs[task] / "figures"
    several = {"disk_a.png", "disk_b.png"}
    expected = {"disk.png"} if task == "hyperbolic_vae" else several
    assert {path.name for path in figures.iterdir()} == expected
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures.iterdir())


@pytest.mark.parametrize("task", TASKS)
def test_every_term_of_the_objective_has_a_row(reports, runs, task):
    table = re.search(r'<section id="objective">.*?</section>', reports[task], re.DOTALL).group()
    run = Run.open(runs[task])
    shares = []
    for name, row in run.config.objective.items():
        cells = re.search(
            rf"<tr><td><span class=\"key\">{_broken(name)}</span></td>(.*?)</tr>", table
        )
        term, value, _, share = re.findall(r"<td[^>]*>(.*?)</td>", cells.group(1))[:4]
        assert term == row.term
        assert float(value) == pytest.approx(run.last_row[f"train/{name}"], rel=1e-4)
        shares.append(float(share))
    assert sum(shares) == pytest.approx(run.last_row["train/loss"], rel=1e-3)


def _broken(name):
    """A name whose line may break after its words."""
    return re.sub(r"(?<=_)(?=[a-z]{3})", "<wbr>", name)


@pytest.mark.parametrize("task", TASKS)
def test_every_place_has_its_figure(reports, task):
    text = reports[task]
    figures = json.loads(re.search(r'json">(.*?)</script>', text, re.DOTALL).group(1))
    places = re.findall(r'data-plot="([\w-]+)"', text)
    assert len(places) > 6
    assert sorted(places) == sorted(figures["plots"])
    (disk,) = figures["disks"]
    assert len(disk["disks"]) == (1 if task == "hyperbolic_vae" else 2)


def test_targets_are_judged_in_words(reports):
    assert "1 of 1 targets reached" in reports["dual_vae"]
    # The made-up history reaches the hierarchy, misses the fidelity and has none of the third.
    assert "1 of 3 targets reached" in reports["hyperbolic_vae"]
    assert "✗ fail" in reports["hyperbolic_vae"]
    assert "no targets in this configuration" in reports["projected_vae"]


def test_what_does_not_apply_is_said(reports):
    assert "no ball" in reports["dual_vae"]
    assert "Euclidean norm of the latent" in reports["dual_vae"]
    assert "No gates" in reports["hyperbolic_vae"]
    assert "No decoder reads this embedding" in reports["projected_vae"]
    assert "nothing is held out" in reports["projected_vae"]


def test_the_configuration_is_shown_against_its_default(runs):
    changes = contents.read_contents(runs["hyperbolic_vae"]).changes
    assert ("epochs", "400", "40") in changes
    assert ("model.encoder_widths", "[256, 128, 64]", "[16]") in changes
    assert not [path for path, *_ in changes if path.startswith("targets")]


def test_names_are_escaped(runs, tmp_path):
    folder = tmp_path / "<b>run"
    shutil.copytree(runs["dual_vae"], folder)
    read = contents.read_contents(folder)
    text = page.render(read, page.describe_figures(read))
    assert "<b>run" not in text
    assert "&lt;b&gt;run" in text


def without(read, *, tree_only):
    """The same contents as a domain without a tree, or without items, would have them."""
    if not tree_only:
        return dataclasses.replace(read, shown=None, embeddings=[])
    items = dataclasses.replace(read.shown.items, tree=None)
    return dataclasses.replace(read, shown=embedding.choose_items(items))


def test_a_model_that_nobody_published_has_no_published_figures(reports):
    assert "Published" not in reports["hyperbolic_vae"]
    assert "Published" not in reports["dual_vae"]  # of five digits
    assert "Published v5.12.4" in reports["projected_vae"]


def test_a_run_that_meets_its_targets_shows_no_alarm(runs):
    read = contents.read_contents(runs["dual_vae"])
    assert read.passed
    fired = [finding._replace(epoch=7.0) for finding in read.findings]
    passed = dataclasses.replace(read, findings=fired)
    missed = dataclasses.replace(passed, verdicts=[read.verdicts[0]._replace(bound=2.0)])
    for each, alarm in ((passed, False), (missed, True)):
        text = page.render(each, page.describe_figures(each))
        assert "fired at epoch 7" in text
        assert ('class="bad"' in text) == alarm


def test_the_page_shows_how_to_load_the_model(reports, runs):
    assert f"model = tvae.load(&#39;{runs['dual_vae']}&#39;)" in reports["dual_vae"]


def test_a_comparison_leaves_the_reports_alone(runs, reports, tmp_path):
    first, other = runs["hyperbolic_vae"], runs["projected_vae"]
    written = page.write_comparison([first, other])
    assert written == first / "comparison.html"
    assert (first / page.PAGE).read_text("utf-8") == reports["hyperbolic_vae"]
    text = written.read_text("utf-8")
    assert len(text.encode()) < 2 * LARGEST
    # eval/hierarchy of the one and eval/hierarchy_b of the other, in one row.
    row = re.search(
        r"<td><span class=\"key\">eval/hierarchy</span></td>(.*?)</tr>", text, re.DOTALL
    )
    assert re.findall(r"-0\.\d+", row.group(1)) == ["-0.832", "-0.79236"]
    assert "★ -0.832" in row.group(1)
    elsewhere = page.write_comparison([first, other], tmp_path / "page.html")
    assert elsewhere.read_text("utf-8") == text
    with pytest.raises(UserError, match="own report"):
        page.write_comparison([first, other], other / page.PAGE)


@pytest.mark.parametrize(
    ("tree_only", "absent", "reason"),
    [
        (False, ["radii", "distances", "reconstruction"], "has no finite set of items"),
        (True, ["radii", "distances"], "The operations have no tree"),
    ],
)
def test_sections_that_a_domain_does_not_have_are_absent(runs, tree_only, absent, reason):
    read = without(contents.read_contents(runs["dual_vae"]), tree_only=tree_only)
    text = page.render(read, page.describe_figures(read))
    sections = re.findall(r'<section id="(\w+)">', text)
    assert not set(sections) & set(absent)
    assert set(sections) >= {"summary", "curves", "schedules", "diagnostics", "config"}
    assert reason in text
    assert ("data-disk=" in text) == tree_only


def test_a_run_is_not_compared_with_itself(runs):
    folder = runs["dual_vae"]
    with pytest.raises(UserError, match="expected other runs"):
        page.write_comparison([folder, folder])


def test_an_unfinished_run_is_reported_as_such(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs["dual_vae"], folder)
    (folder / "metrics.json").unlink()
    read = contents.read_contents(folder)
    assert read.ending == "40 of 40 epochs so far"
    assert read.verdicts[0].value == read.run.rows[-1]["eval/coverage_mu_a"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("config.json", None, "no such file"),
        ("metrics.jsonl", None, "no such file"),
        ("metrics.jsonl", "", "no metrics yet"),
        ("metrics.json", "{", "not readable as JSON"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(runs, tmp_path, name, text, expected):
    folder = tmp_path / "run"
    shutil.copytree(runs["dual_vae"], folder)
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(UserError, match=expected):
        page.write_report(folder)
    assert not (folder / page.PAGE).exists() or (folder / page.PAGE).stat().st_size > 0


def test_nothing_is_written_where_nothing_can_be(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs["dual_vae"], folder)
    (folder / page.PAGE).unlink(missing_ok=True)
    (folder / page.PAGE).mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        page.write_report(folder)
