"""What a report shows of a model of sequences: predictions, calibration, resistance, reasons."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from numpy.typing import NDArray

from tvae.domains.exhibits import Exhibit, Plot, Series, Table
from tvae.domains.sequences import attribution, evaluation, intervals, source
from tvae.domains.sequences.contents import Contents
from tvae.domains.sequences.crossvalidation import ranks, score
from tvae.domains.sequences.predictor import Predictor
from tvae.domains.sequences.task import make_predictor
from tvae.engine.task import Params

SHOWN_ROWS = 400
"""Rows of a plot, evenly chosen; all of them count in the figures."""
EXPLAINED_ROWS = 300
RESAMPLES = 400
LEAST_PAIRS = 20
"""Rows with both labels that a correlation of labels needs."""
STRONGEST = 8
LEVELS = np.linspace(0.05, 0.95, 19)


class _Rows:
    """Rows of the table and their predictions by models of the other folds."""

    def __init__(self, predictor: Predictor, params: Params, least: float) -> None:
        found = jax.device_get(jax.jit(predictor.held_out)(params, jnp.float32(least)))
        table = {name: np.asarray(value) for name, value in params["table"].items()}
        self.features, self.fold = table["features"], table["fold"]
        self.target = np.where(table["known"] > 0, table["target"], np.nan).astype(np.float64)
        self.censored = table["censored"].astype(np.int8)
        self.predicted = np.asarray(found.prediction, np.float64)
        self.rivals = {
            name: np.asarray(value, np.float64)
            for name, value in (
                ("model", found.prediction),
                ("ridge", found.linear),
                ("process", found.process),
                ("network", found.network),
            )
            if value is not None
        }
        self.means = evaluation.fold_means(self.target, self.fold)
        self.groups = np.unique(self.features, axis=0, return_inverse=True)[1].ravel()
        self.needed = intervals.scores(self.target, self.predicted, self.censored)


def make_exhibits(config: ConfigDict, params: Params) -> list[Exhibit]:
    """Sections of the report.

    Args:
      config: of the model.
      params: of the model.
    """
    contents = source.contents(config.data)
    predictor = make_predictor(config, contents)
    rows = _Rows(predictor, params, config.model.least_deviation)
    unit = "log10 of the value" if config.data.scale == "log10" else "value"
    return [
        _predictions(rows, contents.labels, unit),
        _calibration(rows, contents.labels),
        _between_labels(rows, contents.labels),
        _reasons(rows, predictor, params, config, contents),
        _latents(rows, predictor, params, contents),
    ]


def bootstrap(
    x: NDArray[np.float64], y: NDArray[np.float64], groups: NDArray[np.integer]
) -> tuple[float, float]:
    """Ends of a 95 % interval of a correlation, by drawing whole groups with replacement.

    Args:
      x: ``(n,)``.
      y: ``(n,)``.
      groups: ``(n,)``.

    >>> low, high = bootstrap(np.arange(9.0), np.arange(9.0), np.arange(9))
    >>> round(low, 6), round(high, 6)
    (1.0, 1.0)
    """
    _, own = np.unique(groups, return_inverse=True)
    count = own.max() + 1
    generator = np.random.default_rng(0)
    weight = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)[:, own]
    total = np.maximum(weight.sum(1), 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return weight @ values / total

    x, y = x - x.mean(), y - y.mean()
    spread = (mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2)
    r = (mean(x * y) - mean(x) * mean(y)) / np.sqrt(np.maximum(spread, 1e-30))
    low, high = np.quantile(r, (0.025, 0.975))
    return float(low), float(high)


def _predictions(rows: _Rows, labels: tuple[str, ...], unit: str) -> Exhibit:
    """All models side by side, and measured against predicted values."""
    cells, plots = [], []
    for label, name in enumerate(labels):
        y, p = rows.target[:, label], rows.predicted[:, label]
        some = ~np.isnan(y)
        y, p, group = y[some], p[some], rows.groups[some]
        texts = []
        for rival in rows.rivals.values():
            found = score(y, rival[some, label])
            texts.append(f"{found.pearson:.3f} / {found.spearman:.3f}")
        r, rho = bootstrap(y, p, group), bootstrap(ranks(y), ranks(p), group)
        errors = [np.abs(y - x[some, label]).mean() for x in (rows.predicted, rows.means)]
        texts += [f"{low:.3f} to {high:.3f}" for low, high in (r, rho)]
        cells.append((name, str(len(y)), *texts, *(f"{x:.3f}" for x in errors)))
        plots.append(_observed(rows, label, f"{name}: measured and predicted", unit))
    columns = (
        "label",
        "values",
        *rows.rivals,
        "r, 95 %",
        "rho, 95 %",
        "error",
        "error of the mean",
    )
    table = Table(
        "Against the baselines",
        columns,
        tuple(cells),
        "Pearson / Spearman correlation of each model; intervals of the model's by drawing whole "
        "groups of equal features, of rho with the ranks of the whole table; mean absolute errors.",
    )
    text = (
        "Every row is predicted by models of the other folds. Grey lines: equality, and the ends "
        "of 80 % intervals."
    )
    return Exhibit("Predictions", text, (table,), tuple(plots))


def _observed(rows: _Rows, label: int, title: str, unit: str) -> Plot:
    """Measured against predicted values of one label."""
    some = np.flatnonzero(~np.isnan(rows.target[:, label]))
    some = some[np.linspace(0, len(some) - 1, min(SHOWN_ROWS, len(some))).astype(int)]
    y, p = rows.target[some, label], rows.predicted[some, label]
    needed = rows.needed[:, label]
    width = intervals.half_width(needed[~np.isnan(needed)], intervals.LEVELS[0])
    ends = np.asarray([p.min(), p.max()])
    lines = [Series("", ends, ends, line=True)]
    if np.isfinite(width):
        lines += [Series("", ends, ends + sign * width, line=True) for sign in (-1, 1)]
    bound = rows.censored[some, label] != 0
    points = [("measured", ~bound), ("a bound", bound)]
    series = [Series(name, p[which], y[which]) for name, which in points if which.any()]
    return Plot(title, f"predicted, {unit}", f"measured, {unit}", (*lines, *series))


def _calibration(rows: _Rows, labels: tuple[str, ...]) -> Exhibit:
    """Shares of values that intervals cover, against what they are made to cover."""
    lines = [Series("", LEVELS, LEVELS, line=True)]
    for label, name in enumerate(labels):
        needed = rows.needed[:, label]
        known = ~np.isnan(needed)
        covered = np.zeros(len(LEVELS))
        for fold in np.unique(rows.fold[known]):
            own = known & (rows.fold == fold)
            others = needed[known & ~own]
            widths = np.asarray([intervals.half_width(others, level) for level in LEVELS])
            covered += (needed[own][:, None] <= widths).sum(0)
        lines.append(Series(name, LEVELS, covered / known.sum(), line=True))
    text = (
        "Each fold's intervals come from the errors of the other folds. A line above the grey one: "
        "wider than needed, as where many values are bounds."
    )
    plot = Plot("Coverage", "made to cover", "covered", tuple(lines))
    return Exhibit("Calibration", text, (), (plot,))


def correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations of the columns over rows that have both ``(d, d)``, NaN where these are few."""
    known = (~np.isnan(values)).astype(np.float64)
    x = np.where(known > 0, values - np.nanmean(values, 0), 0)
    count = known.T @ known
    n = np.maximum(count, 1)
    mean = x.T @ known / n
    spread = (x**2).T @ known / n - mean**2
    covariance = x.T @ x / n - mean * mean.T
    with np.errstate(invalid="ignore", divide="ignore"):
        r = covariance / np.sqrt(spread * spread.T)
    return np.where(count >= LEAST_PAIRS, r, np.nan)


def _between_labels(rows: _Rows, labels: tuple[str, ...]) -> Exhibit:
    """How labels go together, measured and predicted."""
    tables = tuple(
        Table(
            title,
            ("label", *labels),
            tuple(
                (name, *("–" if np.isnan(r) else f"{r:.2f}" for r in row))
                for name, row in zip(labels, correlations(values), strict=True)
            ),
        )
        for title, values in (("Measured", rows.target), ("Predicted", rows.predicted))
    )
    text = (
        "Pearson correlations of labels, as of resistance to several drugs: of measured values "
        f"over rows that have both, at least {LEAST_PAIRS}, and of predictions of all rows."
    )
    return Exhibit("Labels together", text, tables)


def _explained(
    rows: _Rows, predictor: Predictor, params: Params, least: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Some rows, and the parts ``(d, n, f)`` of their predictions."""
    chosen = np.linspace(0, len(rows.features) - 1, min(EXPLAINED_ROWS, len(rows.features)))
    x = rows.features[chosen.astype(int)]
    ask = jax.jit(functools.partial(attribution.explain, predictor))
    return x, np.asarray(ask(params, jnp.asarray(x), jnp.float32(least)).parts, np.float64)


def _reasons(
    rows: _Rows, predictor: Predictor, params: Params, config: ConfigDict, contents: Contents
) -> Exhibit:
    """The letters that add most, and how much of it lies at the known positions."""
    x, parts = _explained(rows, predictor, params, config.model.least_deviation)
    gene = source.find_gene(config.data.gene, contents.labels)
    position = np.asarray(contents.positions)[np.asarray(contents.columns)]
    carried = np.maximum((x > 0).sum(0), 1)
    cells = []
    for label, name in enumerate(contents.labels):
        known = np.isin(position, gene.key_positions(name) if gene else ())
        mass = np.abs(parts[label]).sum(0)
        mean = parts[label].sum(0) / carried
        first = np.argsort(-mass, kind="stable")[:STRONGEST]
        texts = [f"{contents.features[i]}{mean[i]:+.2f}{'*' if known[i] else ''}" for i in first]
        share = mass[known].sum() / max(mass.sum(), 1e-12)
        expected = known.mean()
        at_known = f"{share:.0%} ({expected:.0%})" if known.any() else "–"
        cells.append((name, " ".join(texts), at_known))
    table = Table(
        "Letters with the largest parts",
        ("label", "letters, mean part where they occur", "at key positions"),
        tuple(cells),
        "Parts are on the scale on which labels are learnt. * is a key position of the label's "
        "class; at key positions: share of all parts, and of all features in brackets."
        + (f" Key positions: {gene.source}." if gene else ""),
    )
    text = (
        f"Integrated gradients from the reference, of {len(x)} rows by the model of all rows; "
        "exact where it is linear."
    )
    return Exhibit("Reasons", text, (table,))


def _latents(rows: _Rows, predictor: Predictor, params: Params, contents: Contents) -> Exhibit:
    """The first two principal components of the latents, by value and by letter."""
    latent = np.asarray(predictor.read(params, jnp.asarray(rows.features)).hidden, np.float64)
    latent = np.concatenate([latent, np.zeros((len(latent), 1))], 1)  # a plane of one label too
    u, size, _ = np.linalg.svd(latent - latent.mean(0), full_matrices=False)
    plane = u[:, :2] * size[:2]
    shown = np.linspace(0, len(plane) - 1, min(SHOWN_ROWS, len(plane))).astype(int)
    most = int((~np.isnan(rows.target)).sum(0).argmax())
    value = rows.predicted[shown, most]
    quarter = np.searchsorted(np.quantile(value, (0.25, 0.5, 0.75)), value)
    names = ("lowest quarter", "second", "third", "highest quarter")
    x, y = plane[shown].T
    by_value = tuple(Series(n, x[quarter == q], y[quarter == q]) for q, n in enumerate(names))
    weights = np.asarray(params["solved"]["weights"][-1, most])
    strongest = int(np.abs(weights * rows.features.std(0)).argmax())
    has = rows.features[shown, strongest] > 0
    letter = contents.features[strongest]
    by_letter = (
        Series(f"without {letter}", x[~has], y[~has]),
        Series(f"with {letter}", x[has], y[has]),
    )
    axes = "first component", "second component"
    share = (size[:2] ** 2).sum() / max((size**2).sum(), 1e-12)
    return Exhibit(
        "Latent space",
        f"Two principal components of the latents, {share:.0%} of their variance.",
        (),
        (
            Plot(f"Predicted {contents.labels[most]}", *axes, by_value, ordered=True),
            Plot(f"Letter {letter}", *axes, tuple(s for s in by_letter if len(s.x))),
        ),
    )
