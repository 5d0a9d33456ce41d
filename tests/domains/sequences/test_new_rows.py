"""Rows of a file: read, predicted with their reasons, measured; mistakes leave no file."""

import csv
import dataclasses
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from tests.support.sequence_tables import MADE_GENE, made_config
from tvae.cli import evaluate, predict
from tvae.domains import registry
from tvae.domains.sequences import attribution, source
from tvae.domains.sequences.task import make_predictor
from tvae.domains.sequences.views import make_views
from tvae.errors import UserError

LEAST = jnp.float32(0.02)


def run(command, **given):
    """A command in this process."""
    options = flags.FlagValues()
    command.define_flags(options)
    options.mark_as_parsed()
    for name, value in given.items():
        setattr(options, name, value if isinstance(value, int) else str(value))
    command.main(options)


@pytest.fixture
def files(tmp_path):
    """Three sequences as CSV and as FASTA; the second has a letter that training never saw."""
    made = source.made_table()
    first, last = ("".join(made.alphabet.text(int(c)) for c in made.cells[row]) for row in (0, 5))
    sequences = {"a": first, "b": "WKV" + first[3:], "c": last}
    values = {"a": "1", "b": "2", "c": ""}
    lines = [f"{name},{text},{values[name]}" for name, text in sequences.items()]
    (tmp_path / "new.csv").write_text("\n".join(["id,sequence,ic50", *lines, "d,MKV,1"]))
    records = [f">{name}\n{text}\n" for name, text in sequences.items()]
    (tmp_path / "new.fasta").write_text("".join(records))
    return tmp_path


def test_a_file_is_predicted_alike_in_all_formats(trained, files, capsys):
    run(predict, checkpoint=trained.path, input=files / "new.csv", output=files / "csv.csv")
    found = capsys.readouterr()
    assert found.out == f"3 rows, 2 labels -> {files / 'csv.csv'}\n"
    assert found.err == "new.csv:5: sequence of 3 positions, expected 12; row left out\n"
    run(predict, checkpoint=trained.path, input=files / "new.fasta", output=files / "fasta.csv")
    assert (files / "csv.csv").read_text() == (files / "fasta.csv").read_text()
    rows = list(csv.DictReader((files / "csv.csv").read_text().splitlines()))
    assert [(row["name"], row["label"]) for row in rows[:3]] == [
        ("a", "ic50"),
        ("a", "ec50"),
        ("b", "ic50"),
    ]
    assert [row["warnings"] for row in rows[::2]] == ["", "unseen in training: 1W", ""]
    value = trained.predict(trained.views.read_rows(files / "new.csv").x).value
    np.testing.assert_allclose([float(row["value"]) for row in rows], value.ravel(), rtol=1e-4)
    for row in rows:
        low, high = float(row["low_95"]), float(row["high_95"])
        assert low <= float(row["low_80"]) <= float(row["value"]) <= float(row["high_80"]) <= high
        assert len(row["drivers"].split()) <= 3
        assert row["class"] == ""
    assert any(row["drivers"] for row in rows)
    run(predict, checkpoint=trained.path, input=files / "new.csv", output=files / "x", drivers=0)
    assert all(
        row["drivers"] == "" for row in csv.DictReader((files / "x").read_text().splitlines())
    )


def test_classes_come_from_the_cutoffs_of_the_gene(trained, files):
    (files / "gene.toml").write_text(
        MADE_GENE.replace("AAA", "ic50").replace("length = 5", "length = 12")
    )
    config = trained.config.copy_and_resolve_references()
    config.data.gene = str(files / "gene.toml")
    classify = make_views(config).classify
    assert classify("ic50", np.asarray([1.0, 3.0, 9.0])) == [
        "susceptible",
        "partly resistant",
        "resistant",
    ]
    assert classify("ec50", np.asarray([1.0])) == [""]
    changed = made_config(
        trained.config.data.table,
        **{"data.gene": str(files / "gene.toml"), "data.key_positions": True},
    )
    names = source.load(changed.data).contents.features
    assert {name[1:-1] for name in names} == {"2", "4"}
    with pytest.raises(UserError, match=r"own.csv:1: no gene is known for the labels ic50, ec50"):
        source.load(made_config(trained.config.data.table, **{"data.key_positions": True}).data)


@pytest.mark.parametrize("kind", ["linear", "gaussian_process", "network", "average"])
def test_parts_of_a_prediction_are_its_integrated_gradients(trained, kind):
    predictor = dataclasses.replace(
        make_predictor(trained.config, source.contents(trained.config.data)), kind=kind
    )
    params, last = trained.params, predictor.sizes.folds
    x = params["table"]["features"][:6]
    found = jax.jit(lambda rows: attribution.explain(predictor, params, rows, LEAST))(x)

    def value(rows):
        return predictor.of_part(params, last, rows, LEAST)

    assert found.parts.shape == (2, *x.shape)
    np.testing.assert_array_equal(np.asarray(found.parts)[:, np.asarray(x) == 0], 0)
    total = found.start[:, None] + found.parts.sum(-1)
    np.testing.assert_allclose(total, value(x).T, atol=1e-5 if kind == "linear" else 0.02)
    if kind == "linear":
        weights = np.asarray(
            params["solved"]["weights"][last] * params["solved"]["used"][last][None]
        )
        np.testing.assert_allclose(found.parts, weights[:, None] * np.asarray(x), atol=1e-6)
    else:
        steps = (np.arange(64) + 0.5) / 64  # the same integral by the midpoint rule and autodiff
        gradient = jax.jit(jax.vmap(jax.grad(lambda rows: value(rows)[:, 0].sum()), 0))
        mean = gradient(jnp.asarray(steps, jnp.float32)[:, None, None] * x[None]).mean(0)
        np.testing.assert_allclose(found.parts[0], x * mean, atol=0.01)


def test_labelled_rows_are_measured(trained, files, capsys):
    own = pathlib.Path(trained.config.data.table)
    run(evaluate, checkpoint=trained.path, input=own, format="json")
    rows = trained.views.read_rows(own)
    metrics = trained.views.measure_rows(trained.params, rows)
    assert '"table/rows": 160.0' in capsys.readouterr().out
    assert metrics["table/rows_in_training"] == 160
    assert metrics["table/pearson"] > 0.9
    assert metrics["table/values/ic50"] == (~np.isnan(rows.measured[:, 0])).sum()
    assert 0.7 < metrics["table/coverage_80"] <= metrics["table/coverage_95"] <= 1
    assert metrics["table/width_80"] < metrics["table/width_95"]
    define = registry.get("sequences").define
    assert [key for key in metrics if define(key, trained.config) is None] == []
    assert "of ic50" in define("table/pearson/ic50", trained.config).text
    (files / "new.csv").write_text("id,sequence\na," + "M" * 12)
    with pytest.raises(UserError, match="no label has two different measured values"):
        run(evaluate, checkpoint=trained.path, input=files / "new.csv", format="json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,seq\na,MKV", "new.csv:1: no column 'sequence'; columns: id, seq"),
        ("id,sequence\na,MKVAP", "new.csv:2: sequence of 5 positions, expected 12"),
        ("id,sequence\na,1KVAPLLTREGS", "new.csv:2: letter '1' is not one of the protein alphabet"),
        ("id,sequence\n", "new.csv:1: expected a header and rows, got 1 lines"),
        ("SeqID\tX\tP1\n1\t2\tQ\n", "new.csv:2: sequence of 1 positions, expected 12"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(trained, files, text, message):
    (files / "new.csv").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        run(predict, checkpoint=trained.path, input=files / "new.csv", output=files / "out.csv")
    assert "\n" not in str(caught.value)
    assert not (files / "out.csv").exists()


def test_models_without_labels_refuse(files):
    for command in (predict, evaluate):
        with pytest.raises(UserError, match="a model of task hyperbolic_vae predicts no labels"):
            run(
                command,
                checkpoint="v6",
                input=files / "new.csv",
                **({"output": files / "out.csv"} if command is predict else {}),
            )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,sequence,ic50\na,MK,2\nb,MR,2\n", r"own.csv:1: label ic50 is 2 in every row"),
        ("id,sequence,ic50\na,MK,\nb,MR,NA\n", r"own.csv:1: label ic50 has no value in any row"),
        ("id,sequence\na,MK\n", r"own.csv:1: no column 'ic50'; columns: id, sequence"),
        ("id,sequence,ic50\na,MK,1\nb,MK,2\n", r"own.csv:1: genotype folds: .* and 1 groups"),
        ("id,sequence,ic50\na,MK,1\nb,M1,2\nc,MR,3\nd,ML,4\n", r"own.csv:3: letter '1'"),
        (
            "id,sequence,ic50\na,MK,1\nb,MKV,2\nc,MR,3\nd,ML,4\n",
            r"own.csv:3: sequence of 3 positions, expected 2",
        ),
        ("SeqID\tAAA\tP1\n1\t2\n", r"own.csv:2: has 2 columns, the header 3"),
    ],
)
def test_a_table_that_cannot_be_learnt_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "own.csv").write_text(text)
    data = made_config(tmp_path / "own.csv", **{"data.labels": "ic50", "data.min_rows": 1}).data
    try:
        problems = source.load(data).contents.problems
    except UserError as error:
        problems = [str(error)]
    assert re.search(message, problems[0])
    assert "\n" not in problems[0]
