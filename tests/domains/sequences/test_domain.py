"""A table through training, loading and predictions; nothing of a fold reaches its predictions."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tvae
from tests.support.sequence_tables import made_config, write_own_table
from tvae import config as config_lib
from tvae.domains import registry
from tvae.domains.sequences import closed_form, source, two_stage
from tvae.domains.sequences.evaluation import define_metric
from tvae.engine import loop, step
from tvae.errors import UserError


def test_rows_left_out_and_the_check_of_folds_are_written(trained, capsys):
    registry.get("sequences").resolve(trained.config)
    bad, folds = capsys.readouterr().err.splitlines()
    assert bad.startswith("own.csv:162: ")
    assert bad.endswith("letter '1' is not one of the protein alphabet; row left out")
    assert folds.startswith("genotype folds: 160 rows; with a relative in another fold")
    assert trained.config.data.found.problems == (bad,)


def test_a_model_answers_without_its_table(trained, tmp_path):
    table = source.load(trained.config.data).table
    sequences = ["".join(table.alphabet.text(int(c)) for c in row) for row in table.cells[:20]]
    path = trained.save(tmp_path / "saved")
    stored = json.loads((path / "metadata.json").read_text())
    assert stored["config"]["data"]["found"]["labels"] == ["ic50", "ec50"]
    moved = (trained.path.parent / "own.csv").rename(tmp_path / "moved.csv")
    try:
        for again in (tvae.load(path), tvae.load(trained.path)):
            found = again.predict(sequences)
            chex.assert_trees_all_close(found, trained.predict(sequences), rtol=1e-5)
            np.testing.assert_allclose(
                again.metrics()["eval/pearson"], trained.card["metrics"]["eval/pearson"], rtol=1e-5
            )
    finally:
        moved.rename(trained.path.parent / "own.csv")
    assert found.value.shape == (20, 2)
    assert (found.low[0] < found.value).all()
    assert (found.value < found.high[0]).all()
    assert (found.low[1] < found.low[0]).all()
    truth = np.log10(table.values[:20, 0])
    assert np.corrcoef(np.log10(found.value[:, 0]), truth)[0, 1] > 0.9
    one = trained.predict(sequences[0])
    np.testing.assert_allclose(one.value, found.value[0], rtol=1e-4)
    assert trained.encode(sequences).mu_a.shape == (20, 8)


def test_metrics_stand_beside_baselines_and_are_defined(trained):
    metrics = trained.card["metrics"]
    assert metrics["eval/pearson"] > 0.9
    assert metrics["eval/gain_over_ridge_pearson"] == pytest.approx(
        metrics["eval/pearson"] - metrics["eval/pearson_ridge"], abs=1e-6
    )
    assert metrics["eval/mae"] < 0.5 * metrics["eval/mae_mean"]
    assert metrics["leaks/same_genotype"] == 0
    assert metrics["leaks/rows"] == 160
    define = registry.get("sequences").define
    assert [key for key in metrics if define(key, trained.config) is None] == []
    assert "of ic50" in define_metric("eval/pearson/ic50").text


def test_questions_of_another_kind_are_refused_in_one_line(trained):
    with pytest.raises(UserError, match=r"sequence 1: expected 12 positions .*, got 3"):
        trained.predict(["M" * 12, "MKV"])
    with pytest.raises(UserError, match="sequences: letter '1' is not one of the protein"):
        trained.predict(["1" * 12])
    with pytest.raises(UserError, match="expected sequences of 12 letters or an array"):
        trained.predict(np.zeros((2, 3)))
    with pytest.raises(UserError, match="a model of task hyperbolic_vae predicts no labels"):
        tvae.load("v6").predict([0])


def test_stacked_predictions_are_those_of_the_two_stages():
    loaded = source.load(made_config(**{"data.labels": ""}).data)
    arrays = closed_form.solve(loaded.samples, loaded.folds.fold, 2, 0, processes=True)
    shapes = closed_form.empty(closed_form.Sizes(*loaded.samples.features.shape, 2, 2))
    chex.assert_trees_all_equal_shapes_and_dtypes(arrays, shapes)
    test = loaded.folds.fold == 0
    model = two_stage.fit(loaded.samples.take(~test), 0, with_intervals=False)
    expected = two_stage.predict(model, loaded.samples.features[test])
    linear, mean = closed_form.predict(arrays, 0, jnp.asarray(loaded.samples.features[test]))
    np.testing.assert_allclose(linear, expected.linear, atol=2e-4)
    np.testing.assert_allclose(mean, expected.mean, atol=2e-4)
    np.testing.assert_allclose(arrays["solved"]["held_out"][test], expected.mean, atol=2e-4)


def test_labels_of_a_fold_change_no_bit_of_its_predictions(monkeypatch):
    config = made_config(**{"data.labels": "", "epochs": 2})
    loaded = source.load(config.data)
    test = loaded.folds.fold == 0
    task = registry.make_task(config)
    found = []
    for change in (False, True):
        targets = loaded.samples.targets.copy()
        if change:
            targets[test] = np.random.default_rng(1).normal(size=targets[test].shape)
        samples = loaded.samples._replace(targets=targets)
        monkeypatch.setattr(source, "load", lambda _, s=samples: loaded._replace(samples=s))
        params = parameters_after(task, config)
        held_out = task.predictor.held_out(params, 0.02)
        found.append(jax.device_get((held_out.prediction, held_out.network)))
    for before, after in zip(*found, strict=True):
        np.testing.assert_array_equal(before[test], after[test])
        assert (before[~test] != after[~test]).any()


def parameters_after(task, config):
    """Parameters after the epochs of a configuration."""
    engine = step.make_engine(task, loop.optimizer_settings(config))
    hparams, key = config_lib.hparams(config), jax.random.key(0)
    state = engine.init(key, hparams)
    state = state.replace(params=task.solve(state.params))
    for _ in range(config.epochs):
        state, _ = engine.train_epoch(state, key, hparams)
    return state.params


DECODER = {
    "term": "binary_nll",
    "weight": 20.0,
    "inputs": {"prediction": "feature_logits", "observed": "every_feature"},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("latent", "divergence"), [("gaussian", "gaussian_kl"), ("poincare", "wrapped_normal_kl")]
)
def test_networks_with_latents_learn_to_decode_features(latent, divergence, tmp_path):
    config = made_config(
        **{"model.latent": latent, "model.latent_dim": 6, "model.kind": "network", "epochs": 60}
    )
    config.objective = {
        "likelihood": {"term": "tobit_nll"},
        "decoder": DECODER,
        "kl": {"term": divergence, "weight": 1e-3},
    }
    model = tvae.train(config, tmp_path)
    x = model.params["table"]["features"][:50]
    assert model.encode(x).logvar_a.shape == (50, 6)
    if latent == "poincare":
        z = model.embed(x)
        assert (jnp.linalg.norm(z, axis=-1) < 1).all()
    else:
        z = model.encode(x).mu_a
    right = ((model.decode(z) > 0) == (x > 0.5)).mean()
    usual = ((x.mean(0, keepdims=True) > 0.5) == (x > 0.5)).mean()
    assert right > usual + 0.02
    assert model.card["metrics"]["eval/pearson"] > 0.85


def test_parts_that_belong_together_are_asked_for(tmp_path):
    wrong = {
        "data.group: expected a name": {"data.groups": "column"},
        "model.latent: expected 'none'": {"model.latent": "gaussian", "model.kind": "linear"},
        "data.fasta: expected ''": {"data.fasta": "own.fasta"},
        "model.dropout: expected at most one": {"model.dropout": (0.1, 0.1), "model.widths": (8,)},
    }
    for message, changes in wrong.items():
        with pytest.raises(UserError, match=message):
            made_config(**changes)
    for message, changes in {
        "does not exist": {"data.table": str(tmp_path / "absent.csv")},
        "config.data.labels: expected columns": {
            "data.table": str(write_own_table(tmp_path / "own.csv")), "data.labels": "",
        },
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=message):
            tvae.train(made_config(**changes), tmp_path / "run")
        assert not (tmp_path / "run").exists()
