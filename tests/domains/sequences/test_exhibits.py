"""Sections of the report: figures against direct arithmetic, and the page that shows them."""

import re

import numpy as np
import pytest

from tests.support.sequence_tables import MADE_GENE
from tvae.domains.exhibits import Plot, Series
from tvae.domains.sequences import exhibits, source
from tvae.domains.sequences.crossvalidation import score
from tvae.domains.sequences.task import make_predictor
from tvae.reporting import page
from tvae.reporting.figures import scatter


@pytest.fixture(scope="module")
def sections(trained, tmp_path_factory):
    gene = MADE_GENE.replace("AAA", "ic50").replace("length = 5", "length = 12")
    path = tmp_path_factory.mktemp("gene") / "gene.toml"
    path.write_text(gene)
    config = trained.config.copy_and_resolve_references()
    config.data.gene = str(path)
    return {each.title: each for each in exhibits.make_exhibits(config, trained.params)}


def test_predictions_stand_beside_the_baselines(trained, sections):
    (table,) = sections["Predictions"].tables
    first = dict(zip(table.columns, table.rows[0], strict=True))
    predictor = make_predictor(trained.config, source.contents(trained.config.data))
    found = predictor.held_out(trained.params, 0.02)
    target = np.asarray(trained.params["table"]["target"], np.float64)[:, 0]
    for name, values in (("model", found.prediction), ("ridge", found.linear)):
        expected = score(target, np.asarray(values, np.float64)[:, 0])
        assert first[name] == f"{expected.pearson:.3f} / {expected.spearman:.3f}"
    low, high = map(float, first["r, 95 %"].split(" to "))
    assert low < float(first["model"].split(" / ")[0]) < high
    assert float(first["error"]) < float(first["error of the mean"])
    observed = sections["Predictions"].plots[0]
    assert sum(len(each.x) for each in observed.series if each.name) == 160
    equality, lower, upper = observed.series[:3]
    np.testing.assert_array_equal(equality.x, equality.y)
    np.testing.assert_allclose(upper.y + lower.y, 2 * equality.y)


def test_coverage_rises_to_that_of_the_metrics(trained, sections):
    (plot,) = sections["Calibration"].plots
    lines = np.stack([line.y for line in plot.series[1:]])
    assert (np.diff(lines) >= 0).all()
    metrics = trained.card["metrics"]
    for level in (0.8, 0.95):
        at = np.abs(exhibits.LEVELS - level).argmin()
        expected = metrics[f"eval/coverage_{100 * level:.0f}"]
        assert lines[:, at].mean() == pytest.approx(expected, abs=1e-4)


def test_correlations_of_labels_use_the_rows_that_have_both(sections):
    generator = np.random.default_rng(0)
    values = generator.normal(size=(60, 3))
    values[:, 1] += values[:, 0]
    values[:25, 1], values[50:, 0], values[15:, 2] = np.nan, np.nan, np.nan
    found = exhibits.correlations(values)
    both = ~np.isnan(values[:, :2]).any(1)
    expected = np.corrcoef(values[both][:, :2].T)
    np.testing.assert_allclose(found[:2, :2], [[1, expected[0, 1]], [expected[0, 1], 1]])
    assert np.isnan(found[2]).all()  # fifteen rows are too few
    measured, predicted = sections["Labels together"].tables
    assert measured.rows[0][1] == predicted.rows[0][1] == "1.00"


def test_letters_at_key_positions_are_marked(sections):
    (table,) = sections["Reasons"].tables
    letters = table.rows[0][1].split()
    marked = [text for text in letters if text.endswith("*")]
    assert 0 < len(marked) < len(letters)
    assert {re.match(r"\D(\d+)", text).group(1) for text in marked} <= {"2", "4"}
    assert re.fullmatch(r"\d+% \(\d+%\)", table.rows[0][2])
    assert table.rows[1][2] == "–"  # a label without key positions


def test_an_interval_of_a_correlation_heeds_the_groups():
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    y = x + generator.normal(size=40)
    single = exhibits.bootstrap(x, y, np.arange(40))
    copies = exhibits.bootstrap(np.repeat(x, 5), np.repeat(y, 5), np.repeat(np.arange(40), 5))
    np.testing.assert_allclose(copies, single)  # five copies of a row are no more evidence
    naive = exhibits.bootstrap(np.repeat(x, 5), np.repeat(y, 5), np.arange(200))
    assert naive[1] - naive[0] < 0.7 * (single[1] - single[0])


def test_a_plot_is_escaped_and_leaves_out_what_is_not_finite():
    series = (
        Series("a < b", np.asarray([0.0, 1.0, np.nan]), np.asarray([-1.0, 1.0, 0.0])),
        Series("", np.asarray([0.0, 1.0]), np.asarray([0.0, 0.0]), line=True),
    )
    text = str(scatter.draw(Plot("<t>", "x", "y", series)))
    assert text.count("h0") == 2
    assert "a &lt; b" in text
    assert "<t>" not in text
    assert "nan" not in text
    assert text.count("<polyline") == 1


def test_the_page_shows_the_sections(trained):
    text = page.write_report(trained.path).read_text("utf-8")
    titles = [re.sub("<.*?>", "", each) for each in re.findall(r"<h2>(.*?)</h2>", text)]
    own = ["Predictions", "Calibration", "Labels together", "Reasons", "Latent space"]
    assert titles[:5] == own
    assert text.count("<path d=") >= 4
    assert len(text) < 2_000_000
