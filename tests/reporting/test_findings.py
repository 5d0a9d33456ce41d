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
from tvae.reporting.figures import curves, palette, schedules
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
    values = {"eval/hierarchy": -0.8 - 1e-3 * TIME, "train/loss": 100 * LEARNED}
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
    assert (flat.low, flat.high) == pytest.approx((-0.808, -0.792), abs=1e-3)


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
    assert gates.to_json()["spans"] == [[[0, 51, 0], [51, 100, 1]]]
    assert not gates.always_open


def test_what_does_not_change_has_no_line():
    run = record({"train/loss": LEARNED, "train/skipped": 0 * TIME, "eval/score": 1 + 1e-9 * TIME})
    assert [panel.title for panel in curves.make_panels(run, CURVES, [], lambda _: None)] == [
        "Objective"
    ]
    assert curves.constants(run, CURVES) == {"train/skipped": 0.0, "eval/score": pytest.approx(1)}


def test_what_fired_alarms_only_where_a_target_was_missed():
    run = record({"train/loss": LEARNED, "eval/score": TIME})
    found = [findings.Finding("plateau", "eval/score", 70.0, "")]
    for alarm in (True, False):
        _, panel = curves.make_panels(run, CURVES, found, lambda _: None, alarm=alarm)
        (colour,) = [mark.colour for mark in panel.events if mark.text == "plateau"]
        assert (colour == palette.BAD) == alarm


def compared(config, final, folder, series):
    """A run of a comparison."""
    run = record(series, config=config, folder=folder, final=final)
    vars(run)["provenance"] = {"command": ["main", f"--config=configs/{folder}.py"]}
    return run


def test_one_quantity_of_different_models_stands_in_one_row():
    v6, v5 = default("hyperbolic_vae"), default("projected_vae")
    loss = {"train/loss": LEARNED}
    runs = [
        compared(v6, {"eval/hierarchy": -0.83, "eval/richness": 0.02}, "v6",
                 loss | {"eval/hierarchy": -TIME}),
        compared(v5, {"eval/hierarchy_a": -0.6, "eval/hierarchy_b": -0.8, "eval/richness_b": 0.02},
                 "v5", loss | {"eval/hierarchy_b": -TIME / 2}),
    ]  # fmt: skip
    labels = comparison.label_runs(runs)
    assert labels == ["v6", "v5"]
    beside = [
        comparison.Compared(label, run, run.config, None)
        for label, run in zip(labels, runs, strict=True)
    ]
    hierarchy, richness = comparison.make_rows(beside)
    assert hierarchy.quantity == "eval/hierarchy"
    # Lower is better; nothing is marked where all are alike.
    assert hierarchy.cells == [[(-0.83, "", True)], [(-0.6, "A", False), (-0.8, "B", False)]]
    assert richness.cells == [[(0.02, "", False)], [(0.02, "B", False)]]
    losses, curve = comparison.make_panels(beside)
    assert losses.title == "train/loss"
    assert [line.name for line in curve.lines] == ["v6", "v5 B"]
    assert ("model.curvature", ["–", "1.0"]) not in comparison.make_differences(beside)
    assert "early_stop.metric" in dict(comparison.make_differences(beside))


def test_runs_of_one_configuration_are_distinguished_by_their_folders():
    one, other = record({}, folder="runs/one"), record({}, folder="sweep/one")
    assert comparison.label_runs([one, other]) == ["dual_vae (runs/one)", "dual_vae (sweep/one)"]


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
