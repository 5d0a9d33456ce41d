"""The evaluation command: one JSON object, a table with definitions, one line for a mistake."""

import csv
import functools
import io
import json

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.support.small_models import write_untrained
from tvae.config import default
from tvae.domains import aspects, registry
from tvae.reporting import listing


def define(key):
    return registry.get("dual_vae").define(key, default("dual_vae"))


def run(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def card():
    """The metrics of a model that ships."""
    path = REPOSITORY / "checkpoints" / "v5_5" / "metadata.json"
    return json.loads(path.read_text())["metrics"]


def test_json_is_exactly_one_flat_object(command, tmp_path):
    small = write_untrained(tmp_path / "small")
    code, out, err = run(command("evaluate", f"--checkpoint={small}", "--format=json"))
    assert code == 0, err
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["eval/rho"] == 0.5
    assert 0 <= found["eval/coverage_mu_test_a"] < 0.5
    assert len(found["eval/kl_per_dimension_a"]) == 8
    assert all(key.startswith(("eval/", "latent/")) for key in found)
    kinds = {type(value) for value in found.values()}
    assert kinds <= {int, float, list}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "error: --checkpoint: expected a folder, or one that ships, such as v6"),
        (("--checkpoint=x", "--format=xml"), "error: flag --format=xml: value should be one of"),
    ],
)
def test_mistakes_are_one_line(command, flags, message):
    code, out, err = run(command("evaluate", *flags))
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_the_table_has_a_definition_beside_every_metric(card):
    text = listing.as_table(card, define)
    lines = text.splitlines()
    assert lines[0].split() == ["metric", "value", "ceiling", "published", "definition"]
    row = next(line for line in lines if line.startswith("eval/prior_coverage_195k_a"))
    assert row.split()[1:4] == ["0.999898", "0.99995", "0.99624"]
    assert "decoded draws of the prior" in row
    assert "[16 values]" in text
    assert max(map(len, lines)) < 160
    notes = " ".join(line.strip() for line in lines[len(listing.once(card, define)) + 1 :])
    assert "four in five trained on" in notes


def test_a_quantity_that_two_keys_have_stands_in_tables_once(card):
    # Older cards lack the keys that all domains share; these are copies of v5.5's own.
    pairs = {"eval/kl": "latent/kl", "eval/latent_entropy": "latent/entropy"}
    shared = {f"{other}_{v}": card[f"{own}_{v}"] for own, other in pairs.items() for v in "ab"}
    found = listing.once(card | shared, define)
    assert not {f"{own}_{v}" for own in pairs for v in "ab"} & found.keys()
    assert shared.keys() <= found.keys()
    assert listing.once(card, define).keys() >= {"eval/kl_a", "eval/latent_entropy_b"}


def test_a_training_ends_with_targets_and_headline():
    config = default("dual_vae")
    config.targets.at_least = {"eval/coverage_mu_a": 0.9, "eval/absent": 1.0}
    final = {"eval/coverage_mu_a": 1.0, "eval/coverage_mu_b": 0.5, "val/loss": 2.0}
    judged = aspects.judge(config, final)
    headline = registry.get("dual_vae").headline
    show = functools.partial(listing.summary, final, define, verdicts=judged, headline=headline)
    rows = [line.split() for line in show().splitlines()]
    assert rows == [
        ["metric", "value", "target", "ceiling"],
        ["eval/absent", "-", "≥", "1", "-", "missed"],
        ["eval/coverage_mu_a", "1", "≥", "0.9", "1", "reached"],
        ["eval/coverage_mu_b", "0.5", "-", "1"],
        ["1", "of", "2", "targets", "reached;", "--verbose", "shows", "1", "more", "metric"],
    ]
    everything = show(verbose=True)
    assert "val/loss" in everything
    assert "--verbose" not in everything
    # Where nothing has a target, everything is shown.
    assert "val/loss" in listing.summary(final, define, verdicts=[])


def test_csv_says_the_same_as_the_metrics(card):
    rows = list(csv.DictReader(io.StringIO(listing.as_csv(card, define))))
    assert tuple(rows[0]) == listing.COLUMNS
    values = {row["metric"]: float(row["value"]) for row in rows}
    assert values["eval/kl_a"] == card["eval/kl_a"]
    vector = [values[f"eval/kl_per_dimension_b[{i}]"] for i in range(16)]
    np.testing.assert_array_equal(vector, card["eval/kl_per_dimension_b"])
    assert all(row["definition"] for row in rows)


def test_what_is_not_finite_is_null_in_json():
    metrics = {"eval/richness": float("nan"), "eval/kl_per_dimension_a": [1.0, float("inf")]}
    expected = {"eval/richness": None, "eval/kl_per_dimension_a": [1.0, None]}
    assert json.loads(listing.as_json(metrics, define)) == expected
