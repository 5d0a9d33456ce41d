"""What was set from outside over the epochs: schedules, dynamics, thresholds, and the gates."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from tvae.reporting.figures import palette
from tvae.reporting.figures.panels import Line, Panel
from tvae.runs.run import Run

_PREFIXES = ("schedule/", "dynamics/", "homeostasis/")
_CLOSED, _OPEN = "#c9ccd1", palette.GOOD


def _by_stem(record: Run) -> dict[str, list[str]]:
    """Quantities that share a panel: those of A and B, or numbered ones."""
    stems: dict[str, list[str]] = {}
    for key in record.scalars():
        if key.startswith(_PREFIXES):
            stems.setdefault(re.sub(r"(_[ab]|\d+)$", "", key), []).append(key)
    return stems


def _moves(record: Run, keys: Sequence[str]) -> bool:
    return any(np.ptp(record.series(key).value) > 0 for key in keys)


def panels(record: Run) -> list[Panel]:
    """A panel for each quantity that moves."""
    return [
        Panel(
            stem.split("/")[1].replace("_", " ").capitalize(),
            [
                Line(key, *record.series(key), palette.line(position), steps=True)
                for position, key in enumerate(keys)
            ],
            epochs=len(record.rows),
        )
        for stem, keys in _by_stem(record).items()
        if _moves(record, keys)
    ]


def constants(record: Run) -> dict[str, float]:
    """The quantities that stand still, and where: no panel says more."""
    return {
        key: float(record.series(key).value[0])
        for keys in _by_stem(record).values()
        for key in keys
        if not _moves(record, keys)
    }


def gates(record: Run) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Which groups learned when.

    Returns:
      ``(group names, epochs (n,), open (groups, n))``; no names where the task has no gates.
    """
    keys = [key for key in record.scalars() if key.startswith("gate/")]
    if not keys:
        return [], np.zeros(0), np.zeros((0, 0))
    series = [record.series(key) for key in keys]
    return [k.split("/")[1] for k in keys], series[0].epoch, np.stack([s.value for s in series])


def gates_to_plotly(record: Run) -> dict[str, Any]:
    """The gates as bands of colour over the epochs."""
    names, epochs, is_open = gates(record)
    data = {
        "type": "heatmap",
        "x": epochs.tolist(),
        "y": names,
        "z": is_open.astype(int).tolist(),
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, _CLOSED], [1, _OPEN]],
        "showscale": False,
        "ygap": 6,
        "hovertemplate": "%{y}, epoch %{x}: %{z} (1 = learns)<extra></extra>",
    }
    layout = {"xaxis": {"title": {"text": "epoch"}}, "yaxis": {"automargin": True}}
    return {"data": [data], "layout": layout}


def draw_gates(record: Run) -> Figure:
    """The same bands, as a figure to save."""
    names, epochs, is_open = gates(record)
    figure = Figure(figsize=(8.0, 0.7 + 0.4 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    extent = (epochs[0] - 0.5, epochs[-1] + 0.5, len(names) - 0.5, -0.5)
    colours = ListedColormap([_CLOSED, _OPEN])
    axes.imshow(is_open, aspect="auto", cmap=colours, vmin=0, vmax=1, extent=extent,
                interpolation="nearest")  # fmt: skip
    axes.set_yticks(range(len(names)), names, size=8)
    axes.set_xlabel("epoch (green: the group learns)", size=8)
    axes.tick_params(labelsize=7)
    return figure
