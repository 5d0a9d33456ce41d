"""Diagnostics of a whole run, panels of its metrics, and its targets."""

import pathlib

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.conftest import REPOSITORY, load_config
from tvae.config import default, leaves
from tvae.domains import aspects, registry
from tvae.domains.operations.reporting import CURVES
from tvae.reporting import comparison, findings
from tvae.reporting.figures import curves, schedules
from tvae.runs.run import Run

EPOCHS = 100
PAIRS = [pair for name in registry.names() for pair in registry.get(name).held_out]


def record(series, *, config=None, epochs=EPOCHS, folder="runs/one", final=None):
    """A finished run with the given metrics at every epoch."""
    config = default() if config is None else config
    rows = [
        {"epoch": epoch} | {key: float(values[epoch]) for key, values in series.items()}
        for epoch in range(epochs)
    ]
    run = Run(pathlib.Path(folder))
    final = {"train/best_epoch": 80} if final is None else final
    vars(run).update(config=config, rows=rows, final=final, finished=True, provenance={})
    return run


def fired(series, **early_stop):
    config = default()
    config.early_stop.update_from_flattened_dict(early_stop)
    run = record(series, config=config)
    found = findings.diagnose(run, config, PAIRS)
    return {finding.rule: finding.epoch for finding in found}, findings.ending(run, config, found)


TIME = np.arange(EPOCHS) / EPOCHS
LEARNED = np.maximum(2.0 - 20 * TIME, 0.01)


def test_grokking_is_found_in_a_run():
    held_out = np.where(TIME < 0.5, 2.5, 0.2)
    rules, ending = fired({"train/cross_entropy_a": LEARNED, "val/cross_entropy_a": held_out})
    assert rules["memorisation"] == 11
    assert 50 < rules["grokking"] <= 61
    assert ending == "100 of 400 epochs, until no better val/loss for 100"


def test_a_share_that_is_held_out_is_turned_into_a_loss():
    share = np.where(TIME < 0.5, 0.1, 0.95)
    rules, _ = fired({"train/reconstruction": LEARNED, "eval/coverage_ball_held_out": share})
    assert rules["grokking"] is not None
    assert (
        fired({"train/reconstruction": LEARNED, "eval/coverage_ball_held_out": 1 - LEARNED})[0][
            "grokking"
        ]
        is None
    )


def test_the_rule_that_ended_a_run_is_named():
    lost = np.where(TIME < 0.5, 0.8, 0.5)
    rules, ending = fired({"eval/coverage_mu_a": lost}, **{"drop.patience_epochs": 20})
    assert rules["drop"] == 70
    assert rules["plateau"] is None
    assert "until drop: more than 0.05 behind its best for 20 epochs" in ending
    rules, ending = fired({"eval/coverage_mu_a": lost}, **{"plateau.window_epochs": 30})
    assert rules["plateau"] == 31
    assert "until plateau: moved by less than 0.0005 in 30 epochs" in ending


def test_compression_and_early_peak_are_found():
    peak = np.exp(-(((TIME - 0.05) / 0.1) ** 2))
    rules, _ = fired({"train/weight_norm": 10 - 5 * TIME, "val/loss": 1 - peak})
    assert rules["compression"] is not None
    assert rules["early peak"] is not None
    quiet, _ = fired({"train/weight_norm": 10 + TIME, "val/loss": 1 - TIME})
    assert quiet["compression"] is None
    assert quiet["early peak"] is None


def test_what_is_not_measured_says_so():
    found = findings.diagnose(record({"train/loss": LEARNED}), default(), PAIRS)
    assert all(finding.epoch is None for finding in found)
    assert all(finding.text.startswith("does not apply") for finding in found)


def test_panels_mark_what_fired_and_the_ceiling():
    values = {"eval/hierarchy": -0.8 * np.ones(EPOCHS), "train/loss": 100 * LEARNED}
    run = record(values)
    found = [findings.Finding("plateau", "eval/hierarchy", 80.0, "")]
    objective, hierarchy = curves.make_panels(
        run, CURVES, found, lambda key: {"eval/hierarchy": -0.832}.get(key)
    )
    assert objective.log
    assert not objective.events
    assert [(mark.at, mark.text) for mark in hierarchy.events] == [(80, "best, plateau")]
    assert hierarchy.levels[0].at == -0.832
    # Values that agree are not blown up to the height of the panel; the ceiling stays in sight.
    assert hierarchy.low is None
    flat = curves.make_panels(run, CURVES, [], lambda _: None)[1]
    assert (flat.low, flat.high) == pytest.approx((-0.808, -0.792))


def test_zeros_leave_a_logarithmic_axis_logarithmic():
    run = record({"train/loss": LEARNED, "train/closed": np.where(TIME < 0.5, 10.0, 0.0)})
    assert curves.make_panels(run, CURVES, [], lambda _: None)[1].log is False
    run = record({"train/loss": LEARNED, "train/closed": LEARNED * (TIME < 0.5)})
    assert curves.make_panels(run, CURVES, [], lambda _: None)[1].log


def test_only_schedules_that_move_get_a_panel():
    still, moves = np.full(EPOCHS, 0.3), 1 - TIME
    run = record({
        "schedule/beta_a": moves, "schedule/beta_b": still, "dynamics/rho": still,
        "gate/encoder_a": TIME > 0.5,
    })  # fmt: skip
    (panel,) = schedules.make_panels(run)
    assert panel.title == "Beta"
    assert [line.name for line in panel.lines] == ["schedule/beta_a", "schedule/beta_b"]
    assert schedules.constants(run) == {"dynamics/rho": 0.3}
    gates = schedules.read_gates(run)
    assert gates.names == ["encoder_a"]
    assert gates.epochs[gates.is_open[0] > 0][0] == 52


def test_runs_are_told_apart_by_the_end_of_their_path():
    one = record({"train/loss": LEARNED, "eval/score": TIME})
    series = {"train/loss": LEARNED, "eval/score": TIME}
    other = record(series, folder="sweep/one", final={"eval/score": 0.5})
    labelled = comparison.label_runs([one, other])
    assert list(labelled) == ["runs/one", "sweep/one"]
    drawn = comparison.make_panels(labelled)
    assert [panel.title for panel in drawn] == ["train/loss", "eval/score"]
    assert [line.name for line in drawn[0].lines] == ["runs/one", "sweep/one"]
    assert dict(comparison.make_rows(labelled))["eval/score"] == [None, 0.5]


CONFIGS = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.py"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_target_is_of_a_known_metric_and_can_be_reached(name):
    config = load_config(name)
    given = [path for path, _ in leaves(config) if path.startswith("targets.")]
    judged = aspects.judge(config, {})
    assert len(judged) == len(given)
    for verdict in judged:
        about = registry.get(config.task).define(verdict.metric, config)
        assert verdict.at_least == (about.better == "higher"), verdict.metric
        assert not verdict.reached
        if about.ceiling is not None:
            reach = verdict._replace(value=about.ceiling)
            assert reach.reached, verdict.metric


def test_the_shipped_recipes_have_targets():
    for name in ("v6", "v5_12_4", "v5_12_published", "v5_5_base"):
        assert len(aspects.judge(load_config(name), {})) >= 3


def test_a_bound_is_reached_on_its_side():
    config = ConfigDict({"targets": {"at_least": {"a/x": 1.0}, "at_most": {"a/y": 1.0}}})
    for x, y, expected in ((1.0, 1.0, [True, True]), (0.9, 1.1, [False, False])):
        verdicts = aspects.judge(config, {"a/x": x, "a/y": y})
        assert [verdict.reached for verdict in verdicts] == expected
    assert not any(verdict.reached for verdict in aspects.judge(config, {"a/x": [1.0, 2.0]}))
    assert not aspects.judge(ConfigDict({}), {})
