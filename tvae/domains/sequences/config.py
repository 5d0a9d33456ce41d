"""Fields of the domain ``sequences``: aligned sequences with measured labels."""

from typing import Any

from ml_collections import ConfigDict

from tvae.domains.objective import Inputs, Rows
from tvae.domains.sequences.encoding import MIXTURES
from tvae.domains.sequences.network import LATENTS
from tvae.engine.config import refuse_riemannian
from tvae.errors import UserError
from tvae.fields import BOOLEAN, SEED, WIDTHS, Check, Field, above, at_least, one_of, text, within

FORMATS = ("auto", "hivdb", "csv")
"""How ``data.table`` is read; "auto" decides by the header."""
GROUPS = ("genotype", "cluster", "column")
"""Rows that folds do not divide."""
KINDS = ("linear", "gaussian_process", "network", "average")
"""What predicts: one of the three, or the average of the last two."""

_COLUMN = text("a name of a column, or ''")
_RATE = within(0.0, 0.95)

# fmt: off
FIELDS: dict[str, Field] = {
    "data.table": Field("", text("a file; see data.format"),
        "sequences and labels, such as a CSV file; '' is a made table of 160 sequences"),
    "data.joined": Field("", text("a file, or ''"),
        "second table of HIVDB of the same gene, whose rows join by SeqID"),
    "data.format": Field("auto", one_of(*FORMATS), "format of data.table; auto: by its header"),
    "data.fasta": Field("", text("a file, or ''"),
        "FASTA file with the sequences of data.table's rows, by data.id; '' = in the table"),
    "data.id": Field("id", _COLUMN, "column of names; rows of one name stay in one fold"),
    "data.sequence": Field("sequence", _COLUMN, "column of aligned sequences"),
    "data.positions": Field("", text("a prefix of columns, or ''"),
        "prefix of columns of one position each, such as P of P1, P2; '' = data.sequence is read"),
    "data.labels": Field("", text("names of columns with commas between them, or ''"),
        "columns of measured values, which may be missing or begin with < or >; '' = all of HIVDB"),
    "data.group": Field("", _COLUMN, "column whose values folds do not divide, for data.groups"),
    "data.delimiter": Field(",", one_of(",", ";", "\t"), "between the columns of a CSV file"),
    "data.reference": Field("", text("an aligned sequence, or ''"),
        "sequence that differences are counted from; '' = the most frequent letters, or HIVDB's"),
    "data.alphabet": Field("protein", one_of("protein", "nucleotide"), "letters of the sequences"),
    "data.gene": Field("auto", text("auto, '', PR, RT, IN, or a file"),
        "facts of the gene: drug classes, key positions, cut-offs; auto: the gene of HIV-1 whose "
        "drugs are the labels, if there is one; '' = none"),
    "data.key_positions": Field(False, BOOLEAN,
        "whether only key positions of the gene are features"),
    "data.scale": Field("log10", one_of("log10", "linear"), "scale on which labels are learnt"),
    "data.cap": Field(0.0, at_least(0.0),
        "value from which on a label of HIVDB is a lower bound, table's unit; 0 = PhenoSense's"),
    "data.mixtures": Field("share", one_of(*MIXTURES),
        "a letter of a mixture of k counts 1/k, or 1"),
    "data.min_rows": Field(2, at_least(1), "rows that a letter must occur in to be a feature"),
    "data.groups": Field("genotype", one_of(*GROUPS),
        "rows that folds do not divide: of one genotype, of a cluster of near ones, or of one "
        "value of data.group; rows of one name are never divided"),
    "data.distance": Field(2, at_least(0),
        "positions up to which rows are near: for clusters and for the check of leaks"),
    "data.folds": Field(5, at_least(2), "folds, each predicted by models of the others"),
    "data.fold_seed": Field(0, SEED, "seed of the folds, and of rows that a process is tuned on"),
    "data.found": Field({}, Check(kind=dict, words="entries that training writes"),
        "labels, positions and features of the table; written by training, so that a trained model "
        "does without the table"),
    "data.batch_size": Field(64, at_least(1), "rows of a step of the network"),
    "model.kind": Field("average", one_of(*KINDS),
        "what predicts: ridge regression; a Gaussian process on it; a network on it; the average "
        "of process and network"),
    "model.members": Field(1, at_least(1), "networks of each fold, whose predictions are averaged"),
    "model.widths": Field((96, 64), WIDTHS, "widths of the network's hidden layers"),
    "model.input_dropout": Field(0.1, _RATE,
        "dropout of the features, the same for all networks of a step"),
    "model.dropout": Field((0.3, 0.15), Check(kind=float, low=0.0, high=0.95, several=True),
        "dropout behind each hidden layer; layers past its end have none"),
    "model.heteroscedastic": Field(True, BOOLEAN,
        "whether a network's standard deviation depends on the row, not only on the label"),
    "model.latent": Field("none", one_of(*LATENTS),
        "latents that the networks' heads read, with a decoder of the features: none, Gaussian, or "
        "points of the Poincaré ball; their terms are rows of the objective"),
    "model.latent_dim": Field(16, at_least(1), "dimension of the latents"),
    "model.least_deviation": Field(0.02, above(0.0),
        "smallest standard deviation that the network predicts, unit of the scale", traced=True),
    "loss.rare_label": Field(0.5, within(0.0, 1.0),
        "power of the largest label's rows over a label's, by which the label counts", traced=True),
}
# fmt: on

OBJECTIVE: Rows = {"likelihood": {"term": "tobit_nll", "weight": 1.0}}
"""Censored and exact values of the labels under the network's normal distributions."""

INPUTS = ("prediction", "predicted_logvar", "measured", "censored", "observed", "task_weight")
"""Names of what the terms may ask for; rows of the batch are pairs of row and network."""

LATENT_INPUTS = (
    "mu", "logvar", "point", "c", "key", "feature_logits", "outcome", "every_feature",
)  # fmt: skip
"""Further ones of networks with latents. A term of features takes "feature_logits" as its
prediction, "outcome" and, for what is observed, "every_feature"."""


def inputs(config: ConfigDict) -> Inputs:
    """What a configuration offers to terms."""
    return {"": INPUTS + (LATENT_INPUTS if config.model.latent != "none" else ())}


DEFAULTS: dict[str, Any] = {
    "epochs": 60,
    "log_every_epochs": 10,
    "evaluation.every_epochs": 20,
    "checkpoint.every_epochs": 20,
    "early_stop.metric": "eval/pearson",
    "early_stop.mode": "max",
    # A stop, or the best epoch, would be chosen on the rows that test.
    "early_stop.patience_epochs": 0,
    "early_stop.plateau.metric": "eval/pearson",
    "early_stop.drop.metric": "eval/pearson",
    "optimizer.weight_decay": 0.1,
    # One norm over the networks of all folds: a clip would let one fold's labels reach another's.
    "optimizer.grad_clip": 1e12,
    "learning_rate.kind": "cosine",
    "learning_rate.peak": 1e-2,
    "learning_rate.warmup_epochs": 6.0,
}
"""Defaults of shared fields that differ from those of :mod:`tvae.engine.config`."""

TINY: dict[str, Any] = {
    "data.table": "",
    "data.folds": 2,
    "data.groups": "genotype",
    "data.min_rows": 2,
    "data.batch_size": 32,
    "model.kind": "network",
    "model.latent": "none",
    "model.members": 1,
    "model.widths": (8,),
    "model.dropout": (0.1,),
}
"""Sizes that compile in seconds, for tests."""


def validate(config: ConfigDict) -> None:
    """Check what involves several fields."""
    refuse_riemannian(config)
    data, model = config.data, config.model
    if model.latent != "none" and model.kind not in ("network", "average"):
        raise UserError(
            f"config.model.latent: expected 'none' for a model without networks, got "
            f"{model.latent!r}"
        )
    for name in ("joined", "fasta"):
        if data[name] and not data.table:
            raise UserError(
                f"config.data.{name}: expected '' without data.table, got {data[name]!r}"
            )
    if data.groups == "column" and not data.group:
        raise UserError("config.data.group: expected a name of a column for data.groups 'column'")
    if len(model.dropout) > len(model.widths):
        raise UserError(
            f"config.model.dropout: expected at most one for each of model.widths "
            f"({len(model.widths)}), got {len(model.dropout)}"
        )
